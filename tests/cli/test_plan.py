"""`plan` and `up --dry-run`: offline, without credentials, quick, always the same, and without a trace."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.cli import ROOT, Done, provisioner, write

INVENTORIES = sorted((ROOT / "inventories").glob("*.yaml"))
HEAVY = ("alibabacloud", "Tea", "darabonba", "paramiko", "docker", "tensorflow", "asyncssh", "werkzeug", "pyspark")
CREDENTIALS = {"ALIBABA_CLOUD_ACCESS_KEY_ID": "my-key-id", "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "my-key-secret"}


class Shown:
    """One inventory's plan as text, as JSON, and as `up --dry-run` shows it, with what was left behind by that."""

    def __init__(self, path: Path, folder: Path) -> None:
        self.path = path
        self.home = folder / "home"
        self.state = folder / "state"
        where = {"HOME": str(self.home), "XDG_STATE_HOME": str(self.state)}
        self.text = provisioner("plan", path, PYTHONHASHSEED="1", options=["-X", "importtime"], **where)
        self.dry_run = provisioner("up", path, "--dry-run", PYTHONHASHSEED="2", **where, **CREDENTIALS)
        self.json = provisioner("plan", path, "--json", **where)


@pytest.fixture(scope="module", name="shown", params=INVENTORIES, ids=lambda path: path.stem)
def _shown(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Shown:
    return Shown(request.param, tmp_path_factory.mktemp("plan"))


def imported(done: Done) -> set[str]:
    """The top-level modules in what `python -X importtime` wrote."""
    return {match.split(".")[0] for match in re.findall(r"^import time:.*\|\s+([\w.]+)$", done.err, re.MULTILINE)}


def test_offline_without_credentials_and_without_a_trace(shown: Shown) -> None:
    """In an empty home; nothing heavy is loaded, nothing is written, nothing goes wrong."""
    assert shown.text.code == 0
    assert "provisioner" in imported(shown.text)
    assert [name for name in imported(shown.text) if name.startswith(HEAVY)] == []
    assert list(shown.home.iterdir()) == []
    assert not shown.state.exists()


def test_the_same_bytes_every_time(shown: Shown) -> None:
    """Whatever the seed of Python's hashes, whoever's credentials; and `up --dry-run` shows the very same."""
    assert (shown.dry_run.code, shown.dry_run.err) == (0, "")
    assert shown.dry_run.out == shown.text.out
    assert "Nothing was changed." in shown.text.out


def test_json_has_just_the_designs_keys(shown: Shown) -> None:
    plan = shown.json.json
    assert list(plan) == ["name", "resources", "steps", "files", "warnings"]
    assert all(set(step) == {"phase", "host", "title"} for step in plan["steps"])
    assert all(set(file) == {"host", "path", "content"} for file in plan["files"])
    assert all({"kind", "name"} <= set(resource) for resource in plan["resources"])
    assert all(isinstance(warning, str) for warning in plan["warnings"])
    assert plan["steps"]


def test_text_shows_all_that_json_has(shown: Shown) -> None:
    plan, text = shown.json.json, shown.text.out
    for step in plan["steps"]:
        assert step["title"] in text
    for file in plan["files"]:
        assert f"File {file['path']} on " in text
        for line in file["content"].splitlines():
            assert f"  | {line}".rstrip() in text
    for warning in plan["warnings"]:
        assert warning in text


def test_resources_are_what_a_cloud_makes(shown: Shown) -> None:
    kinds = [resource["kind"] for resource in shown.json.json["resources"]]
    if shown.path.stem in ("static", "local"):
        assert kinds == []
    else:
        assert kinds[:4] == ["vpc", "vswitch", "security-group", "key-pair"]
        assert kinds[4:] == ["instance"] * (4 if shown.path.stem == "cluster" else 1)


def test_no_secret_is_in_a_plan() -> None:
    out = provisioner("plan", ROOT / "inventories/hfc7-24xlarge.yaml").out
    assert "spark.authenticate.secret=********" in out


def test_help_loads_nothing_heavy() -> None:
    done = provisioner("--help", options=["-X", "importtime"])
    assert [name for name in imported(done) if name.startswith((*HEAVY, "pydantic", "jinja2", "yaml"))] == []


def test_warnings_are_shown(tmp_path: Path) -> None:
    text = """\
name: mine
provider: alibaba
runtime: host
cloud: {instance_types: [ecs.hfc7.xlarge], auto_release_hours: null, ssh_from: [0.0.0.0/0]}
"""
    path = write(tmp_path / "i.yaml", text)
    plan = provisioner("plan", path, "--json").json
    assert "cloud.ssh_from opens SSH to the whole internet" in plan["warnings"]
    assert any("auto_release_hours is off" in warning for warning in plan["warnings"])
    assert "Warning: cloud.ssh_from" in provisioner("plan", path).out


def test_proxies_and_an_endpoint_do_not_matter_offline() -> None:
    nowhere = "http://127.0.0.1:9"
    proxies = {"HTTP_PROXY": nowhere, "HTTPS_PROXY": nowhere, "https_proxy": nowhere, "PROVISIONER_ENDPOINT": nowhere}
    path = ROOT / "inventories/paper.yaml"
    assert provisioner("plan", path, **proxies) == provisioner("plan", path)


def test_a_folder_that_cannot_be_written_does_not_matter(tmp_path: Path) -> None:
    """A plan writes nothing, so it needs no state folder."""
    assert (
        provisioner("plan", ROOT / "inventories/paper.yaml", XDG_STATE_HOME="/dev/null/state", HOME=str(tmp_path)).code
        == 0
    )
