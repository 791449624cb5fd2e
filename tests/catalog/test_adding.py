"""docs/adding.md tells the truth: what it says to add to the data is all that the program needs."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from provisioner import catalog, inventory, steps
from provisioner.catalog import distributions, images, instance_types, processors, reading
from provisioner.deployment import Session
from provisioner.errors import UsageError
from provisioner.hosts.expected import doubts, expected_facts
from provisioner.inventory.spec import CloudSpec, Spec
from provisioner.render import data_folder, render
from provisioner.steps import image
from provisioner.steps.host import programs_script
from provisioner.steps.image import ImageStep
from tests.support.catalog import known_type

PAGE = Path(__file__).parents[2] / "docs/adding.md"
ENTRY = re.compile(
    r"^In `provisioner/data/(\w+\.yaml)`(?:, below `(\w+)`)?:\n\n```yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL
)
DOCKERFILE = re.compile(
    r"^As `([\w-]+)/Dockerfile` in `templates/docker/`:\n\n```dockerfile\n(.*?)^```$", re.MULTILINE | re.DOTALL
)
CACHES = (
    distributions._docker_recipes, distributions._host_programs, images._images, images._image_families,
    images._image_recipes, images._tagged, instance_types._families, instance_types._types, processors._patterns,
)  # fmt: skip


@pytest.fixture(autouse=True)
def _added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The data as it would be with the page's entries in it."""
    data = tmp_path / "data"
    shutil.copytree(reading._DATA, data)
    for file, below, entry in ENTRY.findall(PAGE.read_text(encoding="utf-8")):
        content: Any = yaml.safe_load((data / file).read_text(encoding="utf-8"))
        if below:
            content[below].update(yaml.safe_load(entry))
        else:
            content.extend(yaml.safe_load(entry))
        (data / file).write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    monkeypatch.setattr(reading, "_DATA", data)
    _forget()
    yield
    _forget()


def _forget() -> None:
    for cache in CACHES:
        cache.cache_clear()


def test_the_page_has_an_entry_for_each_file() -> None:
    files = [file for file, _, _ in ENTRY.findall(PAGE.read_text(encoding="utf-8"))]
    assert sorted(files) == sorted(
        [
            *("families.yaml", "families.yaml", "processors.yaml", "images.yaml", "images.yaml"),
            *("docker.yaml", "programs.yaml"),
        ]
    )
    for path in re.findall(r"`((?:tests|templates|workload|provisioner)/[\w./-]+)`", PAGE.read_text(encoding="utf-8")):
        assert (PAGE.parents[1] / path).exists(), path


def test_an_instance_family() -> None:
    known = known_type("ecs.g10a.32xlarge")
    catalog.check_name(known.name)
    assert (known.bf16, known.processor, known.cores, known.nodes) == (True, "AMD Venice", 64, 2)
    assert known in catalog.bf16_types()
    assert len(expected_facts(known, "h").cpus) == 128
    assert doubts(CloudSpec(instance_types=("ecs.g10a.large",)), {}) == []
    with pytest.raises(UsageError, match=r"Broadwell has no bfloat16 instructions.*ecs\.g8i\.2xlarge"):
        catalog.check_name("ecs.g4x.2xlarge")


def test_a_processor() -> None:
    described = catalog.described(
        "ecs.g9y.large", vcpus=2, memory_gib=8, cpu="YiTian910", architecture="arm64", threads_per_core=1
    )
    catalog.check_described(described)
    assert described.bf16


def test_a_distribution_and_its_image_family() -> None:
    cloud = CloudSpec(instance_types=("ecs.g8i.large",), image_family="acs:fedora_44_1_x64")
    assert doubts(cloud, {}) == []
    facts = expected_facts(known_type("ecs.g8i.large"), "h", cloud.image_family)
    assert (facts.distribution, facts.kernel) == ("fedora", "6.19")
    recipe = catalog.docker_recipe(facts.distribution, facts.distribution_version, facts.package_manager, "auto")
    assert recipe is not None
    values = {"title": recipe.title, "mirror": "https://m", "distribution": "fedora", "codename": recipe.codename}
    values |= {"release": recipe.release, "own": recipe.own}
    assert "dnf -y install docker-ce" in render(f"docker/{recipe.script}", **values)
    assert "python3.13" in programs_script(facts, "/root/venv")


def test_an_image_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ((name, dockerfile),) = DOCKERFILE.findall(PAGE.read_text(encoding="utf-8"))
    shutil.copytree(data_folder("templates"), tmp_path / "templates")
    (tmp_path / "templates/docker" / name).mkdir()
    (tmp_path / "templates/docker" / name / "Dockerfile").write_text(dockerfile)
    monkeypatch.setattr(image, "data_folder", lambda folder: tmp_path / folder)
    spec = inventory.parse(f"name: ab\nprovider: alibaba\nimage: {{build: {name}, registry_mirror: r.example.com}}\n")
    assert spec.image is not None
    session = Session(spec)
    (description,) = (step.describe() for _, step in steps.plan(session).steps() if step.name == "image/ab-001")
    assert description.title.startswith(f"docker build -t provisioner/{name}:")
    assert "--build-arg APT_MIRROR=http://mirrors.cloud.aliyuncs.com" in description.title
    assert "ab-001: spark-3 is of last year" in description.warnings
    assert session.deployment.container_image.name == name
    assert ImageStep(session.hosts[0]).needs_gib == 6
    assert name in Spec.model_json_schema()["$defs"]["ImageSpec"]["properties"]["build"]["anyOf"][0]["enum"]


def test_every_image_recipe_has_its_folder_and_no_folder_is_without_one() -> None:
    dockerfiles = (data_folder("templates") / "docker").glob("*/Dockerfile")
    assert {*catalog.image_recipes()} - {"spark-3"} == {path.parent.name for path in dockerfiles}


def test_every_docker_recipe_has_its_script_and_no_script_is_without_one() -> None:
    scripts = {recipe.script for recipe in distributions._docker_recipes()}
    assert scripts == {path.name for path in (data_folder("templates") / "docker").glob("install-*.sh")}
