"""The facts script on this machine, and its parser on what hosts print (one file recorded, the others composed)."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from provisioner.errors import HostError
from provisioner.hosts.facts import FACTS_SCRIPT, HostFacts, parse_facts

DATA = Path(__file__).parents[1] / "data" / "facts"
EXPECTED: dict[str, dict[str, Any]] = yaml.safe_load((DATA / "expected.yaml").read_text())
SHELLS = [shell for shell in (["sh"], ["dash"], ["bash"], ["busybox", "sh"], ["ksh"]) if shutil.which(shell[0])]


def read(name: str) -> HostFacts:
    return parse_facts((DATA / name).read_text(), "web-1")


def test_every_file_has_its_expectations() -> None:
    assert set(EXPECTED) == {path.name for path in DATA.glob("*.txt")}


@pytest.mark.parametrize("name", EXPECTED)
def test_what_a_host_printed_becomes_its_facts(name: str) -> None:
    facts, expected = read(name), dict(EXPECTED[name])
    cpus = [f"{cpu.number}:{cpu.core}:{cpu.socket}:{cpu.node}" for cpu in facts.cpus]
    position = 0
    for wanted in expected.pop("cpus"):
        if wanted != "…":
            position = cpus.index(wanted, position) + 1
    assert position == len(cpus)
    assert len({cpu.core for cpu in facts.cpus}) == expected.pop("cores")
    assert sorted(flag for flag in facts.cpu_flags if "bf16" in flag) == expected.pop("bf16_flags")
    assert sorted(facts.programs) == expected.pop("programs")
    assert {field: getattr(facts, field) for field in expected} == expected


def test_threads_of_one_core_share_its_number_and_no_others_do() -> None:
    for name, per_core in (("hfc7-96-adjacent.txt", 2), ("split-192-4-nodes.txt", 2), ("arm64-yitian.txt", 1)):
        cores: dict[int, list[int]] = {}
        for cpu in read(name).cpus:
            cores.setdefault(cpu.core, []).append(cpu.number)
        assert {len(numbers) for numbers in cores.values()} == {per_core}
        assert sorted(cores) == list(range(len(cores)))


def test_cpus_that_the_login_may_not_use_are_left_out() -> None:
    printed = (DATA / "hfc7-96-adjacent.txt").read_text().replace("list:\t0-95", "list:\t2-3,50,90-200")
    facts = parse_facts(printed, "web-1")
    assert [cpu.number for cpu in facts.cpus] == [2, 3, 50, *range(90, 96)]
    assert [cpu.core for cpu in facts.cpus][:3] == [1, 1, 25]


@pytest.mark.parametrize("line", ["0-99999999999", "4294967295"])
def test_cpus_that_no_kernel_counts_to_are_an_error_and_fill_no_memory(line: str) -> None:
    output = (DATA / "hfc7-96-adjacent.txt").read_text().replace("list:\t0-95", f"list:\t{line}")
    with pytest.raises(HostError, match=r"the facts of web-1 could not be read.*one too many"):
        parse_facts(output, "web-1")


@pytest.mark.parametrize("missing", ["hostname=", "MemTotal", "[disk]", "count: "])
def test_output_that_is_not_all_there_is_an_error_that_shows_it(missing: str) -> None:
    printed = (DATA / "container-no-topology.txt").read_text()
    if missing == "count: ":
        printed = printed.replace("Cpus_allowed_list", "Other")
    cut = printed.split(missing)[0] if missing != "hostname=" else printed.split("\n", 1)[1]
    with pytest.raises(HostError, match="the facts of web-1 could not be read") as caught:
        parse_facts(cut, "web-1")
    assert caught.value.tail == tuple(cut.splitlines()[-20:])


@pytest.mark.parametrize(
    ("fact", "line", "value"),
    [
        ("hostname", "hostname=", "$(touch X)"),
        ("hostname", "hostname=", "-oProxyCommand=x"),
        ("hostname", "hostname=", ""),
        ("user", "user=", "root;touch X"),
        ("home", "home=", "root"),
        ("home", "home=", "/root\x1b[31m"),
        ("home", "home=", "/root:/tmp"),
        ("distribution", "ID=", "`touch X`"),
        ("distribution version", "VERSION_ID=", "3 4"),
    ],
)
def test_a_fact_that_cannot_be_is_refused_with_host_and_fact(fact: str, line: str, value: str) -> None:
    """What one host says of itself stands in the scripts of the others."""
    printed = (DATA / "hfc7-96-adjacent.txt").read_text()
    told = re.sub(f"(?m)^{line}.*$", lambda _: line + value, printed, count=1)
    assert told != printed
    with pytest.raises(HostError, match="cannot be") as caught:
        parse_facts(told, "web-1")
    assert caught.value.message == f"web-1 says that its {fact} is {value!r}, which cannot be"
    assert caught.value.host == "web-1"


@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
def test_the_script_tells_the_truth_about_this_machine(shell: list[str]) -> None:
    done = subprocess.run([*shell, "-c", FACTS_SCRIPT], capture_output=True, text=True, check=True)
    facts = parse_facts(done.stdout, "web-1")
    assert done.stderr == ""
    assert facts.hostname == os.uname().nodename
    assert facts.home == os.environ["HOME"]
    assert [cpu.number for cpu in facts.cpus] == sorted(os.sched_getaffinity(0))
    assert facts.memory_gib == pytest.approx(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, abs=0.1)
    assert facts.disk_free_gib > 0
    assert {name for name in ("git", "curl", "java") if shutil.which(name)} <= facts.programs


def test_a_pinned_login_sees_its_own_cpus_only() -> None:
    last = max(os.sched_getaffinity(0))
    done = subprocess.run(
        ["/bin/sh", "-c", FACTS_SCRIPT],
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=lambda: os.sched_setaffinity(0, {last}),
    )
    assert [cpu.number for cpu in parse_facts(done.stdout, "web-1").cpus] == [last]
