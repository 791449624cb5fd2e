"""Worker sets: the paper's ranges on the paper's machine, and sane ones on every other."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import yaml

from provisioner.errors import UsageError
from provisioner.hosts import topology
from provisioner.hosts.facts import Cpu, parse_facts

CASES = yaml.safe_load((Path(__file__).parents[1] / "data/topology/worker_sets.yaml").read_text())


def machine(nodes: int, cores: Any, threads: int, siblings: str, missing: Any = ()) -> list[Cpu]:
    """A machine's CPUs as sysfs gives them: core numbers begin anew on each socket, and every node is a socket."""
    per_node = cores if isinstance(cores, list) else [cores] * nodes
    places = [(node, core) for node in range(nodes) for core in range(per_node[node])]
    found = []
    for index, (node, core) in enumerate(places):
        for thread in range(threads):
            number = index * threads + thread if siblings == "adjacent" else index + thread * len(places)
            found.append(Cpu(number, core, node, node))
    return sorted((cpu for cpu in found if cpu.number not in missing), key=lambda cpu: cpu.number)


@pytest.mark.parametrize("case", [pytest.param(case, id=case["name"]) for case in CASES])
def test_cpus_are_divided_as_the_case_says(case: dict[str, Any]) -> None:
    cpus = machine(**case["machine"])
    if "error" in case:
        with pytest.raises(UsageError) as caught:
            topology.worker_sets(cpus, case["workers"])
        assert case["error"] in str(caught.value)
        return
    sets = topology.worker_sets(cpus, case["workers"])
    assert [f"{one.node}: {one.numactl} ({one.physical_cores})" for one in sets] == case["expected"]
    found = topology.warnings(cpus, sets)
    assert len(found) == len(case.get("warnings", []))
    for line, part in zip(found, case.get("warnings", []), strict=True):
        assert part in line


def test_the_order_in_which_cpus_are_listed_does_not_matter() -> None:
    cpus = machine(2, 24, 2, "split")
    shuffled = random.Random(1).sample(cpus, len(cpus))
    assert topology.worker_sets(shuffled, 8) == topology.worker_sets(cpus, 8)


MACHINES = [
    (nodes, cores, threads, siblings)
    for nodes in (1, 2, 3, 4)
    for cores in (1, 2, 5, 8)
    for threads in (1, 2)
    for siblings in ("adjacent", "split")
]


@pytest.mark.parametrize(("nodes", "cores", "threads", "siblings"), MACHINES)
def test_whatever_the_machine_workers_share_no_core_and_span_no_node(
    nodes: int, cores: int, threads: int, siblings: str
) -> None:
    """For every number of workers, on machines with CPUs missing at random."""
    chance = random.Random(f"{nodes} {cores} {threads} {siblings}")
    whole = machine(nodes, cores, threads, siblings)
    for gone in (0, 1, len(whole) // 3):
        missing = {cpu.number for cpu in chance.sample(whole, gone)}
        cpus = [cpu for cpu in whole if cpu.number not in missing]
        place = {cpu.number: (cpu.node, cpu.socket, cpu.core) for cpu in cpus}
        for workers in [*range(1, len(set(place.values())) + 1), "auto"] if cpus else []:
            sets = topology.worker_sets(cpus, workers)
            owner: dict[tuple[int, int, int], int] = {}
            for index, one in enumerate(sets):
                taken = {place[number] for number in one.cpus}
                assert one.cpus
                assert list(one.cpus) == sorted(set(one.cpus))
                assert {node for node, _, _ in taken} == {one.node}
                assert len(taken) == one.physical_cores
                assert set(one.cpus) == {number for number in place if place[number] in taken}, "a core is split"
                assert all(owner.setdefault(core, index) == index for core in taken), "two workers on one core"
            populated = {node for node, _, _ in place.values()}
            assert workers == "auto" or len(sets) == workers
            if len(sets) >= len(populated):
                assert len(owner) == len(set(place.values())), "a core is idle without need"
                assert {one.node for one in sets} == populated
                for node in populated:
                    sizes = [one.physical_cores for one in sets if one.node == node]
                    assert max(sizes) - min(sizes) <= 1


HOSTS = yaml.safe_load((Path(__file__).parents[1] / "data/topology/hosts.yaml").read_text())


@pytest.mark.parametrize("case", [pytest.param(case, id=case["name"]) for case in HOSTS])
def test_real_hosts_are_divided_as_the_case_says(case: dict[str, Any]) -> None:
    """From what the kernel shows to the workers: CPUs offline, nodes interleaved or many."""
    cpus = parse_facts(shown(case), "a").cpus
    assert topology.physical_cores(cpus) == case["cores"]
    for workers, expected in case["workers"].items():
        sets = topology.worker_sets(cpus, workers)
        numactl = [one.numactl for one in sets]
        assert (len(sets), numactl[0], numactl[-1]) == (expected["count"], expected["first"], expected["last"])
        assert topology.warnings(cpus, sets) == expected.get("warnings", [])
        if not expected.get("warnings"):
            assert sorted(number for one in sets for number in one.cpus) == [cpu.number for cpu in cpus]


def shown(case: dict[str, Any]) -> str:
    """What FACTS_SCRIPT prints there: CPU i and i + `apart` are one core, those that are offline are not shown."""
    online = [number for number in range(case["cpus"]) if number not in case.get("offline", [])]
    lines = ["hostname=h", "home=/root", "user=root", "[os-release]", "[cpuinfo]"]
    lines += ["[allowed]", f"Cpus_allowed_list:\t0-{case['cpus'] - 1}", f"count: {len(online)}", "[topology]"]
    for number in online:
        siblings = [other for other in online if (other - number) % case["apart"] == 0]
        lines.append(
            f"/sys/devices/system/cpu/cpu{number}/topology/thread_siblings_list:{','.join(map(str, siblings))}"
        )
    for node, numbers in enumerate(case["nodes"]):
        lines.append(f"/sys/devices/system/node/node{node}/cpulist:{numbers}")
    return "\n".join(
        [*lines, "[memory]", "MemTotal: 263856328 kB", "[disk]", "/dev/vda1 103079200 5000000 93000000 6% /"]
    )


def test_cores_numbered_anew_on_each_socket_count_each() -> None:
    assert topology.physical_cores([Cpu(0, 0, 0, 0), Cpu(1, 0, 0, 0), Cpu(2, 0, 1, 1), Cpu(3, 0, 1, 1)]) == 2
    assert topology.physical_cores([]) == 0


@pytest.mark.parametrize(
    ("cpus", "text"),
    [((0,), "0"), ((0, 1), "0-1"), ((0, 2), "0,2"), ((0, 1, 2, 5, 7, 8), "0-2,5,7-8"), ((95, 191), "95,191")],
)
def test_ranges_are_written_as_numactl_takes_them(cpus: tuple[int, ...], text: str) -> None:
    assert topology.WorkerSet(cpus, 0, 1).numactl == text
