"""Whatever an inventory says, it is read and planned, or refused with file, line and field: nothing else happens."""

from __future__ import annotations

import json
import os
import re
from typing import Annotated, Any, Literal, get_args, get_origin

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from provisioner import inventory, steps
from provisioner.deployment import Session
from provisioner.errors import InventoryError, UsageError
from provisioner.inventory.spec import Spec
from provisioner.operations import plan as planning

# Words of YAML that a reader may stumble over, most by the type that YAML 1.1 takes them for.
STUMBLING = (
    "2026-02-30", "2026-13-01", "2026-11-25T25:61:61Z", "0x_", "0b_", "0o8", "1_", "-", "+.inf", ".nan", "1e999",
    "1:99:99", "1.10", "010", "-1", "0", "9" * 5000, "-" + "9" * 5000, "''", "~", "null", "", "yes", "no", "on", "true",
    "!!int x", "!!bool maybe", "!!timestamp nope", "!!float x", "!!null x", "!!binary '%'", "!!set {a}", "!!omap [a]",
    "!!pairs [a: b]", "!!python/object:os.system x", "!local x", "!", "? [a]", "{? [a] : b}", "{{a: b}: c}",
    "&a [*a]", "*a", "&a {a: *a}", "[&b x, *b]", "<<", "{<<: a}", "{<<: [{a: b}]}", "=", "|", ">", "|-\n a\n",
    r'"\0"', r'"\x1b[31m"', r'"\ud800"', r'"\u202e"', r'"\u2028"', r'"\x85"', r'"\n"', "\t", "\ufeff", "é", "日", "🙂",
    '"$(touch X)"', "'; touch X'", '"`touch X`"', '"{{ 7*7 }}"', '"{% raw %}"', "%", "@", "'", '"', "x" * 300,
    "[" * 40, "[" * 2000 + "]" * 2000, "{a: " * 2000 + "}" * 2000, "[]", "{}", "[[]]", "[~]", "{~: ~}", "{1: 2}",
    "/", "/a", "a:b", "a: b",
)  # fmt: skip
BASES: tuple[dict[str, Any], ...] = (
    {"name": "demo", "provider": "alibaba", "image": {"build": "spark"}},
    {"name": "demo", "provider": "simulator", "runtime": "host", "workload": {"engine": "local"}},
    {"name": "demo", "provider": "static", "runtime": "host", "hosts": [{"name": "b", "address": "192.0.2.1"}]},
    {"name": "demo", "provider": "static", "image": {"pull": "a/b:1"}, "hosts": [{"name": "b", "address": "c.org"}]},
)

EXAMPLES = settings(
    max_examples=int(os.environ.get("PROVISIONER_EXAMPLES", "300")),  # before a release: 5000
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)

words = (
    st.sampled_from(STUMBLING) | st.text(max_size=12).map(json.dumps) | st.floats().map(str) | st.integers().map(str)
)


def right(annotation: Any) -> st.SearchStrategy[str]:
    """Text that a field of this type may well accept."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return right(arguments[0])
    if origin is Literal:
        return st.sampled_from([json.dumps(value) for value in arguments])
    if origin is tuple:
        return st.lists(any_of(arguments[0]), max_size=3).map(lambda items: f"[{', '.join(items)}]")
    if origin is dict:
        key, value = arguments
        return st.lists(st.tuples(any_of(key), any_of(value)), max_size=3).map(
            lambda pairs: "{" + ", ".join(f"{key}: {value}" for key, value in pairs) + "}"
        )
    if arguments:
        return st.one_of([right(argument) for argument in arguments])
    if annotation is bool:
        return st.booleans().map(json.dumps)
    if annotation in (int, float):
        return st.integers(0, 4096).map(str)
    if annotation is type(None):
        return st.just("null")
    if issubclass(annotation, BaseModel):
        return section(annotation)
    return st.sampled_from(
        ["a", "/a/b", "a-1", "ecs.hfc7.large", "https://a.example/b", "cn-hangzhou-k", "192.0.2.0/24", "1g"]
    ) | (st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=12).map(json.dumps))


def any_of(annotation: Any) -> st.SearchStrategy[str]:
    """Mostly what a field accepts, now and then anything."""
    return st.one_of(right(annotation), right(annotation), right(annotation), words)


def section(model: type[BaseModel], base: dict[str, Any] | None = None) -> st.SearchStrategy[str]:
    """A section with some of its fields, over those of a base."""
    fields = {name: any_of(field.annotation) for name, field in model.model_fields.items()}
    chosen = st.lists(st.sampled_from(sorted(fields)), max_size=4, unique=True).flatmap(
        lambda names: st.fixed_dictionaries({name: fields[name] for name in names})
    )
    given = {name: json.dumps(value) for name, value in (base or {}).items()}
    return chosen.map(
        lambda own: "{" + ",\n ".join(f"{name}: {value}" for name, value in {**given, **own}.items()) + "}"
    )


def read(text: str) -> Spec | None:
    """The Spec, or None when it was refused as an inventory is."""
    try:
        return inventory.parse(text, "i.yaml")
    except InventoryError as error:
        problems = error.problems
    for problem in problems:
        assert re.match(r"i\.yaml:\d+: \S", problem), problem
        assert problem.isprintable(), problem
        assert len(problem) < 1000, problem
    return None


@EXAMPLES
@given(st.one_of([section(Spec, base) for base in BASES]))
def test_any_values(text: str) -> None:
    """Any value in any field: read, planned, printed and kept, or refused."""
    spec = read(text)
    if spec is None:
        return
    assert Spec.model_validate(json.loads(json.dumps(spec.model_dump(mode="json")))) == spec
    try:
        document = planning.document(steps.plan(Session(spec))).as_json()
    except UsageError:
        return
    json.dumps(document, ensure_ascii=False).encode()


@EXAMPLES
@given(
    st.text()
    | st.lists(st.sampled_from([*STUMBLING, "a", ": ", "- ", "\n", "  ", ", ", "[", "]", "{", "}"])).map("".join)
)
def test_any_text(text: str) -> None:
    """Any text at all."""
    read(text)


@pytest.mark.parametrize("value", STUMBLING, ids=lambda value: value[:20])
@pytest.mark.parametrize("line", ["name: {}", "workload: {{steps: {}}}", "cloud: {{tags: {{a: {}}}}}", "{}"])
def test_each_stumbling_word(line: str, value: str) -> None:
    """Each of them once where text, a number, a mapping's value and a whole inventory is expected."""
    read(f"provider: simulator\nruntime: host\n{line.format(value)}\n")
