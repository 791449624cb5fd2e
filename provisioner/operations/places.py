"""Where a deployment lives, and the way there: the place that an inventory leads to, or the one that was recorded."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from provisioner.deployment.state import Machines, Place
from provisioner.errors import CloudUnavailableError, DriftError, PlaceGoneError, StateError, UsageError
from provisioner.inventory.spec import Spec

if TYPE_CHECKING:
    from provisioner.adapters.ecs import EcsCloud

Progress = Callable[[str], None]


def of_inventory(spec: Spec, progress: Progress) -> tuple[Place, EcsCloud]:
    """Where `up` of an inventory that creates instances would be, with its cloud, which is asked who we are.

    Raises CredentialsError when there are no credentials, CloudError when nobody answers.
    """
    place = Place(provider=spec.provider, region=spec.cloud.region, endpoint=_given_endpoint())
    if spec.provider == "simulator" and not place.endpoint:
        # Docker needs a machine of its own to be installed on; Spark and TensorFlow are content with a process.
        place = place.model_copy(update={"machines": "booted" if spec.runtime == "docker" else "process"})
    cloud = _connect(place, progress)
    return place.model_copy(update={"account_id": cloud.account_id}), cloud


def open_recorded(name: str, place: Place, progress: Progress) -> EcsCloud:
    """The cloud in which the deployment `name` lives, once its account has been verified.

    Raises DriftError when the credentials are of another account, CloudUnavailableError when nobody answers there,
    PlaceGoneError when the simulator that held it is gone for good.
    """
    from provisioner.adapters.store import state_root

    gone = PlaceGoneError(f"the simulator that held {name} is gone, and all that was in it")
    if place.machines and not (simulator_folder(place.machines) / "identity").exists():
        raise gone
    cloud = _connect(place, progress)
    try:
        account_id = cloud.account_id
    except CloudUnavailableError as error:
        remedy = error.remedy
        if place.provider == "simulator":
            remedy = f"if that simulator has ended, so has all that it held: delete {state_root() / name}"
        raise CloudUnavailableError(f"{name} lives in {place}: {error.message}", remedy, action=error.action) from error
    if place.account_id and account_id != place.account_id:
        if place.machines:
            raise gone
        raise DriftError(
            f"{name} lives in {place}, and these credentials are of account {account_id}",
            f"use credentials of account {place.account_id}",
        )
    return cloud


def of_region(region: str, progress: Progress) -> EcsCloud:
    """The cloud without a deployment: a simulator when PROVISIONER_ENDPOINT is on this machine, else the real one."""
    endpoint = _given_endpoint()
    place = Place(provider="alibaba", region=region, endpoint=endpoint)
    if place.is_on_this_machine:
        place = place.model_copy(update={"provider": "simulator"})
    return _connect(place, progress)


def simulator_folder(machines: Machines) -> Path:
    """Where the simulator that this user's commands share keeps its pid, log and machines; one for each kind."""
    from provisioner.adapters.store import state_root

    return state_root() / f".simulator-{machines}"


def _connect(place: Place, progress: Progress) -> EcsCloud:
    from provisioner.adapters.clock import SystemClock
    from provisioner.adapters.ecs import Credentials, connect
    from provisioner.secret import Secret

    credentials = None
    if place.provider == "simulator":
        # Never the user's own: a simulated deployment neither reads nor sends them.
        from provisioner.simulator import ACCESS_KEY_ID, ACCESS_KEY_SECRET

        credentials = Credentials(ACCESS_KEY_ID, Secret(ACCESS_KEY_SECRET))
    endpoint = _own_simulator(place.machines) if place.machines else place.endpoint or None
    return connect(place.region, endpoint=endpoint, credentials=credentials, clock=SystemClock(), progress=progress)


def _given_endpoint() -> str:
    endpoint = os.environ.get("PROVISIONER_ENDPOINT", "").rstrip("/")
    if endpoint and not urlsplit(endpoint).netloc:
        raise UsageError(f"PROVISIONER_ENDPOINT={endpoint} is not a URL", "write http://127.0.0.1:PORT")
    return endpoint


def _own_simulator(machines: Machines) -> str:
    """The endpoint of the simulator of this kind, which is started when it does not run."""
    from provisioner.simulator import background
    from provisioner.simulator.machines import NotInstalledError

    try:
        return background.start(simulator_folder(machines), machines=machines)
    except NotInstalledError as error:
        raise UsageError(str(error)) from None
    except RuntimeError as error:
        what = f"the simulator did not start: {error}"
        raise StateError(what, "`provisioner simulator clean` clears the way for a new one") from None
