"""Create, configure, train and measure; and what becomes of it all when that ends, fails or is interrupted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from provisioner import steps
from provisioner.deployment import Deployment
from provisioner.deployment.state import State
from provisioner.errors import InterruptedRun
from provisioner.inventory.spec import Spec
from provisioner.operations import opening
from provisioner.operations.down import Removal, remove_all
from provisioner.operations.plan import PlanDocument, plan
from provisioner.operations.report import measured_in_this_life
from provisioner.render import counted
from provisioner.reporting.report import Report
from provisioner.runner import Event, Runner
from provisioner.steps.image import login_of, tag_of


@dataclass(frozen=True)
class UpResult:
    """A deployment that is as its inventory says.

    Attributes:
        changed: how many steps changed something; 0 when everything was there already.
        present: how many found that nothing had to be done.
        report: what was measured in the deployment's present life; None when nothing was.
        exists: what costs money by now, how much, and what ends it; "" for hosts that exist already.
        removal: what was removed again; None when it was to be kept.
    """

    changed: int
    present: int
    report: Report | None = None
    exists: str = ""
    removal: Removal | None = None


def up(
    spec: Spec,
    emit: Callable[[Event], None] = lambda event: None,
    *,
    remove: bool = False,
    on_up: Callable[[UpResult], None] = lambda result: None,
    on_removal: Callable[[Removal], None] = lambda removal: None,
) -> UpResult:
    """Do everything that the plan of an inventory says. Called again after an interruption, it goes on where it was.

    Args:
        spec: the inventory.
        emit: hears what happens, from several threads.
        remove: take everything down at the end: on success, on failure, and on KeyboardInterrupt alike.
        on_up: hears the result before anything is removed again.
        on_removal: hears of the removal, also when an error is about to be raised.

    Raises:
        UsageError: the plan cannot work; nothing was created.
        DriftError: what exists differs from the inventory, or the deployment lives elsewhere.
        PartialFailureError: hosts failed; the others went on to the end of the phase.
        InterruptedRun: Ctrl-C; it says what exists, or that everything was removed.
    """
    prepared(spec)
    with opening.opened(spec, emit, create=True) as (session, record):
        runner = Runner(session, steps.plan(session), record)

        def remove_again(why: str = "") -> Removal:
            removal = remove_all(runner, session, record, why=why)
            on_removal(removal)
            return removal

        try:
            outcome = runner.up()
            result = UpResult(outcome.changed, outcome.present, measured_in_this_life(spec.name, session.store))
            on_up(result)
        except KeyboardInterrupt:
            if not remove:
                raise InterruptedRun("interrupted", what_exists(spec, session.store.state)) from None
            remove_again("interrupted; removing everything, as --rm asks")
            raise InterruptedRun("interrupted", "everything was removed") from None
        except Exception as error:  # also a mistake of ours: what was created must not be left for it
            if remove:
                remove_again(f"{error}; removing everything, as --rm asks")
            elif spec.creates_instances:
                record(Event("notice", what_exists(spec, session.store.state)))
            raise
        if remove:
            return replace(result, removal=remove_again())
        return replace(result, exists=what_exists(spec, session.store.state) if spec.creates_instances else "")


def prepared(spec: Spec, *, online: bool = False) -> PlanDocument:
    """The plan of an `up` that may be begun. `online` as in `plan`.

    Raises UsageError for what cannot work, and for a registry's password that is missing: before anything is created
    that would wait for it.
    """
    if spec.runtime == "docker" and spec.image and not has_images(spec):
        login_of(spec.image.registry_login)
    return plan(spec, online=online)


def what_exists(spec: Spec, state: State) -> str:
    """What costs money by now, how much, and what ends it: from what is kept, without asking anybody."""
    command = f"`provisioner down {spec.name}` removes everything"
    if not spec.creates_instances:
        return f"{spec.name} may still be running on its hosts; {command}"
    cost = f", {state.price.per_hour:g} {state.price.currency} an hour" if state.price else ""
    instances = len(state.made("instance"))
    if instances:
        return f"{counted(instances, 'instance')} of {spec.name} exist{'s' * (instances == 1)}{cost}; {command}"
    if any(creation.kind == "instance" for creation in state.unresolved):
        return f"{counted(spec.cloud.count, 'instance')} of {spec.name} may exist{cost}; {command}"
    return f"no instance of {spec.name} exists, and its network costs nothing; {command}"


def has_images(spec: Spec) -> bool:
    """Whether every host of a deployment that exists has been given its image: then no login is needed any more."""
    from provisioner.adapters.store import FolderStore, list_deployments

    if spec.image is None or spec.name not in list_deployments():
        return False
    store, tag = FolderStore.open(spec.name, create=False), tag_of(spec.image)
    images = [store.state.images.get(host) for host in Deployment(spec).host_names]
    return not store.state.removed_at and all(each and each.tag == tag for each in images)
