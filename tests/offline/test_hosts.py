"""The way onto simulated machines: real SSH with host keys that are known before, commands and files both ways."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from provisioner.adapters.known_hosts import fingerprint, known_keys
from tests.simulator.client import Client
from tests.support.site import NETWORK_AND_INSTANCES, Site

PORT = 2222


@pytest.fixture(name="host")
def _host(site: Site) -> Site:
    """One instance that runs and whose keys are known."""
    site.up(site.inventory())
    return site


def state(site: Site) -> Any:
    return json.loads((site.folder / "state/provisioner/demo/state.json").read_text())


def machine(site: Site) -> Path:
    """The folder of the only machine."""
    (root,) = (site.folder / "simulator/machines").glob("*/root")
    return root


def restarted(site: Site) -> None:
    """Stop and start the instance; it keeps its address."""
    client, (known,) = Client(site.simulator), state(site)["hosts"]
    before = client.instances()[0]
    client.call("StopInstance", InstanceId=known["instance_id"])
    site.until(lambda: client.instances()[0]["Status"] == "Stopped")
    client.call("StartInstance", InstanceId=known["instance_id"])
    site.until(lambda: client.instances()[0]["Status"] == "Running")
    assert client.instances()[0]["PublicIpAddress"] == before["PublicIpAddress"]


def test_keys_are_known_before_the_first_connection(host: Site) -> None:
    (known,) = state(host)["hosts"]
    keys = known_keys(host.folder / "state/provisioner/demo/known_hosts", known["address"], PORT)
    shown = (machine(host) / "etc/ssh/ssh_host_ed25519_key.pub").read_text()
    assert keys == [" ".join(shown.split()[:2])]
    assert known["user"] == "root"


def test_commands_run_there_and_end_as_they_ended(host: Site) -> None:
    done = host.run("exec", "demo", "--", "cat /etc/hostname >/dev/null; echo $MACHINE_ROOT; exit 3")
    assert (done.code, done.out) == (3, f"{machine(host)}\n")
    assert host.run("exec", "demo", "--host", "all", "--", "true").code == 0


def test_every_host_answers_with_its_name(site: Site) -> None:
    site.up(site.inventory(cloud=", count: 2"))
    out = site.run("exec", "demo", "--host", "all", "--", "cat $MACHINE_ROOT/etc/hostname").out
    assert sorted(out.splitlines()) == ["[demo-001] demo-001", "[demo-002] demo-002"]
    assert site.run("exec", "demo", "--host", "demo-002", "--", "cat $MACHINE_ROOT/etc/hostname").out == "demo-002\n"


def test_files_go_there_and_come_back(host: Site, tmp_path: Path) -> None:
    (tmp_path / "data/sub").mkdir(parents=True)
    (tmp_path / "data/a").write_bytes(bytes(range(256)) * 4096)
    (tmp_path / "data/sub/b").write_text("b")
    assert host.run("cp", tmp_path / "data", "demo:there").out == (
        "1 of 2: a, 1.0 MiB\n2 of 2: sub/b, 0.0 MiB\n2 files copied\n"
    )
    assert (machine(host) / "there/a").read_bytes() == (tmp_path / "data/a").read_bytes()
    assert host.run("cp", "demo:there", tmp_path / "back").out.endswith("2 files copied\n")
    assert (tmp_path / "back/a").read_bytes() == (tmp_path / "data/a").read_bytes()
    assert (tmp_path / "back/sub/b").read_text() == "b"


@pytest.mark.parametrize(
    ("target", "there"),
    [
        ("~", "a file"),
        ("", "a file"),
        ("~/", "a file"),
        ("~/new", "new"),
        ("~/it's new/a file", "it's new/a file"),
        ("./~", "~"),
    ],
)
def test_a_path_begins_at_the_logins_home(host: Site, tmp_path: Path, target: str, there: str) -> None:
    """No folder is made that is named `~`."""
    (tmp_path / "a file").write_text("it")
    assert host.run("cp", tmp_path / "a file", f"demo:{target}").code == 0
    assert (machine(host) / there).read_text() == "it"
    for source in dict.fromkeys((there if there != "~" else "./~", f"~/{there}", machine(host) / there)):
        assert host.run("cp", f"demo:{source}", tmp_path / "back").code == 0
        (tmp_path / "back").rename(tmp_path / "came back")
        assert (tmp_path / "came back").read_text() == "it"


def test_somebody_elses_home_is_not_guessed(host: Site, tmp_path: Path) -> None:
    done = host.run("cp", tmp_path, "demo:~root/x")
    assert done.code == 2
    assert "where ~root is on the host is not known: name the folder itself" in done.err


def test_a_changed_host_key_is_refused_with_both_fingerprints(host: Site) -> None:
    """Nothing is sent to it; not by `exec`, and not by `up`."""
    old = (machine(host) / "etc/ssh/ssh_host_ed25519_key.pub").read_text()
    key = asyncssh.generate_private_key("ssh-ed25519")
    (machine(host) / "etc/ssh/ssh_host_ed25519_key").write_bytes(key.export_private_key())
    restarted(host)
    new = key.export_public_key().decode()
    for words in (["exec", "demo", "--", "touch sent"], ["up", host.inventory(), "--yes"]):
        done = host.run(*words)
        assert done.code == 1
        assert "has CHANGED" in done.err
        assert fingerprint(old) in done.err
        assert fingerprint(new) in done.err
    assert not (machine(host) / "sent").exists()
    assert host.run("down", "demo", "--yes").code == 0  # a host that is not trusted is removed all the same
    assert host.simulator.resources == []


def test_a_key_of_ours_that_changed_is_read_again_by_up_alone(host: Site) -> None:
    """As after keys that were read before cloud-init made new ones, or a new system disk."""
    key = asyncssh.generate_private_key("ssh-ed25519")
    (machine(host) / "etc/ssh/ssh_host_ed25519_key").write_bytes(key.export_private_key())
    (machine(host) / "etc/ssh/ssh_host_ed25519_key.pub").write_bytes(key.export_public_key())
    restarted(host)
    refused = host.run("exec", "demo", "--", "true")
    assert (refused.code, "`provisioner up`" in refused.err) == (1, True)
    host.up(host.inventory(), phases=NETWORK_AND_INSTANCES + 1)
    assert host.run("exec", "demo", "--", "true").code == 0


def test_the_same_key_after_a_restart_is_fine(host: Site) -> None:
    restarted(host)
    assert host.run("exec", "demo", "--", "true").code == 0


def test_a_host_whose_key_is_not_known_is_refused(host: Site) -> None:
    (host.folder / "state/provisioner/demo/known_hosts").unlink()
    done = host.run("exec", "demo", "--", "touch sent")
    assert done.code == 1
    assert "is unknown" in done.err
    assert "SHA256:" in done.err
    assert not (machine(host) / "sent").exists()


def test_a_host_that_is_gone_says_so(host: Site) -> None:
    """The address belongs to nobody any more; `down` does not need it."""
    path = host.folder / "state/provisioner/demo/state.json"
    document = json.loads(path.read_text())
    document["inventory"]["ssh"]["ready_timeout_s"] = 1
    path.write_text(json.dumps(document))
    (known,) = state(host)["hosts"]
    Client(host.simulator).call("DeleteInstance", InstanceId=known["instance_id"], Force="true")
    host.until(lambda: host.kinds()["instance"] == 0)
    done = host.run("exec", "demo", "--", "true")
    assert done.code == 1
    assert "could not connect to demo-001" in done.err
    assert "connection refused" in done.err
    assert host.run("down", "demo", "--yes").code == 0
