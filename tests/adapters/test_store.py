"""The deployment's folder: what is written stays, whatever happens, and nobody else reads it."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from provisioner.adapters.store import FolderStore, list_deployments, state_root
from provisioner.errors import LockedError, StateError, UsageError
from provisioner.inventory.spec import Spec
from tests.support.deployments import began

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBtZ"


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path / "provisioner"


@pytest.fixture
def store() -> FolderStore:
    return began(Spec(name="demo", provider="local"))


def reopened() -> FolderStore:
    return FolderStore.open("demo", create=False)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_state_is_where_the_desktop_standard_says(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert state_root() == root
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", "/home/me")
    assert state_root() == Path("/home/me/.local/state/provisioner")


def test_the_state_outlives_the_process(store: FolderStore) -> None:
    with store.changing() as state:
        state.public_key = "first"
    with store.changing() as state:
        state.public_key = "second"
    assert reopened().state.public_key == "second"
    assert reopened().state == store.state


def test_a_change_is_a_change_once_its_block_has_ended(store: FolderStore) -> None:
    with store.changing() as state:
        state.vswitch_zones = ("z",)
        assert store.state.vswitch_zones == reopened().state.vswitch_zones == ()
    assert store.state.vswitch_zones == reopened().state.vswitch_zones == ("z",)


def test_a_change_that_breaks_off_changes_nothing(store: FolderStore) -> None:
    with pytest.raises(ZeroDivisionError), store.changing() as state:
        state.vswitch_zones = (str(1 / 0),)
    assert store.state == reopened().state


def test_a_deployment_that_never_began_has_no_state(root: Path) -> None:
    store = FolderStore.open("new", create=True)
    assert not store.began
    with pytest.raises(StateError, match="deployment new was never started: `provisioner up` starts it"):
        _ = store.state
    assert list_deployments() == []


def test_only_the_owner_may_look(store: FolderStore, root: Path) -> None:
    os.chmod(root / "demo", 0o755)
    FolderStore.open("demo", create=True)
    store.secret("spark")
    store.write("rendered/host/run.sh", "x")
    store.append("events.jsonl", "{}")
    assert mode(root / "demo") == mode(root / "demo/secrets") == mode(root / "demo/rendered/host") == 0o700
    for name in ("state.json", "secrets/spark", "rendered/host/run.sh", "events.jsonl"):
        assert mode(root / "demo" / name) == 0o600


def test_deployments_are_listed(store: FolderStore, root: Path) -> None:
    began(Spec(name="other", provider="local"))
    (root / "not-one").mkdir()
    assert list_deployments() == ["demo", "other"]


def test_a_deployment_that_does_not_exist_is_told_from_those_that_do(store: FolderStore) -> None:
    with pytest.raises(StateError, match="there is no deployment called demmo: deployments on this machine: demo"):
        FolderStore.open("demmo", create=False)


@pytest.mark.parametrize("name", ["../demo", "", "a/b", "Demo", ".", "-x"])
def test_names_that_could_lead_elsewhere_are_refused(name: str) -> None:
    with pytest.raises(UsageError):
        FolderStore.open(name, create=True)


@pytest.mark.parametrize("name", ["../x", "/tmp/x", "a/../../x"])
def test_files_stay_inside_of_the_folder(store: FolderStore, name: str) -> None:
    for act in (lambda: store.write(name, ""), lambda: store.append(name, ""), lambda: store.secret(f"../{name}")):
        with pytest.raises(StateError, match="outside"):
            act()


# ------------------------------------------------------------------------------------------------- kills


def test_threads_lose_nothing(store: FolderStore) -> None:
    def remember(number: int) -> None:
        with store.changing() as state:
            state.runs = {**state.runs, f"run-{number}": number}

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(remember, range(20)))
        list(pool.map(lambda i: store.append("events.jsonl", f"{i}" * 2000), range(20)))
        secrets = list(pool.map(lambda i: store.secret("spark"), range(20)))
    assert reopened().state.runs == {f"run-{i}": i for i in range(20)}
    lines = (store.folder / "events.jsonl").read_text().splitlines()
    assert sorted(lines) == sorted(f"{i}" * 2000 for i in range(20))
    assert len(set(secrets)) == 1


BEGUN = """
from provisioner.adapters.clock import SystemClock
from provisioner.adapters.store import FolderStore
from provisioner.inventory.spec import Spec
from provisioner.deployment.journal import Journal
from tests.support.deployments import began

def begun():
    return began(Spec(name="demo", provider="local"))

def journal(store):
    return Journal(store, SystemClock(), print)
"""


def test_what_killed_runs_left_half_written_goes_at_the_next_start(store: FolderStore) -> None:
    """Among it a private key that was never used. Files of running processes stay, and so do other people's."""
    ended = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    pid = int(ended.stdout)
    store.secret("spark")
    gone = [f".id_rsa.{pid}.tmp", f".state.json.{pid}.tmp", f"secrets/.spark.{pid}.tmp"]
    stay = [f".known_hosts.{os.getppid()}.tmp", ".mine.tmp", f"host/.data.{pid}.tmp"]
    (store.folder / "host").mkdir()
    for name in (*gone, *stay):
        (store.folder / name).write_text("half")
    with store.lock():
        assert [name for name in gone if (store.folder / name).exists()] == []
        assert [name for name in stay if not (store.folder / name).exists()] == []


def test_a_secret_that_is_not_text_is_told_in_a_sentence(store: FolderStore) -> None:
    store.secret("spark")
    (store.folder / "secrets/spark").write_bytes(b"\xff\xfe")
    with pytest.raises(StateError, match="spark is not text"):
        store.secret("spark")


KILLED_AT_EACH_LINE = (
    BEGUN
    + """
import os, signal, sys
from provisioner.adapters import atomic, store as module

def dies_at(line):
    left = line
    def trace(frame, event, argument):
        nonlocal left
        if frame.f_code.co_filename not in (atomic.__file__, module.__file__):
            return None
        if event == "line":
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return trace
    sys.settrace(trace)

line, killed = 0, 0
with begun().changing() as state:
    state.public_key = "kept"
while True:
    line += 1
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        store = FolderStore.open("demo", create=False)
        dies_at(line)
        def call(token):
            os.write(writing, token.encode())
            return [f"id-{line}"]
        journal(store).create("vswitch", f"zone-{line}", call)
        os.write(writing, b" recorded")
        os._exit(0)
    os.close(writing)
    said = os.read(reading, 1000) + os.read(reading, 1000)
    os.close(reading)
    status = os.waitpid(child, 0)[1]
    store = FolderStore.open("demo", create=False)
    assert store.state.public_key == "kept"
    unresolved = [creation.token for creation in store.state.unresolved]
    made = f"id-{line}" in store.state.made("vswitch")
    assert made or b"recorded" not in said, "what create returned is on the disk"
    if said and not made:
        assert unresolved == [said.decode()], "the token of a call that went out is on the disk"
    assert not (made and unresolved)
    journal(store).abandon("vswitch", f"zone-{line}")
    assert all(name == "state.json" or name.endswith(".tmp") for name in os.listdir(store.folder))
    if status == 0:
        break
    assert status == signal.SIGKILL
    killed += 1
print(killed)
"""
)


def test_a_kill_between_any_two_lines_leaves_a_whole_state() -> None:
    done = subprocess.run([sys.executable, "-c", KILLED_AT_EACH_LINE], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert int(done.stdout) > 40


ENDLESS = (
    BEGUN
    + """
import itertools
store = begun()
for i in itertools.count():
    def call(token):
        print("intend", i, token, flush=True)
        return [f"id-{i}"]
    journal(store).create("vswitch", str(i), call)
    print("record", i, flush=True)
"""
)


@pytest.mark.parametrize("after", [1, 2, 7, 20, 33])
def test_a_kill_at_any_time_loses_no_token(after: int) -> None:
    """What a call returned was on the disk before."""
    with subprocess.Popen([sys.executable, "-c", ENDLESS], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        said = [child.stdout.readline().split() for _ in range(after)]
        child.kill()
        said += [line.split() for line in child.stdout if line.endswith("\n")]
    store = reopened()
    intended = {words[1]: words[2] for words in said if words[0] == "intend"}
    recorded = {words[1] for words in said if words[0] == "record"}
    unresolved = {creation.key: creation.token for creation in store.state.unresolved}
    made = set(store.state.made("vswitch"))
    for key, token in intended.items():
        if key in recorded:
            assert f"id-{key}" in made
        elif f"id-{key}" not in made:
            assert unresolved[key] == token
    assert len(unresolved) <= 1


# ------------------------------------------------------------------------------------------------- damage


def test_a_damaged_state_says_what_to_do(store: FolderStore) -> None:
    (store.folder / "state.json").write_text("{")
    with pytest.raises(StateError, match=r"state\.json is damaged: EOF while parsing") as caught:
        reopened()
    assert "provisioner sweep" in caught.value.remedy


def test_a_disk_that_takes_no_more_is_a_state_error_and_the_old_state_stays(store: FolderStore) -> None:
    with store.changing() as state:
        state.public_key = "old"
    (store.folder / "file").write_text("in the way of a folder")
    with pytest.raises(StateError, match=r"cannot be used: (Not a directory|File exists)"):
        store.write("file/below", "x")
    (store.folder / f".state.json.{os.getpid()}.tmp").mkdir()
    full = "cannot be used: Is a directory: check its owner and mode and the free space"
    with pytest.raises(StateError, match=full), store.changing() as state:
        state.public_key = "new"
    assert store.state.public_key == reopened().state.public_key == "old"


# ------------------------------------------------------------------------------------------------- files


def test_a_secret_is_random_stays_the_same_and_does_not_show_itself(store: FolderStore) -> None:
    secret = store.secret("spark")
    assert len(secret.reveal()) >= 40
    assert secret == reopened().secret("spark")
    assert secret != store.secret("other")
    assert secret.reveal() not in repr(secret) + (store.folder / "state.json").read_text()


def test_written_files_are_whole_and_have_their_mode(store: FolderStore) -> None:
    path = store.write("results/run.json", '{"é": 1}', mode=0o644)
    assert path == store.folder / "results" / "run.json"
    assert path.read_text(encoding="utf-8") == '{"é": 1}'
    assert mode(path) == 0o644
    assert store.write("results/run.json", b"\0\1").read_bytes() == b"\0\1"
    assert os.listdir(store.folder / "results") == ["run.json"]


def test_a_line_that_a_kill_tore_spoils_no_other(store: FolderStore) -> None:
    store.append("events.jsonl", '{"n": 1}')
    with (store.folder / "events.jsonl").open("a") as file:
        file.write('{"n": 2, "te')
    store.append("events.jsonl", '{"n": 3}')
    assert (store.folder / "events.jsonl").read_text() == '{"n": 1}\n{"n": 2, "te\n{"n": 3}\n'


def test_host_keys_take_the_place_of_older_ones(store: FolderStore) -> None:
    store.add_host_keys("10.0.0.1", 22, [f"{KEY}1 root@a", f"{KEY}2"])
    store.add_host_keys("10.0.0.2", 2222, [f"{KEY}3"])
    store.add_host_keys("10.0.0.1", 22, [f"{KEY}4"])
    assert store.known_hosts == store.folder / "known_hosts"
    assert store.known_hosts.read_text() == f"[10.0.0.2]:2222 {KEY}3\n10.0.0.1 {KEY}4\n"


# ------------------------------------------------------------------------------------------------- the lock

HOLDER = """
import sys
from provisioner.adapters.store import FolderStore
sys.argv[:] = ["/usr/bin/provisioner", "up", "inventory.yaml"]
store = FolderStore.open("demo", create=True)
with store.lock():
    with store.changing() as state:
        state.public_key = "the holder's"
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_run_is_kept_out_and_told_by_whom_until_the_first_is_gone(store: FolderStore) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"held\n"
        with pytest.raises(LockedError) as caught, store.lock():
            pass
        child.send_signal(signal.SIGKILL)
        child.wait()
    assert f"deployment demo is in use by `provisioner up inventory.yaml` (pid {child.pid}) since 20" in str(
        caught.value
    )
    with store.lock():
        assert store.state.public_key == "the holder's", "what the other run wrote is not lost"
        with store.changing() as state:
            state.vswitch_zones = ("mine",)
    assert reopened().state.public_key == "the holder's"


def test_the_lock_is_for_one_at_a_time_in_one_process_too(store: FolderStore) -> None:
    with store.lock(), pytest.raises(LockedError, match=f"pid {os.getpid()}"), reopened().lock():
        pass
    with reopened().lock():
        pass
