"""What stands in the way of Docker is named with the command that clears it: the script runs among stand-ins."""

from __future__ import annotations

import socket
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from provisioner import catalog
from provisioner.hosts.docker_ways import LOOK_SCRIPT, in_the_way, obstacle
from provisioner.hosts.facts import parse_facts
from tests.support.hosts import facts_output

CASES = yaml.safe_load((Path(__file__).parents[1] / "data/docker/obstacles.yaml").read_text())


def looked(case: dict[str, Any], folder: Path, listening: list[socket.socket]) -> str:
    """What the script prints on such a host."""
    (folder / "bin").mkdir()
    programs = {name: f"echo '{said}'" for name, said in case["programs"].items()}
    if case["packages"] is not None:
        programs["rpm"] = f'case " {" ".join(case["packages"])} " in *" $2 "*) ;; *) exit 1 ;; esac'
    for name, body in programs.items():
        (folder / "bin" / name).write_text(f"#!/bin/sh\n{body}\n")
        (folder / "bin" / name).chmod(0o755)
    if case.get("snap"):
        (folder / "snap").touch()
    for name in case.get("sockets", ()):
        sock = socket.socket(socket.AF_UNIX)
        sock.bind(str(folder / ("docker.sock" if name == "rootless" else "system.sock")))
        listening.append(sock)
    script = LOOK_SCRIPT.replace("/snap/bin/docker", str(folder / "snap"))
    # The tests may run as root, who may write to everything.
    script = script.replace("[ -w /var/run/docker.sock ]", "false").replace(
        "/var/run/docker.sock", str(folder / "system.sock")
    )
    environment = {"PATH": str(folder / "bin"), "XDG_RUNTIME_DIR": str(folder)}
    done = subprocess.run(["/bin/sh", "-c", script], env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["what"])
def test_what_is_in_the_way(case: dict[str, Any], tmp_path: Path) -> None:
    distribution, version, manager = case["system"]
    facts = parse_facts(facts_output("/root", user=case.get("user", "root")), "a")
    facts = replace(facts, distribution=distribution, distribution_version=version, package_manager=manager)
    recipe = catalog.docker_recipe(distribution, version, manager, "auto")
    assert recipe
    listening: list[socket.socket] = []
    try:
        look = looked(case, tmp_path, listening)
    finally:
        for sock in listening:
            sock.close()
    is_root = case.get("is_root", facts.user == "root")
    found = obstacle(look, "a", facts, recipe.conflicts, is_root=is_root)
    words = f"{found.what}: {found.remedy}" if found else ""
    assert bool(words) == bool(case["says"]), words
    assert [said for said in case["says"] if said not in words] == [], words


@pytest.mark.parametrize(
    ("line", "names"),
    [
        (" Problem 1: problem with installed package podman-2:4.2.0-1.module_el8.7.0.x86_64", ["podman"]),
        (
            "  - package containerd.io-1.6.9-3.1.el8 conflicts with runc provided by runc-1:1.1.4-1.module+el8.7.0",
            ["runc"],
        ),
        ("  - package podman-docker-4.2.0 conflicts with docker provided by docker-ce-3:20.10.21-3.el8.x86_64", []),
        (
            "  - package docker-ce-3:28-1.el9 conflicts with podman-docker provided by podman-docker-5:5.4.0-1.el9",
            ["podman-docker"],
        ),
        ("Complete!", []),
    ],
)
def test_what_the_package_manager_says_is_in_the_way(line: str, names: list[str]) -> None:
    assert in_the_way(line) == names
