"""Machines that boot on demand and are gone when the tests are over."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import paramiko
import pytest

from provisioner.simulator.machines.booted import BootedMachine, BootedMachines
from provisioner.simulator.machines.booted_host import missing_requirements
from tests.machine.support import Login, Provisioner, require


@pytest.fixture(scope="session")
def bootable() -> None:
    """Skips, or fails with PROVISIONER_REQUIRE_TIERS=1, where machines cannot be booted."""
    require(missing_requirements())


@pytest.fixture(scope="session")
def login() -> Login:
    """A key pair for root of every machine."""
    key = paramiko.ECDSAKey.generate()
    return Login(key, f"{key.get_name()} {key.get_base64()} test")


@pytest.fixture(scope="module")
def machines_in(bootable: None) -> Iterator[Callable[[Path], BootedMachines]]:
    """Makes the booted machines of a folder, which are cleaned away after the module."""
    made: list[BootedMachines] = []

    def make(folder: Path) -> BootedMachines:
        made.append(BootedMachines("test", folder))
        return made[-1]

    yield make
    for machines in made:
        machines.clean()


@pytest.fixture(scope="module")
def pair(
    machines_in: Callable[[Path], BootedMachines], tmp_path_factory: pytest.TempPathFactory, login: Login
) -> list[BootedMachine]:
    """Two machines of one simulator: the user data of the first is a script, of the second a cloud-config."""
    machines = machines_in(tmp_path_factory.mktemp("pair"))
    one, two = machines.create("i-one"), machines.create("i-two")
    one.start("#!/bin/sh\necho ran >> /root/user-data\n", [login.public], "one")
    two.start("#cloud-config\nruncmd:\n- echo ran >> /root/user-data\n", [login.public], "two")
    return [one, two]


@pytest.fixture(scope="module", name="provisioner")
def _provisioner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provisioner]:
    """The command line, with a state folder of its own; in the end its simulator and machines are gone."""
    environment = {**os.environ, "XDG_STATE_HOME": str(tmp_path_factory.mktemp("state"))}
    environment.pop("PROVISIONER_ENDPOINT", None)

    def run(*arguments: str, status: int = 0) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "provisioner", *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=1800, check=False)
        assert done.returncode == status, (
            f"{arguments}: {done.returncode}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        )
        return done

    try:
        yield run
    finally:
        run("simulator", "clean")
