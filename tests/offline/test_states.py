"""States that are not as they should be: missing, damaged, of another version.

Nothing breaks for the other deployments, and what is advised leads somewhere.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from provisioner.adapters.store import FolderStore, state_root
from tests.support.cli import provisioner, write
from tests.support.site import ONE_OF_EACH, Site

ALIBABA = "name: mine\nprovider: alibaba\nruntime: host\n"
LOCAL = "name: here\nprovider: local\nruntime: host\n"


def state_file(name: str) -> Path:
    return state_root() / name / "state.json"


def rewrite(name: str, **fields: object) -> None:
    path = state_file(name)
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


# ------------------------------------------------------------------------------------------------- nothing to keep


def test_up_without_credentials_leaves_no_folder(tmp_path: Path) -> None:
    done = provisioner("up", write(tmp_path / "i.yaml", ALIBABA), "--yes")
    assert (done.code, "no credentials were found" in done.err) == (1, True)
    assert not (state_root() / "mine").exists()
    assert provisioner("status").out == "no deployments\n"


def test_up_with_credentials_that_are_refused_leaves_no_folder(site: Site) -> None:
    path = write(site.folder / "mine.yaml", ALIBABA)
    wrong = {"ALIBABA_CLOUD_ACCESS_KEY_ID": "wrong", "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "wrong"}
    done = site.run("up", path, "--yes", **wrong)
    assert done.code == 1
    assert "mistake in this program" not in done.err
    assert not (state_root() / "mine").exists()


# ------------------------------------------------------------------------------------------------- one of several


def test_status_shows_a_table_whatever_fails(site: Site) -> None:
    """One is damaged, one is of a newer version, one has credentials for another account, one is well."""
    for name in ("damaged", "newer", "foreign", "well"):
        site.up(site.inventory(name), phases=1)
    state_file("damaged").write_text("{")
    rewrite("newer", format=99)
    rewrite("foreign", place={**json.loads(state_file("foreign").read_text())["place"], "account_id": "7"})
    done = site.run("status")
    assert done.code == 1
    rows = {line.split()[0]: line for line in done.out.splitlines()}
    assert "could not be asked: " in rows["damaged"]
    assert "state.json is damaged" in rows["damaged"]
    assert "written by a newer provisioner" in rows["newer"]
    assert "foreign lives in region cn-hangzhou" in rows["foreign"]
    assert "no instances" in rows["well"]
    found = {each["name"]: each for each in site.run("status", "--json").json}
    assert set(found["well"]) | {"problem"} == set(found["damaged"])
    assert "is damaged" in found["damaged"]["problem"]


def test_status_of_one_that_fails_is_a_row_too(site: Site) -> None:
    site.up(site.inventory(), phases=1)
    state_file("demo").write_text("{")
    done = site.run("status", "demo")
    assert (done.code, done.err) == (1, "")
    assert "could not be asked: " in done.out
    missing = site.run("status", "nobody")
    assert (missing.code, missing.out) == (1, "")
    assert "there is no deployment called nobody" in missing.err


def test_a_folder_in_which_nothing_was_kept_yet_disturbs_nobody(tmp_path: Path) -> None:
    """Killed before its first write."""
    folder = FolderStore.open("early", create=True).folder
    assert os.listdir(folder) == []
    assert provisioner("status").out == "no deployments\n"
    assert "there is no deployment called early" in provisioner("down", "early", "--yes").err


# ------------------------------------------------------------------------------------------------- advice


def test_the_advice_for_a_damaged_state_leads_somewhere(site: Site) -> None:
    """Followed word for word: what was made is removed, and the name can be used again."""
    site.up(site.inventory())
    assert site.kinds() == ONE_OF_EACH
    state_file("demo").write_text(state_file("demo").read_text()[:-100])
    for words in (["down", "demo", "--yes"], ["up", site.inventory(), "--yes"]):
        done = site.run(*words)
        assert done.code == 1
        assert "`provisioner sweep --region REGION` removes by tag what it made; then delete its folder" in done.err
        assert str(state_file("demo")) in done.err
    assert site.run("sweep", "--region", "cn-hangzhou", "--yes").code == 0
    assert site.kinds() == {}
    shutil.rmtree(state_root() / "demo")
    site.up(site.inventory())
    assert site.kinds() == ONE_OF_EACH


# ------------------------------------------------------------------------------------------------- other versions


def test_down_and_status_read_an_inventory_of_another_version(site: Site) -> None:
    site.up(site.inventory())
    inventory = json.loads(state_file("demo").read_text())["inventory"]
    inventory["mood"] = "good"
    inventory["workload"] |= {"model": "resnet999", "precision": 8}
    inventory["cloud"] |= {"image_family": None}
    rewrite("demo", inventory=inventory)
    status = site.run("status")
    assert (status.code, "demo-001" in status.out) == (0, True)
    run = site.run("run", "demo")
    assert run.code == 1
    assert "the inventory of demo was written by another version of provisioner (" in run.err
    assert "workload.precision" in run.err
    down = site.run("down", "demo", "--yes")
    assert down.code == 0
    assert "left out: " in down.err
    assert "mood" in down.err
    assert site.kinds() == {}
