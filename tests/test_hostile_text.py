"""Whatever an inventory or a host says: no shell takes it for a command, no program for an option, no template for one.

Each text is refused with the project's own error, or everything that is made of it (files of the plan, commands on the
hosts) is run in a sandbox, in which a program that was smuggled in leaves its mark.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
from pydantic import BaseModel

from provisioner import inventory, steps
from provisioner.deployment import Deployment, Session
from provisioner.errors import ConnectError, HostError, ProvisionerError, UsageError
from provisioner.hosts.address import HostAddress
from provisioner.hosts.facts import FACTS_SCRIPT
from provisioner.inventory.spec import Spec
from provisioner.ports import Completed
from tests.support.deployments import Bench, place_hosts
from tests.support.hosts import facts_output
from tests.support.sandbox import Sandbox

PAYLOADS = (
    "$(touch X)", "$(touch${IFS}X)", "`touch X`", "; touch X", "| touch X", "\ntouch X", "'; touch X; '",
    '"; touch X; "', "{{ 31337 * 2 }}", "-oProxyCommand=touch X", "X\\",
)  # fmt: skip
RENDERED = "62674"
"""What a template makes of one of them."""

HOSTS = [{"name": name, "address": f"192.0.2.{number}"} for number, name in enumerate(("a", "b"), 1)]
BASES: dict[str, dict[str, Any]] = {
    "host": {
        "provider": "static",
        "runtime": "host",
        "hosts": HOSTS,
        "ssh": {"user": "someone", "jump": {"address": "192.0.2.9"}},
        "spark": {"master": "hostname"},
        "workload": {"data": "/data", "dtypes": ["float32"], "model_dir": "/model"},
    },
    "docker": {
        "provider": "static",
        "hosts": HOSTS,
        "image": {"build": "spark", "registry_login": {"username": "u", "password_env": "HOME"}},
        "docker": {"package": "docker-ce"},
        "workload": {"data": "/data", "dtypes": ["float32"]},
    },
    "sample": {
        "provider": "static",
        "hosts": HOSTS,
        "image": {"pull": "intelanalytics/analytics-zoo:0.8.1-bigdl_0.10.0-spark_2.4.3-bf16"},
        "docker": {"package": "docker-ce"},
        "workload": {
            "engine": "tfpark",
            "dtypes": ["bfloat16"],
            "source": {"git": "https://example.com/a/models.git", "ref": "v1", "path": "training"},
        },
    },
    "cloud": {
        "provider": "alibaba",
        "cloud": {"region": "cn-hongkong", "zones": ["cn-hongkong-b"], "vpc_id": "vpc-a"},
        "image": {"pull": "a.example/b:1"},
        "workload": {"dtypes": ["float32"]},
    },
}
SYSTEMS = {"host": ("debian", "12"), "docker": ("ubuntu", "24.04"), "sample": ("rocky", "9"), "cloud": ("alinux", "3")}

# What a field may well accept; the first that it does is put around a payload.
RIGHT = (
    "a", "/a", "192.0.2.0/24", "192.0.2.1", "1g", "https://a.example/b", "cn-hongkong-b", "ecs.hfc7.large", "acs:a",
    "vpc-a", "APT_MIRROR", "resnet50", "spark", "static", "ssh-ed25519 AAAA",
)  # fmt: skip
ITEM, KEY, VALUE = "[]", "{key}", "{value}"


def places(annotation: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every place of an inventory where text may stand: fields, items of lists, keys and values of mappings."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation is str:
        yield path
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        for name, field in annotation.model_fields.items():
            yield from places(field.annotation, (*path, name))
    elif origin is tuple:
        yield from places(arguments[0], (*path, ITEM))
    elif origin is dict:
        yield from places(arguments[0], (*path, KEY))
        yield from places(arguments[1], (*path, VALUE))
    elif origin is not Literal:
        for argument in arguments:
            yield from places(argument, path)


PLACES = list(dict.fromkeys(places(Spec)))


def holding(base: str, path: tuple[str, ...], text: str) -> list[dict[str, Any]]:
    """The inventory with a text at a place; with a mapping's other half as this or that."""
    given = {"name": "demo", **deepcopy(BASES[base])}
    *around, last = path
    target: Any = given
    for part in around[:-1] if last in (ITEM, KEY, VALUE) else around:
        if part == ITEM and not target:
            return []
        target = target[0] if part == ITEM else target.setdefault(part, {})
    if last == ITEM:
        target[around[-1]] = [text]
    elif last in (KEY, VALUE):
        pairs = [(text, other) if last == KEY else (other, text) for other in RIGHT]
        return [{**given, **_with(given, around, {key: value})} for key, value in pairs]
    else:
        target[last] = text
    return [given]


def _with(given: dict[str, Any], around: list[str], value: Any) -> dict[str, Any]:
    head, *rest = around
    return {head: {**given.get(head, {}), **_with(given.get(head, {}), rest, value)} if rest else value}


def accepted(base: str, path: tuple[str, ...], text: str) -> Spec | None:
    """The inventory that holds the text, as it is read; None for one that is refused."""
    for given in holding(base, path, text):
        with suppress(UsageError):
            return inventory.parse(json.dumps(given))
    return None


class Host:
    """Implements ports.Connection: notes commands and files, and answers nothing but its facts."""

    def __init__(self, name: str, facts: str) -> None:
        self.name = name
        self.facts = facts
        self.texts: list[str] = []

    def run(self, command: str, **_: Any) -> Completed:
        if command == FACTS_SCRIPT:
            return Completed(0, self.facts)
        self.texts.append(command)
        return Completed(0, "")

    def put(self, content: bytes, path: str, *, mode: int = 0o644) -> None:
        if path.endswith(".sh"):
            self.texts += [content.decode(), f"{content.decode()}\ninstall\n"]

    def dial(self, host: str, port: int) -> Any:
        raise ConnectError(f"{self.name} refused a connection to {host}:{port}", host=self.name)

    def close(self) -> None:
        """Nothing to end."""


class Engine:
    """Implements ports.Engine: has nothing, takes everything; the inside of a container is its host."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def ping(self) -> None:
        return None

    def free_gib(self) -> float:
        return 500.0

    def image_id(self, tag: str) -> None:
        return None

    def container(self, name: str) -> None:
        return None

    def pull(self, tag: str, **_: Any) -> str:
        return "sha256:a"

    def build(self, *_: Any, **__: Any) -> str:
        return "sha256:a"

    def start(self, request: Any) -> None:
        self._host.texts.append(request.health)

    def remove(self, name: str) -> None:
        """It is gone."""

    def shell(self, name: str) -> Host:
        return self._host


def told(base: str, name: str) -> str:
    distribution, version = SYSTEMS[base]
    facts = facts_output("/home/someone", hostname=name, user="someone", programs=("python3", "apt-get", "dnf"))
    return facts.replace("ID=debian", f"ID={distribution}", 1).replace('"12"', f'"{version}"')


def shell_texts(spec: Spec, *hosts: Host) -> list[str]:
    """All that a shell gets to see in the life of a deployment: files, commands, and the commands that a plan shows."""
    bench = Bench(spec, *hosts)  # type: ignore[arg-type]
    ports = replace(bench.ports(), engine=lambda host: Engine(host))  # type: ignore[arg-type, return-value]
    session = Session(spec, ports)
    if spec.creates_instances:
        place_hosts(bench.store, [HostAddress(host.name, "203.0.113.1", "172.16.0.1") for host in hosts])
    texts: list[str] = []
    try:
        for host in session.hosts:
            host.facts()
        for _, step in steps.plan(session).steps():
            description = step.describe()
            texts += [file.content for file in description.files if file.path.endswith(".sh")]
            texts += [description.title] if re.match("docker |git ", description.title) else []
            for act in (step.check, step.apply, getattr(step, "undo", None)) if step.host else ():
                with suppress(ProvisionerError):
                    if act:
                        act()
    finally:
        session.close()
    return [*texts, *(text for host in hosts for text in host.texts)]


def check_harmless(texts: list[str], folder: Path) -> None:
    assert not [text for text in texts if RENDERED in text]
    suspects = sorted({text for text in texts if "touch" in text})
    marks = Sandbox(folder).marks(suspects)
    assert marks == [], "\n".join([*marks, *suspects])


@pytest.mark.parametrize("path", PLACES, ids=".".join)
def test_text_of_an_inventory(path: tuple[str, ...], tmp_path: Path) -> None:
    rights = {base: next((text for text in RIGHT if accepted(base, path, text)), None) for base in BASES}
    assert any(rights.values()), "no inventory of this test has such a field"
    texts: list[str] = []
    for base, right in rights.items():
        for payload in PAYLOADS if right else ():
            variants = (payload, f"{right}{payload}", f"{payload}{right}")
            spec = next(filter(None, (accepted(base, path, text) for text in variants)), None)
            if spec is not None:
                with suppress(UsageError):
                    texts += shell_texts(spec, *(Host(name, told(base, name)) for name in Deployment(spec).host_names))
    check_harmless(texts, tmp_path)


FACTS = {
    "hostname=": "hostname",
    "home=": "home",
    "user=": "user",
    "ID=": "distribution",
    "VERSION_ID=": "distribution version",
    "kernel=": "",
    "program=": "",
    "model name\t: ": "",
    "flags\t\t: ": "",
}
"""What a host tells, and what it is called where it is refused; without a name no value is."""


@pytest.mark.parametrize("base", ["host", "docker", "sample"])
@pytest.mark.parametrize("fact", FACTS)
def test_what_a_host_says_of_itself(fact: str, base: str, tmp_path: Path) -> None:
    """Of the first host, whose name stands in the scripts of the others."""
    spec = inventory.parse(json.dumps({"name": "demo", **BASES[base], "spark": {"master": "hostname"}}))
    line = re.compile(f"(?m)^{re.escape(fact)}(.*)$")
    right = line.search(told(base, "a"))
    assert right, "no host of this test tells that"
    texts: list[str] = []
    refused = set()
    for payload in PAYLOADS:
        for value in (payload, f"{right[1]}{payload}", f"{payload}{right[1]}"):
            before, after = told(base, "a")[: right.start()], told(base, "a")[right.end() :]
            try:
                texts += shell_texts(spec, Host("a", f"{before}{fact}{value}{after}"), Host("b", told(base, "b")))
                break
            except HostError as error:
                refused.add((error.host, error.message.partition(" is ")[0]))
    assert refused <= {("a", f"a says that its {FACTS[fact]}")}
    check_harmless(texts, tmp_path)
