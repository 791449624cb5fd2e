"""The catalog: what can do bf16, with which sizes, and what a host of it is expected to look like."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from provisioner import catalog
from provisioner.catalog import instance_types, reading
from provisioner.errors import UsageError
from provisioner.hosts import topology
from provisioner.hosts.expected import expected_facts
from provisioner.inventory.spec import CloudSpec
from tests.support.catalog import known_type

DATA = Path(__file__).parents[1] / "data/catalog"
TYPES = yaml.safe_load((DATA / "types.yaml").read_text())
ALL = list(instance_types._types().values())
REFUSED = yaml.safe_load((DATA / "refused.yaml").read_text())


@pytest.mark.parametrize("case", [pytest.param(case, id=case["type"]) for case in TYPES])
def test_a_type_has_its_published_shape_and_the_layout_of_its_cpus(case: dict[str, Any]) -> None:
    known = catalog.lookup(case["type"])
    assert known is not None
    facts = expected_facts(known, "host-001")
    assert (known.vcpus, known.memory_gib, len(facts.cpus)) == (case["vcpus"], case["memory_gib"], case["vcpus"])
    cores: dict[tuple[int, int], list[int]] = {}
    nodes: dict[int, list[int]] = {}
    for cpu in facts.cpus:
        cores.setdefault((cpu.socket, cpu.core), []).append(cpu.number)
        nodes.setdefault(cpu.node, []).append(cpu.number)
    assert len(cores) == known.cores
    threads = list(cores.values())
    assert (threads[0], threads[-1]) == (case["first"], case["last"])
    ranges = [topology.WorkerSet(tuple(numbers), node, 0).numactl for node, numbers in sorted(nodes.items())]
    assert ranges == case["nodes"]


def test_the_papers_instance_gets_the_papers_workers() -> None:
    """A plan shows the paper's script before any host exists."""
    sets = topology.worker_sets(expected_facts(known_type("ecs.hfc7.24xlarge"), "host-001").cpus, 8)
    assert [one.numactl for one in sets] == ["0-11", "12-23", "24-35", "36-47", "48-59", "60-71", "72-83", "84-95"]
    assert {one.physical_cores for one in sets} == {6}


@pytest.mark.parametrize("case", [pytest.param(case, id=case["type"] or "empty") for case in REFUSED])
def test_what_cannot_do_bf16_is_refused_with_the_reason_and_what_to_take_instead(case: dict[str, Any]) -> None:
    with pytest.raises(UsageError) as caught:
        catalog.check_name(case["type"])
    for part in case["says"]:
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("ecs.hcf7.24xlarge", "did you mean "),
        ("ecs.hfc7.23xlarge", "ecs.hfc7 has large, xlarge"),
        ("ecs.g8y.99xlarge", "ecs.g8y has small, large"),
        ("ecs.zz-zz-zz-zz-zz.9", "families that can do bfloat16 are ecs.hfc7, ecs.hfg7"),
    ],
)
def test_a_type_that_no_list_knows_is_no_mistake_and_told_what_comes_close(name: str, says: str) -> None:
    catalog.check_name(name)
    assert catalog.lookup(name) is None
    assert says in catalog.suggestion(name)


def test_every_bf16_type_is_accepted_and_hfc7_and_hfg7_come_first() -> None:
    types = catalog.bf16_types()
    assert len({known.name for known in types}) == len(types) > 250
    assert list(dict.fromkeys(known.family for known in types))[:2] == ["ecs.hfc7", "ecs.hfg7"]
    for known in types:
        catalog.check_name(known.name)


def test_a_family_stands_with_those_that_can_or_cannot_as_its_processor_says() -> None:
    for section in ("bf16", "not_bf16"):
        for name, facts in reading.read("families.yaml")[section].items():
            processor = catalog.processor(facts["cpu"])
            assert processor is not None, name
            assert processor.bf16 == (section == "bf16"), name
            assert processor.architecture == facts["architecture"], name
            assert ("nearest" in facts) == (section == "not_bf16"), name


@pytest.mark.parametrize(
    "family", ["g9ae", "c9ae", "r9ae", "g8ae", "r8i", "r9i", "r8a", "r9a", "hfr8i", "hfr9i", "g8ine"]
)
def test_families_of_2026_are_known(family: str) -> None:
    known = known_type(f"ecs.{family}.2xlarge")
    assert (known.bf16, known.vcpus) == (True, 8)
    assert known.threads_per_core == (1 if family in ("g9ae", "c9ae", "r9ae") else 2)
    assert known.memory_gib / known.vcpus == {"c": 2, "g": 4, "r": 8}[family.removeprefix("hf")[0]]


def test_every_entry_is_whole() -> None:
    for known in ALL:
        assert known.name == f"{known.family}.{known.size}"
        assert known.architecture in ("x86_64", "arm64"), known.name
        assert known.vcpus == known.cores * known.threads_per_core > 0, known.name
        assert 2 <= known.memory_gib / known.vcpus <= 11, known.name
        assert set(known.disks) & {"cloud_essd", "cloud_efficiency"}, known.name
        assert known.siblings in ("adjacent", "split"), known.name
        assert known.cores % known.nodes == 0, known.name
        instead = catalog.nearest_bf16(known)
        assert instead.bf16, known.name
        assert instead.architecture == known.architecture, known.name
        assert (instead is known) == known.bf16, known.name


def test_within_a_family_sizes_go_from_small_to_large() -> None:
    """`nearest_bf16` takes the first that is large enough."""
    for family in {known.family for known in ALL}:
        vcpus = [known.vcpus for known in ALL if known.family == family]
        assert vcpus == sorted(set(vcpus)), family


def test_facts_name_the_distribution_of_the_image_and_its_login() -> None:
    known = known_type("ecs.hfc7.large")
    facts = expected_facts(known, "h", "acs:ubuntu_22_04_x64")
    assert (facts.hostname, facts.user, facts.home) == ("h", "root", "/root")
    assert (facts.distribution, facts.distribution_version, facts.package_manager) == ("ubuntu", "22.04", "apt")
    assert facts.cpu_flags == {"avx512_vnni", "avx512_bf16"}
    assert (facts.memory_gib, facts.cpu_model) == (4, known.cpu)
    default = expected_facts(known, "h")
    assert (default.distribution, default.distribution_version, default.package_manager) == ("alinux", "3", "dnf")
    assert expected_facts(known, "h", "acs:mine").distribution == ""


def test_the_inventorys_defaults_are_in_the_catalog_and_fit_each_other() -> None:
    defaults = CloudSpec()
    known = known_type(defaults.instance_types[0])
    family = catalog.image_family(defaults.image_family)
    assert family is not None
    assert family.architecture == known.architecture
    assert family.size_gib <= defaults.system_disk.size_gib
    assert defaults.system_disk.category in known.disks
    assert expected_facts(known, "h").distribution == family.distribution


def test_image_families_are_whole() -> None:
    managers = {"ubuntu": "apt", "debian": "apt"}
    for name in catalog.image_families():
        family = catalog.image_family(name)
        assert family is not None
        assert family.login == "root"
        assert family.images
        assert list(family.images) == sorted(family.images), "the newest is last"
        assert name.endswith("_arm64" if family.architecture == "arm64" else "_x64")
        assert family.package_manager in (managers.get(family.distribution, "dnf"), "yum")
        assert family.size_gib >= 20
        assert family.kernel[0].isdigit()
    assert catalog.image_family("acs:windows") is None


def test_container_images_are_known_by_tag_from_any_registry_and_by_build() -> None:
    tag = "intelanalytics/analytics-zoo:0.8.1-bigdl_0.10.0-spark_2.4.3-bf16"
    paper = catalog.container_image(tag)
    assert paper is not None
    assert (paper.spark_home, paper.zoo_home) == ("/opt/work/spark-2.4.3", "/opt/work/analytics-zoo/dist")
    assert (paper.engine, paper.work_dir) == ("tfpark", "/opt/work")
    assert catalog.container_image(f"registry.example.com:5000/{tag}") is paper
    assert catalog.container_image("debian:13") is None
    for build, engine in (("zoo-nightly", "tfpark"), ("zoo-release", "tfpark"), ("spark", "spark")):
        known = catalog.container_image(build)
        assert known is not None
        assert known.engine == engine
    spark = catalog.container_image("spark")
    assert spark is not None
    assert spark.spark_home is None


def test_importing_reads_nothing_and_loads_nothing_heavy() -> None:
    """`--help` and an offline plan stay quick."""
    heavy = ["yaml", "difflib", "paramiko", "docker", "tensorflow", "alibabacloud_ecs20140526", "rich", "jinja2"]
    code = (
        "import sys\nfrom provisioner import catalog\nfrom provisioner.catalog import instance_types\n"
        "from provisioner.hosts import topology\nfrom provisioner.reporting import report\n"
        f"print([name for name in {heavy!r} if name in sys.modules])\n"
        "catalog.check_name('ecs.hfc7.24xlarge')\ncatalog.lookup('ecs.hfc7.24xlarge')\n"
        "print(instance_types._types.cache_info().misses, 'difflib' in sys.modules)\n"
        "catalog.bf16_types()\nprint(instance_types._types.cache_info().misses)"
    )
    root = Path(catalog.__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.split("\n") == ["[]", "1 False", "1", ""]
