"""What a host is: one script, read in one round trip, and the pure parser of what it prints."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address

from provisioner.errors import HostError
from provisioner.forms import ABSOLUTE_PATH, HOST_NAME, USER
from provisioner.hosts.limits import LIMITS_SCRIPT, NO_LIMITS, Limits, parse_limits


@dataclass(frozen=True)
class Cpu:
    """One logical CPU: its number, and the core, socket and NUMA node that it belongs to."""

    number: int
    core: int
    socket: int
    node: int


@dataclass(frozen=True)
class HostFacts:
    """What a host is, read in one round trip. `cpus` holds those that a login may run on.

    `addresses` are the host's own IPv4 addresses, `route_address` the one it has on the way to the rest of the world;
    empty where it does not tell.
    """

    hostname: str
    home: str
    user: str
    distribution: str
    distribution_version: str
    package_manager: str
    cpu_model: str
    cpu_flags: frozenset[str]
    cpus: tuple[Cpu, ...]
    memory_gib: float
    disk_free_gib: float
    programs: frozenset[str] = frozenset()
    kernel: str = ""
    limits: Limits = NO_LIMITS
    addresses: tuple[str, ...] = ()
    route_address: str = ""


MOST_CPUS = 2**16
"""More than any kernel counts to: a host's line that says more is not believed."""

_PACKAGE_MANAGERS = {"apt-get": "apt", "dnf": "dnf", "yum": "yum"}  # in order of preference: dnf hosts have yum too
_PROGRAMS = " ".join(
    ("java", "javac", "jps", "python3", "numactl", "taskset", "docker", "curl", "git", "sudo", *_PACKAGE_MANAGERS)
)

FACTS_SCRIPT = f"""
export LC_ALL=C
cpus=/sys/devices/system/cpu
echo "hostname=$(uname -n)"
echo "kernel=$(uname -r)"
echo "home=$HOME"
echo "user=$(id -un)"
for p in {_PROGRAMS}; do command -v $p >/dev/null 2>&1 && echo "program=$p"; done
echo "[os-release]"
cat /etc/os-release 2>/dev/null || cat /usr/lib/os-release 2>/dev/null
echo "[cpuinfo]"
sed '/^$/q' /proc/cpuinfo 2>/dev/null
grep -q '^model name' /proc/cpuinfo 2>/dev/null || lscpu 2>/dev/null | grep '^Model name'
echo "[allowed]"
grep Cpus_allowed_list /proc/self/status 2>/dev/null
echo "count: $(getconf _NPROCESSORS_ONLN 2>/dev/null)"
echo "[topology]"
grep -H . $cpus/cpu[0-9]*/topology/thread_siblings_list $cpus/cpu[0-9]*/topology/physical_package_id 2>/dev/null
grep -H . /sys/devices/system/node/node[0-9]*/cpulist 2>/dev/null
echo "[memory]"
grep MemTotal /proc/meminfo 2>/dev/null
echo "[disk]"
df -Pk "$HOME" 2>/dev/null || df -Pk /
echo "[network]"
ip -4 -o addr show 2>/dev/null
ip -4 route get 192.0.2.1 2>/dev/null
echo "[limits]"
{LIMITS_SCRIPT}
:
""".strip()
"""POSIX sh; as many processes however many CPUs there are; needs no root and changes nothing."""


_FORMS = {
    "hostname": HOST_NAME,
    "user": USER,
    "home": ABSOLUTE_PATH,
    "distribution": r"^[A-Za-z0-9._-]*$",
    "distribution_version": r"^[A-Za-z0-9._-]*$",
}
"""The facts that end up in scripts, some of them on other hosts, and what they may be."""


def parse_facts(output: str, host: str) -> HostFacts:
    """What `FACTS_SCRIPT` printed on `host`, as facts. Raises HostError when it is not that.

    Cores are counted over all sockets, in the order of their first CPUs; threads of one core share a number. Where the
    kernel tells no topology (some containers) each CPU counts as a core of socket 0.
    """
    sections = _sections(output)
    try:
        basics = _pairs(sections[""], "=")
        release = _pairs(sections["os-release"], "=")
        cpu = _pairs(sections["cpuinfo"], ":")
        programs = frozenset(line.partition("=")[2] for line in sections[""] if line.startswith("program="))
        facts = HostFacts(
            hostname=basics["hostname"],
            home=basics["home"],
            user=basics["user"],
            distribution=release.get("ID", ""),
            distribution_version=release.get("VERSION_ID", ""),
            package_manager=next((name for program, name in _PACKAGE_MANAGERS.items() if program in programs), ""),
            cpu_model=cpu.get("model name") or cpu.get("Model name") or "",
            cpu_flags=cpu_flags("\n".join(sections["cpuinfo"])),
            cpus=_cpus(_pairs(sections["allowed"], ":"), sections["topology"]),
            memory_gib=_gib(_pairs(sections["memory"], ":")["MemTotal"].split()[0]),
            disk_free_gib=_gib(sections["disk"][-1].split()[3]),
            programs=programs,
            kernel=basics.get("kernel", ""),
            limits=parse_limits(sections.get("limits", ()), of_root=basics["user"] == "root"),
            addresses=_words_after("inet", sections.get("network", ())),
            route_address=next(iter(_words_after("src", sections.get("network", ()))), ""),
        )
    except (KeyError, IndexError, ValueError) as error:
        raise HostError(
            f"the facts of {host} could not be read ({type(error).__name__}: {error})",
            "is it a Linux with /proc and a POSIX shell? The last lines are what it printed",
            host=host,
            tail=output.splitlines()[-20:],
        ) from error
    _check_forms(facts, host)
    return facts


def _check_forms(facts: HostFacts, host: str) -> None:
    """Raises HostError for a fact that is not what such a thing may be: a host's word is not to be a script's."""
    for name, form in _FORMS.items():
        value = getattr(facts, name)
        if not (re.fullmatch(form, value) and value.isprintable()):
            raise HostError(
                f"{host} says that its {name.replace('_', ' ')} is {value!r}, which cannot be",
                "mend it there; is the host what it should be?",
                host=host,
            )


def cpu_flags(cpuinfo: str) -> frozenset[str]:
    """The first CPU's flags in the text of /proc/cpuinfo: the line `flags` of x86 kernels, `Features` of arm64's."""
    lines = _pairs(cpuinfo.splitlines(), ":")
    return frozenset((lines.get("flags") or lines.get("Features") or "").split())


def _sections(output: str) -> dict[str, list[str]]:
    """The lines below each `[name]`; those before the first are below ""."""
    sections: dict[str, list[str]] = {"": []}
    current = sections[""]
    for line in output.splitlines():
        if line.startswith("[") and line.endswith("]"):
            current = sections.setdefault(line[1:-1], [])
        elif line.strip():
            current.append(line)
    return sections


def _pairs(lines: Iterable[str], separator: str) -> dict[str, str]:
    """`key<separator>value` lines, quotes taken off; of a key that comes twice the first."""
    pairs: dict[str, str] = {}
    for line in lines:
        key, separated, value = line.partition(separator)
        if separated:
            pairs.setdefault(key.strip(), value.strip().strip("\"'"))
    return pairs


def _words_after(word: str, lines: Iterable[str]) -> tuple[str, ...]:
    """The IPv4 address that follows a word, in each line of `ip` that has the word."""
    addresses = []
    for line in lines:
        words = line.split()
        if word in words[:-1]:
            addresses.append(str(IPv4Address(words[words.index(word) + 1].partition("/")[0])))
    return tuple(addresses)


def _gib(kib: str) -> float:
    return round(int(kib) / 1024**2, 2)


def _numbers(text: str) -> list[int]:
    """The kernel's list format: `0-3,8,10-11`. Raises ValueError for numbers that no kernel counts to."""
    numbers: list[int] = []
    for part in filter(None, text.strip().split(",")):
        first, _, last = part.partition("-")
        if int(last or first) >= MOST_CPUS:
            raise ValueError(f"CPU {last or first} is one too many")
        numbers.extend(range(int(first), int(last or first) + 1))
    return numbers


def _cpus(allowed: dict[str, str], topology: Iterable[str]) -> tuple[Cpu, ...]:
    """The CPUs that the login may run on. `topology` holds grep's `FILE:CONTENT` lines."""
    first_thread: dict[int, int] = {}
    sockets: dict[int, int] = {}
    nodes: dict[int, int] = {}
    for line in topology:
        path, _, content = line.partition(":")
        parts = path.split("/")
        if parts[-1] == "thread_siblings_list":
            first_thread[_number(parts[-3])] = min(_numbers(content))
        elif parts[-1] == "physical_package_id":
            sockets[_number(parts[-3])] = max(0, int(content))  # -1: the firmware does not say
        elif parts[-1] == "cpulist":
            nodes.update(dict.fromkeys(_numbers(content), _number(parts[-2])))
    usable = (
        _numbers(allowed.get("Cpus_allowed_list", "")) or sorted(first_thread) or list(range(int(allowed["count"])))
    )
    if first_thread:  # "allowed" may name numbers beyond those of the machine
        usable = [number for number in usable if number in first_thread]
    cores = {first: core for core, first in enumerate(sorted(set(first_thread.values())))}
    return tuple(
        Cpu(
            number,
            core=cores[first_thread[number]] if first_thread else number,
            socket=sockets.get(number, 0),
            node=nodes.get(number, 0),
        )
        for number in usable
    )


def _number(name: str) -> int:
    """`cpu12`, `node3` -> 12, 3."""
    return int(name.lstrip("abcdefghijklmnopqrstuvwxyz"))
