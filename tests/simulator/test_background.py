"""A simulator in a process of its own: started once, found again, stopped, killed, cleaned up after."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from provisioner.simulator import ACCESS_KEY_ID, ACCESS_KEY_SECRET, background
from provisioner.simulator.machines import process_table
from tests.simulator.client import Client, Refused


@pytest.fixture(name="folder")
def _folder(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "simulator"
    yield folder
    background.clean(folder)


def client_of(endpoint: str) -> Client:
    port = int(endpoint.rpartition(":")[2])
    there: Any = SimpleNamespace(port=port, key_pair=(ACCESS_KEY_ID, ACCESS_KEY_SECRET))
    return Client(there)


def resources(endpoint: str) -> list[dict[str, Any]]:
    with urllib.request.urlopen(f"{endpoint}/_simulator/resources", timeout=10) as answer:
        found: list[dict[str, Any]] = json.load(answer)
    return found


def until(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def ended(pid: int) -> bool:
    """Gone, or only waiting for this process, its parent, to take note."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_started_once(folder: Path) -> None:
    """A second start finds the first, also when several come at once; stop ends it."""
    with ThreadPoolExecutor(4) as pool:
        endpoints = set(pool.map(lambda _: background.start(folder, machines="none"), range(4)))
    assert len(endpoints) == 1
    running = background.status(folder)
    assert running
    assert (running.endpoint, running.machines) == (endpoints.pop(), "none")
    assert os.getsid(running.pid) == running.pid
    assert background.stop(folder)
    assert ended(running.pid)
    assert background.status(folder) is None
    assert not background.stop(folder)


def test_two_processes_start_one(folder: Path) -> None:
    """Safe between processes too."""
    script = (
        "import sys, pathlib; from provisioner.simulator import background;"
        "print(background.start(pathlib.Path(sys.argv[1]), 'none'))"
    )
    root = str(Path(background.__file__).parents[2])
    started = [
        subprocess.Popen([sys.executable, "-c", script, folder], cwd=root, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    assert len({process.communicate(timeout=60)[0] for process in started}) == 1


def test_never_the_users_credentials(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It accepts the fixed pair, whatever pair the caller's environment holds."""
    monkeypatch.setenv("ALIBABA_CLOUD_ACCESS_KEY_ID", "real")
    monkeypatch.setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "real")
    endpoint = background.start(folder, machines="none")
    assert client_of(endpoint).call("DescribeRegions")["Regions"]
    pid = background.status(folder).pid  # type: ignore[union-attr]
    assert b"ALIBABA_CLOUD" not in Path(f"/proc/{pid}/environ").read_bytes()


def test_what_existed_outlives_it(folder: Path) -> None:
    """Stopped or killed, and started again: the same things exist."""
    endpoint = background.start(folder, machines="none", pace=0)
    client_of(endpoint).launch()
    before = resources(endpoint)
    background.stop(folder)
    endpoint = background.start(folder, machines="none", pace=0)
    assert resources(endpoint) == before
    pid = background.status(folder).pid  # type: ignore[union-attr]
    os.kill(pid, signal.SIGKILL)
    until(lambda: ended(pid))
    assert background.status(folder) is None
    assert resources(background.start(folder, machines="none", pace=0)) == before


def test_killed_with_its_machines(folder: Path) -> None:
    """What a killed simulator left running is ended by clean, and nothing stays."""
    endpoint = background.start(folder, machines="process", pace=0)
    client = client_of(endpoint)
    (instance,) = client.launch()

    def ready() -> bool:
        answer = client.call("DescribeCloudAssistantStatus")["InstanceCloudAssistantStatusSet"]
        return answer["InstanceCloudAssistantStatus"][0]["CloudAssistantStatus"] == "true"

    until(ready)
    daemon = "setsid sleep 300 >/dev/null 2>&1 </dev/null &"
    client.call(
        "RunCommand", Type="RunShellScript", CommandContent=daemon, ContentEncoding="PlainText", InstanceId_1=instance
    )
    mark = json.loads((folder / "identity").read_text())["id"] + "/"
    until(lambda: process_table.marked(mark))
    pid = background.status(folder).pid  # type: ignore[union-attr]
    os.kill(pid, signal.SIGKILL)
    until(lambda: ended(pid))
    assert process_table.marked(mark)
    background.clean(folder)
    assert process_table.marked(mark) == set()
    assert not folder.exists()


def test_another_process_with_the_pid(folder: Path) -> None:
    """A pid that belongs to somebody else now is not taken for the simulator, nor signalled."""
    background.start(folder, machines="none")
    ready = json.loads((folder / "ready").read_text())
    background.stop(folder)
    background.write_ready(folder / "ready", ready["port"])
    assert background.status(folder) is None
    assert not background.stop(folder)
    (folder / "ready").write_text(json.dumps({**ready, "pid": os.getpid()}))
    assert background.status(folder) is None


def test_a_start_that_fails_says_why(folder: Path) -> None:
    """The end of the log is in the error."""
    folder.mkdir()
    (folder / "state").write_text("damaged")
    with pytest.raises(RuntimeError, match="JSONDecodeError"):
        background.start(folder, machines="none")
    with pytest.raises(ValueError, match="submarines"):
        background.start(folder, machines="submarines")


def test_ends_by_itself(folder: Path) -> None:
    """After a while without anything to hold and anybody calling."""
    background.start(folder, machines="none", idle_exit_s=0.5)
    pid = background.status(folder).pid  # type: ignore[union-attr]
    until(lambda: ended(pid))
    assert background.status(folder) is None


def test_nothing_there(folder: Path) -> None:
    """Status, stop and clean of a folder that never was."""
    assert background.status(folder) is None
    assert not background.stop(folder)
    background.clean(folder)
    assert not folder.exists()


def test_importing_the_package_is_cheap() -> None:
    """The constants cost no server, no SSH and no YAML."""
    script = (
        "import sys, provisioner.simulator, provisioner.simulator.background;"
        "print([m for m in ('asyncssh', 'yaml', 'http.server', 'cryptography', 'werkzeug') if m in sys.modules])"
    )
    root = str(Path(background.__file__).parents[2])
    done = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_foreground_ends_on_sigterm(tmp_path: Path) -> None:
    """`python -m provisioner.simulator` says where it listens, minds its options, and cleans up when told to end."""
    root = str(Path(background.__file__).parents[2])
    faults, temporary = tmp_path / "faults", tmp_path / "tmp"
    faults.write_text('[{"action": "DescribeZones", "kind": "throttle"}]')
    temporary.mkdir()
    options = ["--machines", "process", "--quota", "vpcs=1", "--faults", faults]
    command = [sys.executable, "-m", "provisioner.simulator", *options]
    process = subprocess.Popen(
        command, cwd=root, stdout=subprocess.PIPE, text=True, env={**os.environ, "TMPDIR": str(temporary)}
    )
    with process:
        assert process.stdout
        endpoint = process.stdout.readline().split()[2].rstrip(",")
        assert resources(endpoint) == []
        client = client_of(endpoint)
        with pytest.raises(Refused, match="Throttling"):
            client.call("DescribeZones")
        client.call("CreateVpc")
        with pytest.raises(Refused, match=r"QuotaExceeded\.Vpc"):
            client.call("CreateVpc")
        assert list(temporary.iterdir())
        process.terminate()
    assert process.returncode == 0
    assert list(temporary.iterdir()) == []
