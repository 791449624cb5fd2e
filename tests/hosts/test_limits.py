"""Quotas and limits: the script on trees as Linux shows them, its parser, and what workers are made of them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from provisioner import catalog
from provisioner.hosts import room, topology
from provisioner.hosts.expected import expected_facts
from provisioner.hosts.facts import FACTS_SCRIPT, Cpu, HostFacts, parse_facts
from provisioner.hosts.limits import LIMITS_SCRIPT, Limits, parse_limits
from provisioner.hosts.room import Needs, heap_gib
from tests.support.hosts import cpus, facts_output

CASES = yaml.safe_load((Path(__file__).parents[1] / "data/hosts/limits.yaml").read_text())
SHELLS = [shell for shell in (["sh"], ["dash"], ["bash"], ["busybox", "sh"]) if shutil.which(shell[0])]
NEEDS = Needs(executor_gib=1, driver_gib=1)


@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case["what"])
def test_limits_are_read_from_control_groups(case: dict[str, Any], shell: list[str], tmp_path: Path) -> None:
    for path, content in case["files"].items():
        file = tmp_path / "cgroup" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{content}\n")
    (tmp_path / "self").mkdir()
    (tmp_path / "self/cgroup").write_text("".join(f"{line}\n" for line in case["groups"]))
    (tmp_path / "self/limits").write_text(f"Limit  Soft Limit  Hard Limit  Units\n{case.get('processes', '')}\n")
    script = LIMITS_SCRIPT.replace("/sys/fs/cgroup", f"{tmp_path}/cgroup").replace("/proc/self", f"{tmp_path}/self")
    printed = subprocess.run([*shell, "-c", script], capture_output=True, text=True, timeout=20)
    assert printed.stderr == ""
    assert parse_limits(printed.stdout.splitlines(), of_root=case.get("root", False)).told() == case["limits"]


def test_limits_are_part_of_the_facts() -> None:
    printed = "\n".join([facts_output("/root", user="ecs-user"), "[limits]", "/sys/fs/cgroup/cpu.max:100000 100000"])
    assert parse_facts(printed, "a").limits == Limits(cpus=1.0)
    assert parse_facts(facts_output("/root"), "a").limits == Limits()


def test_the_script_reads_this_machines_own() -> None:
    printed = subprocess.run(["sh", "-c", FACTS_SCRIPT], capture_output=True, text=True, check=True).stdout
    facts = parse_facts(printed, "here")
    assert "[limits]" in printed
    assert facts.limits.cpus is None or facts.limits.cpus > 0


def host(found: tuple[Cpu, ...], memory_gib: float = 192) -> HostFacts:
    return HostFacts("h", "/root", "root", "", "", "", "", frozenset(), found, memory_gib, 0)


@pytest.mark.parametrize(
    ("limits", "machine", "memory_gib", "workers", "sets", "said"),
    [
        # a quota of one CPU on two: one worker, on one core
        ({"cpus": 1.0}, cpus(cores=2), 24, "auto", ["0"], ["a CPU quota of 1 is all", "1 worker on 1 of 2 cores"]),
        ({"cpus": 0.5}, cpus(cores=2), 24, "auto", ["0"], ["quota of 0.5", "1 worker on 1 cores share it"]),
        ({"cpus": 1.0}, cpus(cores=2), 24, 2, ["0", "1"], ["2 workers on 2 cores share it and are throttled"]),
        ({"cpus": 2.0}, cpus(cores=2), 24, "auto", ["0", "1"], []),
        ({"cpus": 24.0}, cpus(nodes=2, cores=24), 192, "auto", ["0-5", "6-11", "12-17", "18-23"], ["24 of 48 cores"]),
        # 4 GiB hold one worker with the driver beside it
        ({"memory_gib": 4}, cpus(cores=12), 192, "auto", ["0-11"], []),
        ({"memory_gib": 4}, cpus(cores=12), 192, 2, ["0-5", "6-11"], ["need about 6.2 GiB", "the login may use 4:"]),
        ({}, cpus(cores=2), 2, "auto", ["0-1"], ["and it has 2: lower"]),
        ({}, cpus(cores=12), 0, "auto", ["0-5", "6-11"], []),
        ({"processes": 400}, cpus(cores=12), 192, "auto", ["0-11"], []),
        ({"processes": 200}, cpus(cores=12), 192, "auto", ["0-11"], ["the login may have 200 (ulimit -u"]),
        ({"processes": 4915}, cpus(cores=12), 192, "auto", ["0-5", "6-11"], []),
    ],
)
def test_workers_keep_within_the_limits(
    limits: dict[str, Any], machine: tuple[Cpu, ...], memory_gib: float, workers: Any, sets: list[str], said: list[str]
) -> None:
    facts, found = host(machine, memory_gib), Limits(**limits)
    left = room.room(found, facts, NEEDS)
    division = topology.worker_sets(facts.cpus, workers, left)
    assert [one.numactl for one in division] == sets
    warnings = "; ".join(
        [*topology.warnings(facts.cpus, division, left), *room.warnings(found, facts, NEEDS, division)]
    )
    assert bool(warnings) == bool(said), warnings
    assert [words for words in said if words not in warnings] == [], warnings


@pytest.mark.parametrize(
    ("cores", "expected"),
    [
        ([8, 1], ["0: 4", "0: 4"]),
        ([1, 8], ["1: 4", "1: 4"]),
        ([48, 1], ["0: 6"] * 8),
        ([16, 16, 1], ["0: 6", "0: 5", "0: 5", "1: 8", "1: 8"]),
        ([5, 2], ["0: 5", "1: 2"]),
        ([8, 8, 4], ["0: 8", "1: 8", "2: 4"]),
        ([1, 1], ["0: 1", "1: 1"]),
    ],
)
def test_auto_makes_no_small_worker_that_all_others_wait_for(cores: list[int], expected: list[str]) -> None:
    machine: list[Cpu] = []
    for node, count in enumerate(cores):
        machine += [Cpu(len(machine) + number, len(machine) + number, node, node) for number in range(count)]
    sets = topology.worker_sets(machine, "auto")
    assert [f"{one.node}: {one.physical_cores}" for one in sets] == expected
    idle = sum(cores) - sum(one.physical_cores for one in sets)
    told = [words for words in topology.warnings(machine, sets) if "stay idle" in words]
    assert [words.partition(" stay")[0] for words in told] == ([f"{idle} of {sum(cores)} cores"] if idle else [])


def test_the_papers_machine_has_room_for_the_papers_workers() -> None:
    known = catalog.lookup("ecs.hfc7.24xlarge")
    assert known is not None
    facts = expected_facts(known, "a")
    for engine_gib in (1, 4, 18):
        left = room.room(facts.limits, facts, Needs(engine_gib, engine_gib))
        assert len(topology.worker_sets(facts.cpus, "auto", left)) == 8


@pytest.mark.parametrize(("memory", "gib"), [("512m", 0.5), ("18g", 18)])
def test_heaps_are_in_sparks_words(memory: str, gib: float) -> None:
    assert heap_gib(memory) == gib
