"""Types that the catalog lacks: the service is asked before anything is created, and its word decides."""

from __future__ import annotations

from pathlib import Path

import pytest

from provisioner import steps
from provisioner.errors import UsageError
from provisioner.step import Presence
from provisioner.steps.instance_types import InstanceTypesStep
from tests.support.deployments import Bench, spec


def bench(*types: str, **cloud: object) -> Bench:
    return Bench(spec(cloud={"instance_types": list(types), **cloud}))


def test_a_type_of_the_catalog_is_not_asked_about() -> None:
    made = bench("ecs.hfc7.large", "ecs.g9ae.large")
    assert "instance-types" not in [step.name for _, step in steps.plan(made.session).steps()]


def test_an_unlisted_type_is_asked_about_first_and_then_expected_as_described() -> None:
    made = bench("ecs.x9.2xlarge", "ecs.hfc7.large")
    first = steps.plan(made.session).phases[0].steps[0]
    assert isinstance(first, InstanceTypesStep)
    assert first.describe().title == "Ask what processor ecs.x9.2xlarge has"
    assert not made.session.host("demo-001").facts_are_known
    finding = first.check()
    assert (finding.presence, finding.detail) == (Presence.PRESENT, "ecs.x9.2xlarge: AMD EPYC 9T95")
    assert made.cloud.called("type_offers") == [(["ecs.x9.2xlarge"],)]
    assert made.session.host("demo-001").facts_are_known
    facts = made.session.host("demo-001").facts_or_expected
    assert (len({cpu.core for cpu in facts.cpus}), facts.cpu_flags) == (8, {"avx512_vnni", "avx512_bf16"})


def test_one_that_cannot_do_bf16_ends_up_before_anything_is_created(tmp_path: Path) -> None:
    made = bench("ecs.x9.2xlarge")
    made.cloud.cpu = "Intel Xeon(Cascade Lake) Platinum 8269CY"
    with pytest.raises(UsageError, match="Cascade Lake has no bfloat16 instructions"):
        made.runner().up()
    assert made.cloud.count() == {}


def test_who_insists_gets_it() -> None:
    made = bench("ecs.x9.2xlarge", allow_any_type=True)
    made.cloud.cpu = "Intel Xeon(Cascade Lake) Platinum 8269CY"
    step = InstanceTypesStep(made.session.access)
    assert step.check().presence is Presence.PRESENT


def test_down_asks_nothing() -> None:
    """A service that no longer knows the type must not be in the way."""
    made = bench("ecs.x9.2xlarge")
    made.runner(*steps.plan(made.session).phases[:1]).down()
    assert made.cloud.called("type_offers") == []
