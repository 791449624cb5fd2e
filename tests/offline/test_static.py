"""`provider: static`: somebody's hosts over real SSH. Nothing is created or left, and one dead host stops no other."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from provisioner.adapters.known_hosts import fingerprint
from provisioner.adapters.ssh import generate_key
from provisioner.adapters.store import FolderStore
from tests.support.cli import PATIENCE_S, ROOT, Done, command, environment, provisioner
from tests.support.ssh_server import Servers, SshServer, free_port

PROGRAMS = {
    "java": """echo 'openjdk version "21.0.1"' >&2""",
    "numactl": "exit 0",
    "python3": "exit 0",
}
HOSTS = 1
"""Phases that need no Spark."""


class Lab:
    """Two SSH servers on one machine, and inventories that name them."""

    def __init__(self, folder: Path, servers: Servers) -> None:
        self.folder = folder
        self.key = folder / "key"
        public = generate_key(self.key, "test")
        self.servers: dict[str, SshServer] = {}
        for name in ("a", "b"):
            (folder / name).mkdir()
            self.servers[name] = servers.add(home=folder / name, login=[public]).start()

    def host(self, name: str, **changes: Any) -> dict[str, Any]:
        server = self.servers[name]
        known = {"name": name, "address": "127.0.0.1", "port": server.port, "host_key": server.public_keys[0]}
        return {key: value for key, value in {**known, **changes}.items() if value is not None}

    def inventory(self, *hosts: dict[str, Any], **ssh: Any) -> Path:
        """JSON is YAML."""
        text = {
            "name": "lab",
            "provider": "static",
            "runtime": "host",
            "hosts": list(hosts),
            "ssh": {"key_file": str(self.key), "ready_timeout_s": 2, **ssh},
        }
        path = self.folder / "lab.yaml"
        path.write_text(json.dumps(text))
        return path

    def up(self, inventory: Path) -> Done:
        """Log in and look for programs."""
        done = subprocess.run(
            [sys.executable, "-m", "tests.support.partial", str(inventory), str(HOSTS)],
            cwd=ROOT,
            env=environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)


def on_a_terminal(*arguments: object) -> tuple[int, str]:
    """Run the program on a terminal of its own: its exit status, and all that it showed."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        command(*arguments),
        env=environment(TERM="xterm", COLUMNS="200"),
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
    )
    os.close(slave)
    shown = b""
    try:
        while select.select([master], [], [], PATIENCE_S)[0]:
            with suppress(OSError):  # EIO: the other side is closed
                if data := os.read(master, 65536):
                    shown += data
                    continue
            break
        return process.wait(PATIENCE_S), shown.decode()
    finally:
        process.kill()
        process.wait()
        os.close(master)


@pytest.fixture(name="lab")
def _lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    programs = tmp_path / "programs"
    programs.mkdir()
    for name, text in PROGRAMS.items():
        (programs / name).write_text(f"#!/bin/sh\n{text}\n")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    servers = Servers()
    yield Lab(tmp_path, servers)
    servers.close()


def test_hosts_are_logged_into_with_the_inventorys_keys(lab: Lab) -> None:
    done = lab.up(lab.inventory(lab.host("a"), lab.host("b")))
    assert done.code == 0, done.err
    assert done.json == {"changed": 0, "present": 4}
    assert [server.logins[0] for server in lab.servers.values()] == ["root", "root"]
    assert len(lab.servers["a"].connections) == 1  # one for all steps


def test_commands_and_files_go_to_the_host_that_is_named(lab: Lab) -> None:
    assert lab.up(lab.inventory(lab.host("a"), lab.host("b"))).code == 0
    done = provisioner("exec", "lab", "--host", "all", "--", "pwd")
    assert sorted(done.out.splitlines()) == [f"[a] {lab.folder}/a", f"[b] {lab.folder}/b"]
    assert provisioner("cp", lab.key.with_name("lab.yaml"), "lab/b:inventory").code == 0
    assert (lab.folder / "b/inventory").exists()
    assert not (lab.folder / "a/inventory").exists()


def test_cp_shows_on_a_terminal_how_far_it_is(lab: Lab, tmp_path: Path) -> None:
    """Both ways, file by file in one line that is written over."""
    assert lab.up(lab.inventory(lab.host("a"))).code == 0
    (tmp_path / "data/sub").mkdir(parents=True)
    (tmp_path / "data/a").write_bytes(bytes(3 * 2**20))
    (tmp_path / "data/sub/b").touch()
    for source, target in ((tmp_path / "data", "lab:there"), ("lab:there", tmp_path / "back")):
        code, shown = on_a_terminal("cp", source, target)
        assert code == 0, shown
        assert shown.count("\n") == 2, shown
        assert re.search(r"\r1 of 2: a, 0\.0 MiB, 0%\x1b\[K", shown), shown
        assert re.search(r"\r1 of 2: a, 3\.0 MiB, 100%, \d+\.\d MiB/s\x1b\[K", shown), shown
        assert re.search(r"\r2 of 2: sub/b, 0\.0 MiB, 100%\x1b\[K\r?\n2 files copied", shown), shown
    assert (tmp_path / "back/a").stat().st_size == 3 * 2**20


def test_status_asks_each_host_what_runs_and_names_those_that_do_not_answer(lab: Lab) -> None:
    assert lab.up(lab.inventory(lab.host("a"), lab.host("b"))).code == 0
    lab.servers["b"].stop()
    done = provisioner("status", "lab", "--json")
    assert done.code == 0, done.err
    a, b = done.json["hosts"]
    assert list(a["inside"]) == ["workers"]
    assert "could not connect to b" in b["inside"]["problem"]
    assert " alive" in provisioner("status", "lab").out
    assert "RUNS" not in provisioner("status").out, "all deployments at a glance: nobody is asked"


def test_a_hundred_hosts_are_asked_side_by_side(lab: Lab) -> None:
    """No command ends before all have begun."""
    names = [f"h{number:03}" for number in range(100)]
    hosts = [{**lab.host("a"), "name": name} for name in names]
    assert lab.up(lab.inventory(*hosts, ready_timeout_s=PATIENCE_S)).json == {"changed": 0, "present": 200}
    together = f"echo >>begun; until [ $(wc -l <begun) -ge {len(names)} ]; do sleep 1; done; echo done"
    done = provisioner("exec", "lab", "--host", "all", "--", together)
    assert done.code == 0, done.err
    assert sorted(done.out.splitlines()) == [f"[{name}] done" for name in names]


def test_a_key_that_is_not_the_inventorys_is_refused(lab: Lab) -> None:
    """Both fingerprints are named and nobody logs in."""
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().strip()
    done = lab.up(lab.inventory(lab.host("a", host_key=other)))
    assert done.code == 1
    assert fingerprint(other) in done.err
    assert fingerprint(lab.servers["a"].public_keys[0]) in done.err
    assert lab.servers["a"].logins == []


def test_a_key_that_nobody_named_is_refused_unless_new_ones_are_accepted(lab: Lab) -> None:
    unknown = lab.host("a", host_key=None)
    strict = lab.up(lab.inventory(unknown))
    assert strict.code == 1
    assert "is unknown" in strict.err
    assert lab.servers["a"].logins == []
    assert lab.up(lab.inventory(unknown, host_keys="accept-new")).code == 0
    assert lab.up(lab.inventory(unknown)).code == 0  # it is known by now


def test_a_dead_host_stops_no_other_and_is_named(lab: Lab) -> None:
    dead = lab.host("b", port=free_port())
    done = lab.up(lab.inventory(lab.host("a"), dead))
    assert done.code == 1
    assert "1 of 2 hosts failed" in done.err
    assert "login/b: could not connect to b (root@127.0.0.1:" in done.err
    assert '"step": "programs/a"' in done.err
    assert '"step": "programs/b"' not in done.err


def test_a_host_that_lacks_something_shows_what_it_printed(lab: Lab) -> None:
    (lab.folder / "programs/java").write_text("#!/bin/sh\necho 'openjdk version \"11\"' >&2\n")
    (lab.folder / "programs/id").write_text("#!/bin/sh\necho 1000\n")
    (lab.folder / "programs/sudo").write_text("#!/bin/sh\nexit 1\n")
    for name in ("id", "sudo"):
        (lab.folder / f"programs/{name}").chmod(0o755)
    done = lab.up(lab.inventory(lab.host("a")))
    assert done.code == 1
    assert "a lacks what Spark and TensorFlow need: no root and no passwordless sudo" in done.err
    assert "    | no root and no passwordless sudo: install Java 17 or later by hand" in done.err
    log = FolderStore.open("lab", create=False).folder / "logs/a.log"
    assert f"the whole output is in {log}" in done.err
    assert "no root and no passwordless sudo: install Java 17 or later by hand" in log.read_text()


def test_the_wrong_user_is_told_what_to_check(lab: Lab) -> None:
    done = lab.up(lab.inventory(lab.host("a", user="nobody"), ready_timeout_s=1))
    assert done.code == 1
    assert "authentication refused for user nobody" in done.err
    assert "ssh.user" in done.err


def test_down_takes_its_folder_away_and_nothing_else(lab: Lab) -> None:
    assert lab.up(lab.inventory(lab.host("a"), lab.host("b"))).code == 0
    for name in ("a", "b"):
        (lab.folder / name / "provisioner/lab/logs").mkdir(parents=True)
        (lab.folder / name / "mine").touch()
    done = provisioner("down", "lab", "--yes")
    assert (done.code, done.err) == (0, "")
    assert "removed its folder on a, b" in done.out
    assert [path.name for name in ("a", "b") for path in (lab.folder / name).iterdir()] == ["mine", "mine"]


def test_down_with_a_dead_host_cleans_the_other_and_says_so(lab: Lab) -> None:
    assert lab.up(lab.inventory(lab.host("a"), lab.host("b"))).code == 0
    (lab.folder / "a/provisioner/lab").mkdir(parents=True)
    lab.servers["b"].stop()
    done = provisioner("down", "lab", "--yes")
    assert done.code == 1
    assert "could not be undone" in done.err
    remedy = (
        "`provisioner down lab` tries again; with --forget-hosts it leaves hosts that are gone for good as they are"
    )
    assert done.err.partition("\n")[0].endswith(f"steps could not be undone: {remedy}")
    assert "could not connect to b" in done.err
    assert not (lab.folder / "a/provisioner").exists()
    assert provisioner("status", "lab", "--json").json["state"] == "exists"


def test_down_can_forget_a_host_that_is_gone_for_good(lab: Lab) -> None:
    """The other is cleaned; what stays on the lost one is said, and the name can live again."""
    assert lab.up(lab.inventory(lab.host("a"), lab.host("b"))).code == 0
    (lab.folder / "a/provisioner/lab").mkdir(parents=True)
    lab.servers["b"].stop()
    done = provisioner("down", "lab", "--yes", "--forget-hosts")
    assert done.code == 0
    assert "b is forgotten, with what this did there (" in done.err
    assert "Spark" in done.err.partition(")")[0]
    assert done.out.endswith("Stopped Spark and removed its folder on a.\n")
    assert not (lab.folder / "a/provisioner").exists()
    assert provisioner("status", "lab", "--json").json["state"] == "removed"


def test_down_of_many_dead_hosts_waits_once(lab: Lab) -> None:
    """Side by side, and not again for each step."""
    hosts = [{**lab.host("a"), "name": f"h{number}", "port": free_port()} for number in range(8)]
    path = lab.inventory(*hosts, ready_timeout_s=3)
    assert lab.up(path).code == 1
    began = time.monotonic()
    done = provisioner("down", "lab", "--yes")
    assert done.code == 1
    assert time.monotonic() - began < 30  # and not 3 s for each of 17 steps


def test_ctrl_c_does_not_wait_for_a_host_that_does_not_answer(lab: Lab) -> None:
    """Although it would be waited for for an hour."""
    path = lab.inventory(lab.host("a", port=free_port()), ready_timeout_s=3600)
    process = subprocess.Popen(
        command("up", path, "--yes"), env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        while "waiting for SSH" not in process.stdout.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=PATIENCE_S)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130
    assert err == (
        "provisioner: interrupted: lab may still be running on its hosts; `provisioner down lab` removes everything\n"
    )
