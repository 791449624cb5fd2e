"""Process machines: SSH, files, forwarding, Cloud Assistant and user data in a folder, and nothing left afterwards."""

from __future__ import annotations

import base64
import os
import shlex
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import paramiko
import pytest

from provisioner.simulator.machines import MARKER, process_table
from provisioner.simulator.server import Simulator
from tests.simulator.client import Client, Refused

PORT = 2222


@pytest.fixture(name="key", scope="module")
def _key() -> paramiko.PKey:
    return paramiko.ECDSAKey.generate()


@pytest.fixture(name="cloud")
def _cloud(simulate: Callable[..., Client], key: paramiko.PKey, tmp_path: Path) -> Client:
    """A simulator with process machines and an imported key."""
    client = simulate(machines="process", folder=tmp_path)
    import_key(client, key)
    return client


def import_key(client: Client, key: paramiko.PKey) -> None:
    client.call("ImportKeyPair", KeyPairName="kp", PublicKeyBody=f"{key.get_name()} {key.get_base64()}")


def until(condition: Callable[[], Any], seconds: float = 20) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    return found


def launch(client: Client, **params: Any) -> list[dict[str, Any]]:
    """Instances whose Cloud Assistant answers."""
    ids = client.launch(KeyPairName="kp", **params)

    def ready() -> bool:
        rows = client.call("DescribeCloudAssistantStatus", MaxResults=100)["InstanceCloudAssistantStatusSet"]
        return all(row["CloudAssistantStatus"] == "true" for row in rows["InstanceCloudAssistantStatus"])

    until(ready)
    return [instance for instance in client.instances() if instance["InstanceId"] in ids]


def address(instance: dict[str, Any]) -> str:
    found: str = instance["PublicIpAddress"]["IpAddress"][0]
    return found


def command(client: Client, script: str, instance: str, **params: Any) -> dict[str, Any]:
    """RunCommand to its end; the result with its output decoded."""
    given = {"Type": "RunShellScript", "CommandContent": script, "ContentEncoding": "PlainText", **params}
    invocation = client.call("RunCommand", InstanceId_1=instance, **given)["InvokeId"]

    def result() -> dict[str, Any] | None:
        answer = client.call("DescribeInvocationResults", InvokeId=invocation)["Invocation"]
        (row,) = answer["InvocationResults"]["InvocationResult"]
        return None if row["InvocationStatus"] == "Running" else row

    row: dict[str, Any] = until(result)
    return {**row, "Output": base64.b64decode(row["Output"]).decode()}


@contextmanager
def connection(host: str, key: paramiko.PKey, user: str = "root") -> Iterator[paramiko.SSHClient]:
    with closing(paramiko.SSHClient()) as client:
        client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
        client.connect(host, PORT, user, pkey=key, allow_agent=False, look_for_keys=False, timeout=20)
        yield client


def run(client: paramiko.SSHClient, text: str, stdin: bytes = b"", **options: Any) -> tuple[int, bytes, bytes]:
    to_it, out, err = client.exec_command(text, timeout=20, **options)
    if stdin:
        to_it.write(stdin)
    to_it.channel.shutdown_write()
    printed, complained = out.read(), err.read()
    return out.channel.recv_exit_status(), printed, complained


def refused(host: str) -> bool:
    with closing(socket.socket()) as line:
        line.settimeout(5)
        return line.connect_ex((host, PORT)) != 0


def test_commands(cloud: Client, key: paramiko.PKey) -> None:
    """Status, both streams, standard input, and an end by signal come through; the folder is home and here."""
    (instance,) = launch(cloud)
    with connection(address(instance), key) as ssh:
        assert run(ssh, "echo out; echo err >&2; exit 3") == (3, b"out\n", b"err\n")
        assert run(ssh, "cat", b"x" * 300_000) == (0, b"x" * 300_000, b"")
        assert run(ssh, "kill -9 $$")[0] == -1
        status, printed, _ = run(ssh, 'pwd; echo "$HOME"; echo "$MACHINE_ROOT"; dirname "$TMPDIR"; id -u')
        folder, *others, user = printed.decode().split()
        assert (status, others, user) == (0, [folder] * 3, str(os.getuid()))
        assert run(ssh, "python3 -c 'import asyncssh'")[0] == 0
        assert run(ssh, "exec 1>&-; exec 2>&-; sleep 0.1; exit 5")[0] == 5


def test_terminal(cloud: Client, key: paramiko.PKey) -> None:
    """A session with a terminal has one: it answers, echoes, has a size, and ends with its shell."""
    (instance,) = launch(cloud)
    with connection(address(instance), key) as ssh:
        assert run(ssh, "tty >/dev/null && stty size; exit 4", get_pty=True) == (4, b"24 80\r\n", b"")
        shell = ssh.invoke_shell(width=100, height=30)
        shell.send(b"stty size; sleep 300 & exit 6\n")
        printed = b""
        while chunk := shell.recv(1000):
            printed += chunk
        assert b"30 100" in printed
        assert shell.recv_exit_status() == 6


def test_no_secrets_of_the_caller(cloud: Client, key: paramiko.PKey, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of the simulator's process does not reach the commands."""
    monkeypatch.setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "hush")
    monkeypatch.setenv("SOME_TOKEN", "hush")
    (instance,) = launch(cloud)
    with connection(address(instance), key) as ssh:
        assert b"hush" not in run(ssh, "env")[1]
    assert "hush" not in command(cloud, "env", instance["InstanceId"])["Output"]


def test_only_the_key_opens(cloud: Client, key: paramiko.PKey) -> None:
    """The key, for the user that it is for; no other key, no other user, no password."""
    (instance,) = launch(cloud)
    host = address(instance)
    with connection(host, key) as ssh:
        assert run(ssh, "true")[0] == 0
    for user, wrong in (("nobody", key), ("ecs-user", key), ("root", paramiko.ECDSAKey.generate())):
        with pytest.raises(paramiko.AuthenticationException), connection(host, wrong, user):
            pass
    with closing(paramiko.SSHClient()) as client:
        client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
        with pytest.raises(paramiko.SSHException):
            client.connect(host, PORT, "root", password="x", allow_agent=False, look_for_keys=False)


def test_login_as_non_root(cloud: Client, key: paramiko.PKey) -> None:
    """ImageOptions.LoginAsNonRoot: the key is ecs-user's, and not root's."""
    (instance,) = launch(cloud, **{"ImageOptions.LoginAsNonRoot": "true"})
    with connection(address(instance), key, "ecs-user") as ssh:
        assert run(ssh, "true")[0] == 0
    with pytest.raises(paramiko.AuthenticationException), connection(address(instance), key, "root"):
        pass


def test_host_key_through_the_assistant(cloud: Client, key: paramiko.PKey) -> None:
    """The key that Cloud Assistant reads is the one that the server shows; each machine has its own."""
    one, two = launch(cloud, Amount=2)
    assert address(one) != address(two)
    keys = []
    for instance in (one, two):
        read = command(cloud, "cat ${MACHINE_ROOT:-}/etc/ssh/ssh_host_*_key.pub", instance["InstanceId"])
        with connection(address(instance), key) as ssh:
            shown = ssh.get_transport().get_remote_server_key()  # type: ignore[union-attr]
        assert read["Output"].split()[:2] == [shown.get_name(), shown.get_base64()]
        keys.append(shown.get_base64())
    assert keys[0] != keys[1]


def test_files(cloud: Client, key: paramiko.PKey, tmp_path: Path) -> None:
    """Relative paths are in the folder; writing elsewhere is refused, by whichever operation and through links too."""
    (instance,) = launch(cloud)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("kept")
    with connection(address(instance), key) as ssh, ssh.open_sftp() as sftp:
        content = os.urandom(1_000_000)
        sftp.mkdir("sub")
        with sftp.open("sub/.new", "wb") as file:
            file.write(content)
        sftp.chmod("sub/.new", 0o750)
        sftp.posix_rename("sub/.new", "sub/file")
        assert run(ssh, "cat sub/file")[1] == content
        assert run(ssh, "stat -c %a sub/file")[1] == b"750\n"
        home = run(ssh, "pwd")[1].decode().strip()
        assert sftp.normalize(".") == home
        with sftp.open(f"{home}/absolute", "w") as file:
            file.write("fine")
        with sftp.open(str(outside / "file")) as file:
            assert file.read() == b"kept"
        sftp.symlink(str(outside), "link")
        target = str(outside / "file")
        for forbidden in (
            lambda: sftp.open(target, "w"),
            lambda: sftp.open(target, "a"),
            lambda: sftp.open("link/file", "w"),
            lambda: sftp.open("../../../outside/file", "w"),
            lambda: sftp.remove(target),
            lambda: sftp.rename("sub/file", str(outside / "moved")),
            lambda: sftp.posix_rename("sub/file", str(outside / "moved")),
            lambda: sftp.posix_rename(target, "moved"),
            lambda: sftp.mkdir(str(outside / "new")),
            lambda: sftp.rmdir(str(outside)),
            lambda: sftp.chmod(target, 0o777),
            lambda: sftp.truncate(target, 0),
            lambda: sftp.symlink("x", str(outside / "link")),
        ):
            with pytest.raises(PermissionError):
                forbidden()
    assert [(path.name, path.read_text()) for path in outside.iterdir()] == [("file", "kept")]


def test_forwarding(cloud: Client, key: paramiko.PKey) -> None:
    """direct-tcpip reaches loopback, other machines' addresses included, and nothing else."""
    one, two = launch(cloud, Amount=2)
    with closing(socket.create_server((address(two), 0))) as server, connection(address(one), key) as ssh:
        transport = ssh.get_transport()
        assert transport
        with closing(transport.open_channel("direct-tcpip", server.getsockname(), ("127.0.0.1", 0))) as channel:
            accepted, _ = server.accept()
            with closing(accepted):
                channel.sendall(b"ping")
                assert accepted.recv(4) == b"ping"
                accepted.sendall(b"pong")
                assert channel.recv(4) == b"pong"
        with pytest.raises(paramiko.ChannelException):
            transport.open_channel("direct-tcpip", ("192.0.2.1", 80), ("127.0.0.1", 0))


def test_run_command(cloud: Client) -> None:
    """Status, output of both streams in order, working folder, time limit, and many instances at once."""
    one, _two = launch(cloud, Amount=2)
    instance = one["InstanceId"]
    done = command(cloud, "echo out; echo err >&2; exit 3", instance)
    assert (done["ExitCode"], done["InvocationStatus"], done["Output"]) == (3, "Failed", "out\nerr\n")
    assert command(cloud, "mkdir sub", instance)["InvocationStatus"] == "Success"
    assert command(cloud, "basename $(pwd)", instance, WorkingDir="sub")["Output"] == "sub\n"
    late = command(cloud, "echo early; sleep 300", instance, Timeout=1)
    assert (late["InvocationStatus"], late["ExitCode"], late["Output"]) == ("Timeout", None, "early\n")
    long = command(cloud, "head -c 30000 /dev/zero | tr '\\0' x", instance)
    assert (len(long["Output"]), long["Dropped"]) == (24 * 1024, 30_000 - 24 * 1024)
    assert command(cloud, "nohup sleep 300 >/dev/null 2>&1 & echo gone on", instance)["Output"] == "gone on\n"


def test_invocations(cloud: Client) -> None:
    """A command on several instances is summed up, and found by instance."""
    one, two = (instance["InstanceId"] for instance in launch(cloud, Amount=2))
    script = f'case "$MACHINE_ROOT" in *{one}*) exit 0;; *) exit 1;; esac'
    shown = {"Type": "RunShellScript", "CommandContent": script, "ContentEncoding": "PlainText", "Name": "both"}
    invocation = cloud.call("RunCommand", InstanceId_1=one, InstanceId_2=two, **shown)["InvokeId"]

    def row() -> Any:
        (found,) = cloud.call("DescribeInvocations", InvokeId=invocation, InstanceId=two)["Invocations"]["Invocation"]
        return found if found["InvokeStatus"] != "Running" else None

    found = until(row)
    assert (found["CommandName"], base64.b64decode(found["CommandContent"]).decode()) == ("both", script)
    assert {i["InstanceId"]: i["ExitCode"] for i in found["InvokeInstances"]["InvokeInstance"]} == {one: 0, two: 1}
    results = cloud.call("DescribeInvocationResults", InvokeId=invocation, InstanceId=two)["Invocation"]
    assert results["TotalCount"] == 1


def test_a_machine_that_fails_says_so(cloud: Client, tmp_path: Path) -> None:
    """What kept a machine from starting is on its console; its agent never answers."""
    (tmp_path / "machines").write_text("in the way")
    with pytest.raises(Refused, match="InternalError"):
        cloud.launch()
    (tmp_path / "machines").unlink()
    (instance,) = cloud.launch(KeyPairName="kp", InternetMaxBandwidthOut=1)
    until(lambda: cloud.simulator._fleet.ready(instance))
    cloud.call("StopInstance", InstanceId=instance)
    (tmp_path / "machines" / instance / "root" / "etc" / "hostname").unlink()
    (tmp_path / "machines" / instance / "root" / "etc" / "hostname").mkdir()
    cloud.call("StartInstance", InstanceId=instance)

    def console() -> str:
        answer = cloud.call("GetInstanceConsoleOutput", InstanceId=instance)
        return base64.b64decode(answer["ConsoleOutput"]).decode()

    until(lambda: "Is a directory" in console())
    assert not cloud.simulator._fleet.ready(instance)


def test_run_command_needs_a_running_instance(simulate: Callable[..., Client]) -> None:
    """A stopped instance is refused; one whose agent is not up yet fails as the service's does."""
    client = simulate()
    (instance,) = client.launch()
    until(lambda: client.simulator._fleet.ready(instance))
    client.simulator._fleet._up.discard(instance)
    row = command(client, "true", instance)
    assert (row["InvokeRecordStatus"], row["ErrorCode"], row["ExitCode"]) == ("Failed", "ClientNotRunning", None)
    client.call("StopInstance", InstanceId=instance)
    with pytest.raises(Refused, match=r"InvalidInstance\.NotMatch"):
        command(client, "true", instance)


def test_user_data(cloud: Client, key: paramiko.PKey) -> None:
    """A script runs at the first boot, in the folder, and not again; the console shows what it printed."""
    script = base64.b64encode(b"#!/bin/sh\necho boot >> boots\necho hello from user data\n").decode()
    (instance,) = launch(cloud, UserData=script)

    def console() -> str:
        answer = cloud.call("GetInstanceConsoleOutput", InstanceId=instance["InstanceId"])
        return base64.b64decode(answer["ConsoleOutput"]).decode()

    until(lambda: "hello from user data" in console())
    cloud.call("RebootInstance", InstanceId=instance["InstanceId"])
    until(lambda: "hello" not in console())
    until(lambda: not refused(address(instance)))
    with connection(address(instance), key) as ssh:
        assert run(ssh, "cat boots")[1] == b"boot\n"


def test_a_stopped_machine_is_off(cloud: Client, key: paramiko.PKey) -> None:
    """Its processes end, daemonised ones too, connections drop, new ones are refused; then it comes back as it was."""
    one, two = launch(cloud, Amount=2)
    pids = []
    for instance in (one, two):
        with connection(address(instance), key) as ssh:
            daemon = "trap '' TERM HUP; echo $$ > pid; while :; do sleep 60; done"
            run(ssh, f"touch kept; setsid sh -c {shlex.quote(daemon)} >/dev/null 2>&1 </dev/null &")
            until(lambda ssh=ssh: run(ssh, "test -s pid")[0] == 0)
            pids.append(int(run(ssh, "cat pid")[1]))
    with connection(address(one), key) as open_one:
        shown = open_one.get_transport().get_remote_server_key()  # type: ignore[union-attr]
        cloud.call("StopInstance", InstanceId=one["InstanceId"])
        until(lambda: not alive(pids[0]))
        until(lambda: not open_one.get_transport().is_active())  # type: ignore[union-attr]
    until(lambda: refused(address(one)))
    assert alive(pids[1])
    cloud.call("StartInstance", InstanceId=one["InstanceId"])
    until(lambda: not refused(address(one)))
    with connection(address(one), key) as ssh:
        assert run(ssh, "test -e kept")[0] == 0
        assert ssh.get_transport().get_remote_server_key() == shown  # type: ignore[union-attr]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_released_machine_is_gone(cloud: Client, key: paramiko.PKey, tmp_path: Path) -> None:
    """No process, no listener, no file; its address is nobody's."""
    (instance,) = launch(cloud)
    host, name = address(instance), instance["InstanceId"]
    with connection(host, key) as ssh:
        run(ssh, "setsid sleep 300 >/dev/null 2>&1 </dev/null &")
    mark = f"{cloud.simulator.simulator_id}/{name}"
    until(lambda: bool(process_table.marked(mark)))
    cloud.call("DeleteInstance", InstanceId=name, Force=True)
    until(lambda: not (tmp_path / "machines" / name).exists())
    assert process_table.marked(mark) == set()
    assert refused(host)


def test_two_simulators_share_no_address(simulate: Callable[..., Client], key: paramiko.PKey, tmp_path: Path) -> None:
    """Even when both look for addresses at the same place."""
    clients = []
    for name in ("one", "two"):
        client = simulate(machines="process", folder=tmp_path / name)
        import_key(client, key)
        client.simulator._fleet._factory._next = 4711  # type: ignore[attr-defined]
        clients.append(client)
    hosts = [address(instance) for client in clients for instance in launch(client, Amount=3)]
    assert len(set(hosts)) == 6


def test_what_a_killed_simulator_left_is_cleaned(simulate: Callable[..., Client], tmp_path: Path) -> None:
    """Processes are found by their mark and end, also those that ignore SIGTERM; the folders go."""
    from provisioner.simulator.machines import factory

    (tmp_path / "i-1").mkdir()
    stubborn = ["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 1; done"]
    env = {**os.environ, MARKER: "dead/i-1"}
    with subprocess.Popen(stubborn, env=env, stdout=subprocess.PIPE, start_new_session=True) as left:
        assert left.stdout
        left.stdout.readline()
        other = subprocess.Popen(["sleep", "300"], env={**os.environ, MARKER: "dead-too/i-1"})
        reaper = threading.Thread(target=left.wait)
        reaper.start()
        factory("process", "dead", tmp_path, ssh_port=PORT).clean()
        reaper.join()
        assert left.returncode == -signal.SIGKILL
        assert other.poll() is None
        other.kill()
        other.wait()
    assert not tmp_path.exists()


def test_a_hundred_machines_and_fifty_sessions(cloud: Client, key: paramiko.PKey) -> None:
    """All come up, and fifty people work at once."""
    instances = launch(cloud, Amount=100, InstanceType="ecs.hfc7.large")
    barrier = threading.Barrier(50)

    def work(instance: dict[str, Any]) -> tuple[int, bytes, bytes]:
        with connection(address(instance), key) as ssh:
            barrier.wait(60)
            return run(ssh, "cat", b"hello")

    with ThreadPoolExecutor(50) as pool:
        assert set(pool.map(work, instances[:50])) == {(0, b"hello", b"")}


def test_machines_come_back_with_the_simulator(key: paramiko.PKey, tmp_path: Path) -> None:
    """A simulator that goes on from its file boots its machines again: same address, same host key, same files."""
    options: dict[str, Any] = {"machines": "process", "pace": 0, "folder": tmp_path, "state_file": tmp_path / "state"}
    with Simulator(**options) as simulator:
        client = Client(simulator)
        import_key(client, key)
        (instance,) = launch(client)
        with connection(address(instance), key) as ssh:
            run(ssh, "touch kept")
            shown = ssh.get_transport().get_remote_server_key()  # type: ignore[union-attr]
        mark = f"{simulator.simulator_id}/"
    assert process_table.marked(mark) == set()
    assert refused(address(instance))
    with Simulator(**options) as simulator:
        (again,) = Client(simulator).instances()
        assert address(again) == address(instance)
        until(lambda: not refused(address(again)))
        with connection(address(again), key) as ssh:
            assert run(ssh, "test -e kept")[0] == 0
            assert ssh.get_transport().get_remote_server_key() == shown  # type: ignore[union-attr]
