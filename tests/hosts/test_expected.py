"""What is expected of hosts, what of it nobody vouches for, and what hosts lack of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from provisioner.errors import CloudRefusedError, UsageError
from provisioner.hosts.expected import described_types, doubts, expected_facts, missing_flags, missing_words
from provisioner.inventory.spec import CloudSpec
from provisioner.resources import TypeOffer
from tests.support.catalog import known_type

GENOA, CASCADE, SILENT = "AMD EPYC 9T24", "Intel Xeon(Cascade Lake) Platinum 8269CY", "Intel(R) Xeon(R) Platinum"


def offer(name: str, cpu: str, threads: int = 2) -> TypeOffer:
    return TypeOffer(name, 8, 32.0, cpu, "x86_64", threads)


def cloud(*types: str, **fields: object) -> CloudSpec:
    return CloudSpec(instance_types=types, **fields)  # type: ignore[arg-type]


def test_a_listed_type_on_a_listed_image_leaves_no_doubt() -> None:
    assert doubts(cloud("ecs.hfc7.24xlarge", "ecs.g8i.large"), {}) == []


def test_an_unlisted_type_is_a_doubt_until_the_service_was_asked() -> None:
    spec = cloud("ecs.hfc7.large", "ecs.x9.2xlarge")
    (doubt,) = doubts(spec, {})
    assert doubt.startswith("ecs.x9.2xlarge is not in the catalog (")
    assert doubt.endswith("ask the service for its processor, and refuse one that cannot do bfloat16")
    described = described_types(spec, [offer("ecs.x9.2xlarge", GENOA, threads=1)])
    assert described["ecs.x9.2xlarge"].cores == 8
    assert doubts(spec, described) == []
    cpus = expected_facts(described["ecs.x9.2xlarge"], "h").cpus
    assert len({cpu.core for cpu in cpus}) == 8


def test_what_the_service_says_decides() -> None:
    with pytest.raises(UsageError, match="Cascade Lake has no bfloat16 instructions"):
        described_types(cloud("ecs.x9.2xlarge"), [offer("ecs.x9.2xlarge", CASCADE)])
    allowed = cloud("ecs.x9.2xlarge", allow_any_type=True)
    assert not described_types(allowed, [offer("ecs.x9.2xlarge", CASCADE)])["ecs.x9.2xlarge"].bf16
    with pytest.raises(CloudRefusedError, match=r"the service does not know ecs\.x9\.2xlarge"):
        described_types(cloud("ecs.x9.2xlarge"), [])
    assert described_types(cloud("ecs.x9.2xlarge", "ecs.hfc7.large"), []) == {}, "there is another to try"


def test_a_processor_whose_name_tells_nothing_is_a_doubt() -> None:
    spec = cloud("ecs.x9.2xlarge")
    (doubt,) = doubts(spec, described_types(spec, [offer("ecs.x9.2xlarge", SILENT)]))
    assert "'Intel(R) Xeon(R) Platinum', which does not tell its generation" in doubt


def test_an_unlisted_image_family_is_a_doubt() -> None:
    (doubt,) = doubts(cloud("ecs.hfc7.large", image_family="acs:debian_99_1_x64"), {})
    assert doubt.startswith("acs:debian_99_1_x64 is not in the catalog: the service is asked for it")
    assert doubts(cloud("ecs.hfc7.large", image_family="acs:debian_99_1_x64", image_id="m-1"), {}) == []


@pytest.mark.parametrize("image", ["acs:centos_7_9_x64", "acs:ubuntu_20_04_x64"])
def test_a_kernel_that_shows_no_amx_is_foreseen(image: str) -> None:
    (doubt,) = doubts(cloud("ecs.hfc7.large", "ecs.g8i.large", image_family=image), {})
    assert doubt.startswith(f"the kernel of {image} (")
    assert "does not show amx_bf16 of ecs.g8i.large" in doubt
    assert doubt.endswith("acs:alibaba_cloud_linux_3_2104_lts_x64 shows it")


def test_a_rented_type_ought_to_show_its_flags() -> None:
    rented = known_type("ecs.g8i.large")
    facts = expected_facts(rented, "h", "acs:ubuntu_20_04_x64")
    assert missing_flags(facts, rented) == []
    old = replace(facts, cpu_flags=frozenset({"avx512_bf16"}))
    assert missing_flags(old, rented) == ["amx_bf16"]
    assert missing_words(old, ["amx_bf16"], rented) == (
        "ubuntu 20.04 with kernel 5.4 does not show amx_bf16, which ecs.g8i.large has: bfloat16 is measured without "
        "it; a newer kernel shows it (AMX: 5.16 or later), as that of cloud.image_family: "
        "acs:alibaba_cloud_linux_3_2104_lts_x64"
    )


@pytest.mark.parametrize(
    ("model", "flags", "missing"),
    [
        ("Intel(R) Xeon(R) Platinum 8475B", {"avx512_bf16"}, ["amx_bf16"]),
        ("Intel(R) Xeon(R) Platinum 8475B", {"avx512_bf16", "amx_bf16"}, []),
        ("Neoverse-N2", {"asimd"}, []),
        ("Yitian 710", {"asimd"}, ["bf16"]),
        ("Yitian 710", {"asimd", "bf16", "svebf16"}, []),
        ("A processor", set(), []),
    ],
)
def test_of_a_host_that_was_not_rented_its_processors_name_tells_what_it_ought_to_show(
    model: str, flags: set[str], missing: list[str]
) -> None:
    facts = replace(expected_facts(known_type("ecs.hfc7.large"), "h"), cpu_model=model, cpu_flags=frozenset(flags))
    assert missing_flags(facts, None) == missing
