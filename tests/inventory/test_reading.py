"""YAML to Spec: every mistake reported at once, each with file, line and field."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from provisioner import inventory
from provisioner.errors import InventoryError, UsageError
from provisioner.inventory.spec import Spec

ROOT = Path(__file__).parents[2]
CASES = yaml.safe_load((Path(__file__).parents[1] / "data/inventory/mistakes.yaml").read_text())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["case"])
def test_mistakes(case: dict[str, object]) -> None:
    """A wrong inventory says what is wrong, where, and exits with 2."""
    with pytest.raises(InventoryError) as caught:
        inventory.parse(str(case["text"]), "i.yaml")
    assert caught.value.exit_code == 2
    if "problems" in case:
        assert list(caught.value.problems) == case["problems"]
    for part in case.get("contains", []):  # type: ignore[attr-defined]
        assert part in str(caught.value)


@pytest.mark.parametrize("path", sorted((ROOT / "inventories").glob("*.yaml")), ids=lambda path: path.stem)
def test_bundled_inventories_are_right(path: Path) -> None:
    """Every inventory that travels with the program loads, holds no secret, and is named in its file name."""
    spec = inventory.load(path)
    assert isinstance(spec, Spec)
    assert path.stem.startswith(spec.name)


def test_the_inventories_that_the_readme_promises() -> None:
    """The set is complete."""
    names = {path.stem for path in (ROOT / "inventories").glob("*.yaml")}
    wanted = {"paper", "hfc7-24xlarge", "hfg7-24xlarge", "spot", "cluster", "static", "local", "simulated"}
    assert wanted | {"zoo-release"} <= names
    assert inventory.load(ROOT / "inventories/cluster.yaml").cloud.count == 4


def test_allow_any_type_overrides() -> None:
    """Who insists gets a type without bf16, and one whose name is not written as the service's are."""
    text = "name: ab\nprovider: alibaba\nruntime: host\ncloud: {instance_types: [ecs.g7.large, standard], %s}"
    spec = inventory.parse(text % "allow_any_type: true")
    assert spec.cloud.instance_types == ("ecs.g7.large", "standard")
    with pytest.raises(InventoryError, match=r"cloud\.instance_types\[1\]"):
        inventory.parse(text % "allow_any_type: false")


def test_what_no_list_knows_yet_is_left_to_the_service() -> None:
    text = "name: ab\nprovider: alibaba\nruntime: host\ncloud: {instance_types: [ecs.new.large], image_family: acs:new}"
    assert inventory.parse(text).cloud.instance_types == ("ecs.new.large",)


def test_a_changed_workload_is_checked_like_one_that_was_read() -> None:
    """`provisioner run --dtype bfloat16` on an image without it."""
    spec = inventory.load(ROOT / "inventories/zoo-release.yaml")
    inventory.check_workload(spec)
    workload = spec.workload.model_copy(update={"dtypes": ("bfloat16",), "mode": "infer"})
    with pytest.raises(UsageError, match=r"workload\.mode: tfpark trains only.*; workload\.dtypes: .*no bfloat16"):
        inventory.check_workload(spec.model_copy(update={"workload": workload}))


def test_the_field_says_what_a_word_is() -> None:
    """A tag 1.10 is not 1.1; `no` is text where text is wanted, and false where that is."""
    spec = inventory.parse(
        "name: demo\nprovider: alibaba\nruntime: host\n"
        "cloud: {count: 2, deletion_protection: no, auto_release_hours: 1.50, image_id: ~,\n"
        "        tags: {version: 1.10, sold: no, day: 2026-02-30, old: !!str null, octal: 010}}\n"
        "spark: {settings: &s {spark.x: true}, submit_settings: *s}\n"
    )
    assert (spec.cloud.count, spec.cloud.deletion_protection, spec.cloud.auto_release_hours) == (2, False, 1.5)
    assert spec.cloud.image_id is None
    assert spec.cloud.tags == {"version": "1.10", "sold": "no", "day": "2026-02-30", "old": "null", "octal": "010"}
    assert spec.spark.settings == spec.spark.submit_settings == {"spark.x": "true"}


def test_lines_are_kept_where_they_mean_something() -> None:
    """User data is a script."""
    text = "name: demo\nprovider: alibaba\nruntime: host\ncloud:\n  user_data: |\n    #!/bin/sh\n    \techo\n"
    assert inventory.parse(text).cloud.user_data == "#!/bin/sh\n\techo\n"


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    """Each says what it is and what to do."""
    with pytest.raises(UsageError, match=r"there is no inventory .*provisioner init"):
        inventory.load(tmp_path / "none.yaml")
    with pytest.raises(UsageError, match="is a folder"):
        inventory.load(tmp_path)
    (tmp_path / "latin.yaml").write_bytes(b"name: caf\xe9")
    with pytest.raises(UsageError, match="not UTF-8"):
        inventory.load(tmp_path / "latin.yaml")
    with pytest.raises(UsageError, match=r"/dev/zero is larger than 1024 KiB"):
        inventory.load(Path("/dev/zero"))
