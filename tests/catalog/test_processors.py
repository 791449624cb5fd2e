"""Processors, recognised by whatever the service, guests and tables call them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from provisioner import catalog
from provisioner.errors import UsageError

CASES = yaml.safe_load((Path(__file__).parents[1] / "data/catalog/processors.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", [pytest.param(case, id=case["name"] or "empty") for case in CASES])
def test_a_name_tells_the_generation_and_what_it_can_do(case: dict[str, Any]) -> None:
    processor = catalog.processor(case["name"])
    assert (processor.name if processor else None) == case["processor"]
    assert catalog.bf16_of(processor.isa if processor else ()) == case["bf16"]


def described(cpu: str, **fields: Any) -> catalog.InstanceType:
    shape = {"vcpus": 8, "memory_gib": 32, "architecture": "x86_64", "threads_per_core": 2, **fields}
    return catalog.described("ecs.x.2xlarge", cpu=cpu, **shape)


def test_a_type_that_the_service_describes_is_judged_by_its_processor() -> None:
    known = described("AMD EPYC 9T95", threads_per_core=1)
    assert (known.bf16, known.processor, known.cores, known.nodes) == (True, "AMD Turin", 8, 1)
    catalog.check_described(known)
    silent = described("Intel(R) Xeon(R) Platinum")
    assert (silent.bf16, silent.processor) == (False, "")
    catalog.check_described(silent)
    with pytest.raises(UsageError) as caught:
        catalog.check_described(described("Intel Xeon(Cascade Lake) Platinum 8269CY"))
    assert str(caught.value) == (
        "ecs.x.2xlarge cannot do bfloat16: its processor is Intel Xeon(Cascade Lake) Platinum 8269CY, says the "
        "service, and Cascade Lake has no bfloat16 instructions: the nearest type that can is ecs.hfg7.2xlarge "
        "(8 vCPUs, 32 GiB)"
    )
    with pytest.raises(UsageError, match=r"is ecs\.g8y\.2xlarge "):
        catalog.check_described(described("Ampere Altra", architecture="arm64"))


@pytest.mark.parametrize(("architecture", "vcpus", "cores"), [("x86_64", 8, 4), ("x86_64", 1, 1), ("arm64", 8, 8)])
def test_threads_that_the_service_does_not_tell_are_the_architectures(
    architecture: str, vcpus: int, cores: int
) -> None:
    assert described("x", architecture=architecture, vcpus=vcpus, threads_per_core=0).cores == cores
