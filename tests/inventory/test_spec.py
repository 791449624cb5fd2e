"""Specs that cannot be wrong or changed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from provisioner.inventory import spec as module
from provisioner.inventory.spec import CloudSpec, ImageSpec, Spec, SystemDiskSpec


def test_a_spec_does_not_change_and_knows_its_fields() -> None:
    spec = Spec(name="demo", provider="local", runtime="host")
    with pytest.raises(ValidationError, match="frozen"):
        spec.name = "other"
    with pytest.raises(ValidationError, match="extra_forbidden"):
        Spec.model_validate({"name": "demo", "provider": "local", "workers": 3})


@pytest.mark.parametrize("name", ["demo", "a", "a1", "a-b", "a" * 30])
def test_names(name: str) -> None:
    assert Spec(name=name, provider="local").name == name


@pytest.mark.parametrize("name", ["", "Demo", "1a", "-a", "a-", "a_b", "a.b", "a/b", "../a", "a" * 31, "a\n", "ä"])
def test_names_that_cannot_be(name: str) -> None:
    """A name becomes a folder, a host name and a tag."""
    with pytest.raises(ValidationError):
        Spec(name=name, provider="local")


def test_every_class_of_the_inventory_refuses_unknown_fields() -> None:
    found = [value for value in vars(module).values() if isinstance(value, type) and issubclass(value, BaseModel)]
    specs = [value for value in found if value.__module__ == module.__name__]
    assert len(specs) > 8
    assert all(value.model_config.get("extra") == "forbid" for value in specs)
    assert all(value.model_config.get("frozen") for value in specs)


def test_what_is_safe_is_the_default() -> None:
    """A forgotten instance ends, SSH is for the caller alone, keys are strict, Spark authenticates."""
    spec = Spec(name="demo", provider="alibaba")
    assert spec.cloud.auto_release_hours == 6
    assert spec.cloud.ssh_from == "auto"
    assert spec.ssh.host_keys == "strict"
    assert spec.spark.authenticate
    image = Spec.model_validate({"name": "d", "provider": "local", "image": {"build": "spark"}}).image
    assert image
    assert image.privileged is False


def test_an_unknown_image_recipe_is_told_which_there_are() -> None:
    with pytest.raises(ValidationError, match="'sparc' is not one of spark, zoo-release, zoo-nightly"):
        ImageSpec(build="sparc")


@pytest.mark.parametrize(
    ("disk", "right"),
    [
        ({"performance_level": "PL1", "size_gib": 20}, True),
        ({"performance_level": "PL2", "size_gib": 460}, False),
        ({"performance_level": "PL2", "size_gib": 461}, True),
        ({"performance_level": "PL3", "size_gib": 1260}, False),
        ({"performance_level": "PL3", "size_gib": 1261}, True),
        ({"category": "cloud_auto", "performance_level": "PL3", "size_gib": 40}, True),
        ({"size_gib": 19}, False),
        ({"size_gib": 2049}, False),
    ],
)
def test_disks_have_the_size_that_their_level_needs(disk: dict[str, Any], right: bool) -> None:
    if right:
        assert SystemDiskSpec(**disk)
    else:
        with pytest.raises(ValidationError):
            SystemDiskSpec(**disk)


def test_user_data_is_limited_in_bytes() -> None:
    assert CloudSpec(user_data="x" * 32 * 1024)
    with pytest.raises(ValidationError, match="32 KiB"):
        CloudSpec(user_data="é" * 17 * 1024)


@pytest.mark.parametrize(
    ("provider", "creates"), [("alibaba", True), ("simulator", True), ("static", False), ("local", False)]
)
def test_who_creates_instances(provider: Any, creates: bool) -> None:
    assert Spec(name="d", provider=provider).creates_instances is creates


def test_an_inventory_survives_being_written_down() -> None:
    """As the state folder keeps it."""
    spec = Spec.model_validate(
        {
            "name": "demo",
            "provider": "alibaba",
            "cloud": {"zones": ["cn-hangzhou-i"], "spot": {"price_limit_per_hour": 2.5}, "tags": {"a": "b"}},
            "image": {"pull": "x/y:1", "volumes": {"/data": "/data"}, "registry_login": _login()},
        }
    )
    assert Spec.model_validate(json.loads(json.dumps(spec.model_dump(mode="json")))) == spec


def _login() -> dict[str, str]:
    return {"username": "me", "password_env": "REGISTRY_PASSWORD"}
