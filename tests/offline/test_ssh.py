"""The SSH adapter against real SSH servers on loopback."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import functools
import hashlib
import http.client
import http.server
import logging
import os
import pty
import re
import signal
import socket
import stat
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from provisioner.adapters.known_hosts import fingerprint, known_keys, replace_keys
from provisioner.adapters.ssh import SshConnection, SshConnector, generate_key
from provisioner.errors import CommandError, CommandTimeoutError, ConnectError, HostKeyError
from provisioner.hosts.address import HostAddress
from tests.support.clock import FakeClock
from tests.support.processes import ends, is_running
from tests.support.ssh_server import HomeFiles, Servers, SshServer, free_port


class Site:
    """A key pair, a known_hosts file, a clock, servers, and connectors to them."""

    def __init__(self, folder: Path, servers: Servers) -> None:
        self.folder = folder
        self.key = folder / "id_ed25519"
        self.public_key = generate_key(self.key, "test")
        self.known_hosts = folder / "known_hosts"
        self.clock = FakeClock()
        self.progress: list[str] = []
        self._servers = servers
        self._connections: list[SshConnection] = []

    def server(self, *, known: bool = True, name: str = "home", **settings: Any) -> SshServer:
        home = self.folder / name
        home.mkdir()
        settings = {"login": [self.public_key], **settings}
        server = self._servers.add(home=home, **settings)
        if known:
            replace_keys(self.known_hosts, "127.0.0.1", server.port, server.public_keys)
        return server

    def connector(self, **settings: Any) -> SshConnector:
        defaults: dict[str, Any] = {
            "key": self.key,
            "known_hosts": self.known_hosts,
            "accept_new": False,
            "connect_timeout_s": 20,
            "clock": self.clock,
            "progress": self.progress.append,
        }
        return SshConnector(**{**defaults, **settings})

    def connect(
        self, server: SshServer | int, *, user: str = "root", ready_timeout_s: float = 300, **settings: Any
    ) -> SshConnection:
        port = server if isinstance(server, int) else server.port
        connection = self.connector(**settings).connect(
            HostAddress("web-1", "127.0.0.1", "127.0.0.1", port, user), ready_timeout_s=ready_timeout_s
        )
        self._connections.append(connection)
        return connection

    def close(self) -> None:
        for connection in self._connections:
            connection.close()


@pytest.fixture
def servers() -> Iterator[Servers]:
    servers = Servers()
    yield servers
    servers.close()


@pytest.fixture
def site(tmp_path: Path, servers: Servers) -> Iterator[Site]:
    site = Site(tmp_path, servers)
    yield site
    site.close()


@pytest.fixture
def server(site: Site) -> SshServer:
    return site.server().start()


@pytest.fixture
def connection(site: Site, server: SshServer) -> SshConnection:
    return site.connect(server)


# ------------------------------------------------------------------------------------------------- commands


def test_a_command_gives_its_status_and_both_streams_in_order(connection: SshConnection) -> None:
    done = connection.run("for i in 1 2 3; do echo out $i; echo err $i >&2; done; exit 3", check=False)
    assert (done.status, done.output) == (3, "out 1\nerr 1\nout 2\nerr 2\nout 3\nerr 3\n")


def test_a_command_runs_in_the_home_folder_and_has_no_input(connection: SshConnection, server: SshServer) -> None:
    assert connection.run("pwd; cat").output == f"{server.home}\n"


def test_a_failed_command_raises_with_its_last_20_lines_and_status(connection: SshConnection) -> None:
    with pytest.raises(CommandError, match="web-1: `seq 30; exit 7` ended with status 7") as caught:
        connection.run("seq 30; exit 7")
    assert caught.value.tail == tuple(map(str, range(11, 31)))
    assert (caught.value.status, caught.value.host) == (7, "web-1")


def test_a_command_that_a_signal_ended_has_a_negative_status(connection: SshConnection) -> None:
    assert connection.run("echo before; kill -9 $$", check=False) == type(connection.run("true"))(-1, "before\n")


def test_quotes_newlines_and_dollars_reach_the_shell_as_they_are(connection: SshConnection) -> None:
    assert connection.run("""a='x "y"'\necho "$a" 'it'"'"'s' "$((1 + 1))" """).output == 'x "y" it\'s 2\n'


def test_lines_arrive_while_the_command_runs(connection: SshConnection, server: SshServer) -> None:
    """The command goes on only when it sees what the reader of its first line did."""
    seen = []

    def on_line(line: str) -> None:
        seen.append(line)
        (server.home / "go").touch()

    connection.run(
        "echo one; while [ ! -e go ]; do sleep 0.01; done; printf 'two\\r50%%\\r100%%\\r\\nlast'", on_line=on_line
    )
    assert seen == ["one", "two", "50%", "100%", "last"]


def test_megabytes_of_output_are_all_there(connection: SshConnection) -> None:
    lines: list[str] = []
    done = connection.run("seq 1000000", on_line=lines.append)
    assert lines == [str(number) for number in range(1, 1000001)]
    assert done.output == "".join(f"{line}\n" for line in lines)


def test_what_the_login_prints_at_start_is_no_output(site: Site) -> None:
    server = site.server(greeting="Welcome to Alibaba Cloud!\nLast login: never").start()
    assert site.connect(server).run("echo mine").output == "mine\n"


def test_a_command_too_slow_is_stopped_with_all_it_started(connection: SshConnection, server: SshServer) -> None:
    command = "trap '' TERM; echo $$ > pids; sleep 300 & echo $! >> pids; echo begun; wait"
    with pytest.raises(CommandTimeoutError, match="did not end within 1 s and was stopped") as caught:
        connection.run(command, timeout_s=1)
    assert caught.value.tail == ("begun",)
    pids = [int(line) for line in (server.home / "pids").read_text().split()]
    assert len(pids) == 2
    assert all(map(ends, pids))
    assert connection.run("echo still here").output == "still here\n"


def test_a_command_that_floods_is_stopped_at_its_deadline_too(connection: SshConnection) -> None:
    with pytest.raises(CommandTimeoutError):
        connection.run("yes", timeout_s=0.5)


def test_what_a_command_left_in_the_background_is_not_waited_for(connection: SshConnection, server: SshServer) -> None:
    connection.run("sleep 300 & echo $! > pid; echo started")
    pid = int((server.home / "pid").read_text())
    assert is_running(pid)


def test_a_command_that_closed_its_output_is_waited_for(connection: SshConnection, server: SshServer) -> None:
    done = connection.run("exec >&- 2>&-; sleep 1.5; echo late > late; exit 4", check=False)
    assert (done.status, (server.home / "late").read_text()) == (4, "late\n")


def test_an_error_of_the_reader_stays_what_it_is_and_stops_the_command(
    connection: SshConnection, server: SshServer
) -> None:
    """`provisioner exec … | head`: the pipe that broke is ours."""

    def on_line(line: str) -> None:
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    with pytest.raises(BrokenPipeError):
        connection.run("echo $$ > pid; echo x; exec sleep 300", on_line=on_line)
    assert ends(int((server.home / "pid").read_text()))


def test_many_threads_share_one_connection(connection: SshConnection, server: SshServer) -> None:
    with ThreadPoolExecutor(8) as pool:
        outputs = list(pool.map(lambda i: connection.run(f"echo {i}; cat /dev/null").output, range(40)))
    assert outputs == [f"{i}\n" for i in range(40)]
    assert len(server.connections) == 1


# ----------------------------------------------------------------------------------------------- a lost connection


def test_a_drop_during_a_command_is_told_and_not_repeated_and_the_next_call_connects_anew(
    connection: SshConnection, server: SshServer
) -> None:
    with pytest.raises(ConnectError, match=r"was lost while .* was running; whether it finished is not known"):
        connection.run("echo x >> count; echo begun; sleep 300", on_line=lambda line: server.drop())
    assert connection.run("cat count").output == "x\n"
    assert len(server.connections) == 2
    connection.put(b"and files", "file")
    assert connection.get("file") == b"and files"


def test_a_drop_between_commands_goes_unnoticed(connection: SshConnection, server: SshServer) -> None:
    connection.put(b"1", "file")
    server.drop()
    assert connection.run("echo on").output == "on\n"
    server.drop()
    assert connection.get("file") == b"1"


def test_close_ends_what_runs_in_other_threads_and_is_final(connection: SshConnection) -> None:
    begun = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(connection.run, "echo begun; sleep 300", on_line=lambda line: begun.set())
        assert begun.wait(30)
        connection.close()
        connection.close()
        with pytest.raises(ConnectError, match="was closed while"):
            running.result(30)
    with pytest.raises(ConnectError, match="is closed"):
        connection.run("true")


def test_a_host_that_hangs_is_told_in_time_and_goes_on_when_it_can(
    site: Site, server: SshServer, servers: Servers
) -> None:
    connection = site.connect(server, connect_timeout_s=1)
    connection.put(b"before", "file")
    begun, thaw = threading.Event(), threading.Event()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(connection.run, "echo begun; sleep 300", timeout_s=2, on_line=lambda line: begun.set())
        assert begun.wait(30)
        servers.loop.call_soon_threadsafe(thaw.wait)
        try:
            with pytest.raises(
                ConnectError, match="web-1 did not answer, or ended the channel, during a file transfer"
            ):
                connection.get("file")
            with pytest.raises(
                ConnectError, match="web-1 did not answer, or ended the channel, when asked for another"
            ):
                connection.run("true")
            with pytest.raises(CommandTimeoutError):
                running.result(30)
        finally:
            thaw.set()
    assert connection.get("file") == b"before"
    assert len(server.connections) == 1


def test_a_quiet_connection_is_kept_alive(
    site: Site, server: SshServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from provisioner.adapters.ssh import handshake

    kept = threading.Event()

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "keepalive@lag.net" in record.getMessage():
                kept.set()

    listener, log = Listener(), logging.getLogger("asyncssh")
    log.addHandler(listener)
    caplog.set_level(logging.DEBUG, "asyncssh")
    monkeypatch.setattr(handshake, "KEEPALIVE_S", 0.1)
    try:
        connection = site.connect(server)
        assert kept.wait(30)
    finally:
        log.removeHandler(listener)
    connection.close()


def test_a_host_that_refuses_sessions_says_so(site: Site) -> None:
    server = site.server(sessions=False).start()
    with pytest.raises(ConnectError, match="web-1 refused another session"):
        site.connect(server).run("true")


def test_ctrl_c_ends_the_program_at_once_and_the_command_with_it(site: Site, server: SshServer) -> None:
    program = f"""
from pathlib import Path
from provisioner.adapters.clock import SystemClock
from provisioner.adapters.ssh import SshConnector
from provisioner.hosts.address import HostAddress
connector = SshConnector(key=Path({str(site.key)!r}), known_hosts=Path({str(site.known_hosts)!r}), accept_new=False,
                         connect_timeout_s=20, clock=SystemClock(), progress=print)
connection = connector.connect(HostAddress("h", "127.0.0.1", "", {server.port}), ready_timeout_s=20)
try:
    connection.run("echo $$ > pid; echo begun; exec sleep 300", on_line=lambda line: print(line, flush=True))
except KeyboardInterrupt:
    connection.close()
    print("interrupted")
"""
    child = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None
        with child.stdout:
            assert child.stdout.readline() == "begun\n"
            child.send_signal(signal.SIGINT)
            assert child.stdout.read() == "interrupted\n"
        assert child.wait(30) == 0
    finally:
        child.kill()
        child.wait()
    assert ends(int((server.home / "pid").read_text()))


# ------------------------------------------------------------------------------------------------- host keys


def test_an_unknown_host_key_is_refused_before_any_login(site: Site) -> None:
    server = site.server(known=False).start()
    with pytest.raises(HostKeyError) as caught:
        site.connect(server)
    shown = fingerprint(server.public_keys[0])
    assert f"127.0.0.1:{server.port}) is unknown: known none, shown {shown}" in caught.value.message
    assert server.logins == []
    assert site.clock.slept == []
    assert not site.known_hosts.exists()


@pytest.mark.parametrize("accept_new", [False, True])
def test_a_changed_host_key_is_refused_with_both_fingerprints(site: Site, accept_new: bool) -> None:
    server = site.server(known=False).start()
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().strip()
    replace_keys(site.known_hosts, "127.0.0.1", server.port, [other])
    with pytest.raises(HostKeyError, match="CHANGED") as caught:
        site.connect(server, accept_new=accept_new)
    assert f"known {fingerprint(other)}, shown {fingerprint(server.public_keys[0])}" in caught.value.message
    assert f"127.0.0.1:{server.port}" in caught.value.message
    assert server.logins == []
    assert known_keys(site.known_hosts, "127.0.0.1", server.port) == [other]


def test_accept_new_writes_the_key_down_and_holds_the_host_to_it(site: Site) -> None:
    server = site.server(known=False).start()
    assert site.connect(server, accept_new=True).run("echo in").output == "in\n"
    assert site.known_hosts.read_text() == f"[127.0.0.1]:{server.port} {server.public_keys[0]}\n"
    assert site.connect(server).run("echo again").output == "again\n"


@pytest.mark.parametrize("kind", ["ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa"])
def test_of_a_host_with_several_keys_the_known_one_is_asked_for(site: Site, kind: str) -> None:
    keys = [asyncssh.generate_private_key(name) for name in ("ssh-rsa", "ecdsa-sha2-nistp256", "ssh-ed25519")]
    server = site.server(known=False, host_keys=keys).start()
    known = next(key for key in server.public_keys if key.startswith(kind))
    replace_keys(site.known_hosts, "127.0.0.1", server.port, [known])
    assert site.connect(server).run("echo in").output == "in\n"


# ------------------------------------------------------------------------------------------------- not ready, or never


def test_a_server_that_appears_later_is_waited_for(site: Site) -> None:
    server = site.server()
    site.clock.on_sleep = lambda seconds: server.start() if len(site.clock.slept) == 3 else None
    assert site.connect(server).run("echo up").output == "up\n"
    assert len(site.clock.slept) == 3
    assert site.progress == [f"web-1: waiting for SSH at 127.0.0.1:{server.port}: connection refused"]


def test_a_host_that_stays_away_is_given_up_in_time(site: Site) -> None:
    port = free_port()
    with pytest.raises(ConnectError) as caught:
        site.connect(port, ready_timeout_s=60)
    assert re.fullmatch(
        rf"could not connect to web-1 \(root@127.0.0.1:{port}\): connection refused \(tried \d+ times in \d+ s\): "
        rf"the machine is there but nothing listens on port {port}: is sshd running, and is ssh.port right\?",
        str(caught.value),
    )
    assert 50 < site.clock.monotonic() <= 60


@pytest.mark.parametrize(
    ("problem", "reason", "remedy", "retried"),
    [
        (TimeoutError(), "no answer within 20 s (timeout)", "does the security group let TCP port 22 in", True),
        (OSError(errno.EHOSTUNREACH, "No route to host"), "no route to the host", "check the address", True),
        (OSError(errno.ENETUNREACH, "Network is unreachable"), "no route to the host", "check the address", True),
        (ConnectionResetError(errno.ECONNRESET, "Connection reset"), "Connection reset", "check the address", True),
        (socket.gaierror(socket.EAI_AGAIN, "Later"), "name web.test could not be looked up", "is the network up", True),
        (socket.gaierror(socket.EAI_NONAME, "No"), "there is no host of that name", "correct its address", False),
    ],
    ids=["timeout", "no-route", "no-network", "reset", "name-server", "no-name"],
)
def test_what_the_network_says_is_told_apart(
    site: Site, monkeypatch: pytest.MonkeyPatch, problem: OSError, reason: str, remedy: str, retried: bool
) -> None:
    def create_connection(*arguments: object) -> None:
        raise problem

    monkeypatch.setattr(socket, "create_connection", create_connection)
    with pytest.raises(ConnectError) as caught:
        site.connector().connect(HostAddress("web-1", "web.test", ""), ready_timeout_s=10)
    assert "web-1 (root@web.test:22)" in caught.value.message
    assert reason in caught.value.message
    assert remedy in caught.value.remedy
    assert bool(site.clock.slept) == retried


class Peer:
    """A port that does whatever `answer` does with each connection."""

    def __init__(self, answer: Callable[[socket.socket], None]) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._answer = answer
        self._kept: list[socket.socket] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self._kept.append(sock)
            self._answer(sock)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(30)
        for sock in self._kept:
            sock.close()


@pytest.mark.parametrize(
    ("answer", "message", "retried"),
    [
        (lambda sock: None, "connected, but no SSH banner within 0.3 s", True),
        (lambda sock: sock.close(), "connected, but closed before the SSH banner (reset)", True),
        (
            lambda sock: (sock.recv(100), sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n"), sock.close()),
            "answers 'HTTP/1.1 400 Bad Request', which is no SSH banner: another service listens on port",
            False,
        ),
        (lambda sock: sock.sendall(b"SSH-2.0-slow\r\n"), "the key exchange did not end within 0.3 s", True),
        (
            lambda sock: (sock.sendall(b"SSH-2.0-broken\r\n"), sock.recv(10000), sock.close()),
            "the connection ended during the key exchange",
            True,
        ),
    ],
    ids=["silent", "closed", "web-server", "slow", "broken"],
)
def test_what_answers_in_place_of_a_server_is_told_apart(
    site: Site, answer: Callable[[socket.socket], None], message: str, retried: bool
) -> None:
    peer = Peer(answer)
    try:
        with pytest.raises(ConnectError) as caught:
            site.connect(peer.port, connect_timeout_s=0.3, ready_timeout_s=1)
    finally:
        peer.close()
    assert f"web-1 (root@127.0.0.1:{peer.port})" in str(caught.value)
    assert message in str(caught.value)
    assert bool(site.clock.slept) == retried


def test_paramikos_own_log_stays_off_the_terminal(site: Site) -> None:
    """In a process of its own: pytest's handlers would catch what Python prints for want of any."""
    peer = Peer(lambda sock: sock.close())
    program = SESSION.replace("ready_timeout_s=20", "ready_timeout_s=0")
    try:
        done = subprocess.run(
            [sys.executable, "-c", program, str(site.key), str(site.known_hosts), str(peer.port), "true"],
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        peer.close()
    assert "closed before the SSH banner" in done.stderr.splitlines()[-1]
    assert "Exception (client)" not in done.stderr


@pytest.mark.parametrize("wrong", ["user", "key"])
def test_a_refused_login_is_given_up_after_the_time_a_key_takes_to_be_installed(site: Site, wrong: str) -> None:
    server = site.server(**({"user": "ecs-user"} if wrong == "user" else {"login": []})).start()
    with pytest.raises(ConnectError) as caught:
        site.connect(server, ready_timeout_s=300)
    assert f"authentication refused for user root with key {site.key}" in caught.value.message
    assert "ecs-user" in caught.value.remedy
    assert 25 < site.clock.monotonic() <= 30


def test_a_key_that_is_installed_later_lets_in(site: Site) -> None:
    server = site.server(login=[]).start()
    site.clock.on_sleep = lambda seconds: server.login.append(site.public_key)
    assert site.connect(server).run("echo in").output == "in\n"
    assert len(site.progress) == 1
    assert "authentication refused" in site.progress[0]


def test_twenty_hosts_at_once(site: Site) -> None:
    """Connected, keys accepted, worked on, side by side."""
    hosts = [site.server(known=False, name=f"host-{i}").start() for i in range(20)]
    connector = site.connector(accept_new=True)

    def work(i: int) -> str:
        address = HostAddress(f"host-{i}", "127.0.0.1", "127.0.0.1", hosts[i].port)
        connection = connector.connect(address, ready_timeout_s=60)
        connection.put(b"x" * 200_000, "up/file")
        output = connection.run("pwd; wc -c < up/file").output
        connection.close()
        return output

    with ThreadPoolExecutor(20) as pool:
        outputs = list(pool.map(work, range(20)))
    assert outputs == [f"{host.home}\n200000\n" for host in hosts]
    assert len(site.known_hosts.read_text().splitlines()) == 20


# ------------------------------------------------------------------------------------------------- keys


def test_a_generated_key_is_for_its_owner_alone_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "new" / "id"
    line = generate_key(path, "provisioner-demo")
    assert re.fullmatch(r"ssh-rsa AAAA\S+ provisioner-demo", line)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert asyncssh.read_private_key(path).export_public_key().decode().split()[1] == line.split()[1]
    assert generate_key(path, "provisioner-demo") == line
    assert asyncssh.read_private_key(path).pyca_key.key_size == 3072


def test_a_key_file_that_is_none_is_named(site: Site) -> None:
    broken = site.folder / "broken"
    broken.write_text("no key")
    with pytest.raises(ConnectError, match=rf"{broken} cannot be used"):
        site.connect(1, key=broken)
    with pytest.raises(ConnectError, match=r"does not exist: correct ssh\.key_file"):
        site.connect(1, key=site.folder / "nowhere")


class Agent:
    """An SSH agent that holds one key (draft-miller-ssh-agent)."""

    def __init__(self, path: Path, key: asyncssh.SSHKey) -> None:
        self._key = key
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._converse, args=(sock,), daemon=True).start()

    def _converse(self, sock: socket.socket) -> None:
        with sock, contextlib.suppress(ConnectionResetError):
            while head := sock.recv(4):
                request = sock.recv(struct.unpack(">I", head)[0], socket.MSG_WAITALL)
                sock.sendall(self._string(self._answer(request)))

    def _answer(self, request: bytes) -> bytes:
        if request[0] == 11:  # which keys?
            return bytes([12]) + struct.pack(">I", 1) + self._string(self._key.public_data) + self._string(b"mine")
        blob_size = struct.unpack(">I", request[1:5])[0]
        rest = request[5 + blob_size :]
        data = rest[4 : 4 + struct.unpack(">I", rest[:4])[0]]
        return bytes([14]) + self._string(self._key.sign(data, self._key.sig_algorithms[0]))

    @staticmethod
    def _string(data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + data

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(30)


@pytest.fixture
def agent_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[asyncssh.SSHKey]:
    key = asyncssh.generate_private_key("ssh-ed25519")
    agent = Agent(tmp_path / "agent", key)
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "agent"))
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))
    yield key
    agent.close()


def test_without_a_key_file_the_agent_is_asked(site: Site, agent_key: asyncssh.SSHKey) -> None:
    server = site.server(login=[agent_key.export_public_key().decode()]).start()
    assert site.connect(server, key=None).run("echo in").output == "in\n"


def test_without_a_key_file_or_an_agent_the_usual_files_are_tried(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    monkeypatch.setenv("HOME", str(site.folder))
    with pytest.raises(ConnectError, match=r"there is no key to log in with.*ssh\.key_file"):
        site.connect(1, key=None)
    usual = site.folder / ".ssh" / "id_ed25519"
    server = site.server(login=[generate_key(usual, "usual")]).start()
    assert site.connect(server, key=None).run("echo in").output == "in\n"


def test_a_key_file_with_a_passphrase_is_taken_from_the_agent(site: Site, agent_key: asyncssh.SSHKey) -> None:
    path = site.folder / "locked"
    agent_key.write_private_key(path, passphrase="secret")
    with pytest.raises(ConnectError, match=rf"has a passphrase and no SSH agent holds it: run ssh-add {path}"):
        site.connect(1, key=path)
    agent_key.write_public_key(f"{path}.pub")
    server = site.server(login=[agent_key.export_public_key().decode()]).start()
    assert site.connect(server, key=path).run("echo in").output == "in\n"


# ------------------------------------------------------------------------------------------------- files


def test_put_makes_folders_replaces_and_leaves_nothing_beside(connection: SshConnection, server: SshServer) -> None:
    connection.put(b"old", "a/b/file", mode=0o600)
    connection.put(b"new", "a/b/file", mode=0o640)
    written = server.home / "a/b/file"
    assert written.read_bytes() == b"new"
    assert stat.S_IMODE(written.stat().st_mode) == 0o640
    assert os.listdir(server.home / "a/b") == ["file"]
    connection.put(b"", str(server.home / "absolute" / "empty"))
    assert (server.home / "absolute" / "empty").read_bytes() == b""


def test_large_files_go_there_and_back(connection: SshConnection, server: SshServer, tmp_path: Path) -> None:
    content = os.urandom(3_000_000)
    connection.put(content, "big")
    assert hashlib.sha256((server.home / "big").read_bytes()).digest() == hashlib.sha256(content).digest()
    assert connection.get("big") == content
    local = tmp_path / "local"
    local.write_bytes(content)
    local.chmod(0o750)
    connection.put_file(local, "new/copy")
    assert stat.S_IMODE((server.home / "new/copy").stat().st_mode) == 0o750
    connection.get_file("new/copy", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == content


def test_who_copies_a_file_hears_how_far_it_is(connection: SshConnection, tmp_path: Path) -> None:
    (tmp_path / "local").write_bytes(os.urandom(1_000_000))
    sent: list[tuple[int, int]] = []
    connection.put_file(tmp_path / "local", "copy", on_bytes=lambda *bytes_: sent.append(bytes_))
    came: list[tuple[int, int]] = []
    connection.get_file("copy", tmp_path / "back", on_bytes=lambda *bytes_: came.append(bytes_))
    for heard in (sent, came):
        assert len(heard) > 10
        assert heard == sorted(set(heard))
        assert heard[-1] == (1_000_000, 1_000_000)


def test_files_whose_size_is_not_what_they_hold_are_read_whole(connection: SshConnection) -> None:
    assert connection.get("/proc/self/status").startswith(b"Name:")


def test_a_file_that_cannot_be_read_or_written_is_named(connection: SshConnection, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="web-1: nowhere could not be read: No such file"):
        connection.get("nowhere")
    with pytest.raises(CommandError, match="web-1: nowhere could not be read"):
        connection.get_file("nowhere", tmp_path / "back")
    with pytest.raises(CommandError, match="web-1: /proc/nowhere/file could not be written"):
        connection.put(b"x", "/proc/nowhere/file")
    assert os.listdir(tmp_path / "home") == []
    assert not list(tmp_path.glob("*back*"))


class _FullDisk(HomeFiles):
    """Has room for 100 kB, and for the last bytes again: a size alone would not tell."""

    def write(self, file_obj: Any, offset: int, data: bytes) -> Any:
        if 100_000 < offset < 180_000:
            raise asyncssh.SFTPFailure("No space left on device")
        return super().write(file_obj, offset, data)


class _WrongBytes(HomeFiles):
    """Loses what it was sent, and says nothing."""

    def write(self, file_obj: Any, offset: int, data: bytes) -> Any:
        return super().write(file_obj, offset, b"\0" * len(data))


@pytest.mark.parametrize(
    ("files", "size", "message"),
    [
        (_FullDisk, 200_000, "No space left on device: check the path, its owner and mode, and the free space"),
        (_WrongBytes, 2_000_000, "what arrived differs from what was sent"),
    ],
)
def test_a_file_that_does_not_arrive_whole_leaves_the_old_one(
    site: Site, files: type[asyncssh.SFTPServer], size: int, message: str
) -> None:
    server = site.server(files=files).start()
    (server.home / "file").write_bytes(b"old")
    with pytest.raises(CommandError, match=message):
        site.connect(server).put(b"x" * size, "file")
    assert os.listdir(server.home) == ["file"]
    assert (server.home / "file").read_bytes() == b"old"


def test_threads_may_write_files_at_once(connection: SshConnection, server: SshServer) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: connection.put(bytes([i]) * 100_000, f"f/{i}"), range(16)))
    assert [(server.home / f"f/{i}").read_bytes() for i in range(16)] == [bytes([i]) * 100_000 for i in range(16)]


# ------------------------------------------------------------------------------------------------- channels


@pytest.fixture
def website(tmp_path: Path) -> Iterator[int]:
    """An HTTP/1.0 server, which ends each answer by closing; its port."""
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "page").write_bytes(b"page" * 500_000)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=str(tmp_path / "web"))
    )
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()
    thread.join(30)


def test_http_client_runs_over_a_dialled_channel(connection: SshConnection, server: SshServer, website: int) -> None:
    client = http.client.HTTPConnection("unused")
    client.sock = connection.dial("127.0.0.1", website)
    client.request("GET", "/page")
    assert client.getresponse().read() == b"page" * 500_000
    assert server.forwarded == [("127.0.0.1", website)]


def test_dialling_a_port_where_nothing_listens_says_so(connection: SshConnection) -> None:
    port = free_port()
    with pytest.raises(ConnectError, match=f"web-1 refused a connection to 127.0.0.1:{port}"):
        connection.dial("127.0.0.1", port)


def test_a_dialled_channel_times_out_and_ends_as_a_socket_does(connection: SshConnection) -> None:
    with connection.dial_command("cat") as sock:
        sock.settimeout(0.05)
        with pytest.raises(TimeoutError):
            sock.recv(1)
        sock.settimeout(30)
        sock.sendall(b"there and ")
        file = sock.makefile("rwb")
        file.write(b"back\n")
        file.flush()
        assert file.readline() == b"there and back\n"
        sock.shutdown(socket.SHUT_WR)
        assert sock.recv(1) == b""


def test_a_jump_host_is_gone_through_with_both_host_keys_checked(site: Site) -> None:
    jump, target = site.server(name="jump").start(), site.server(name="target").start()
    bastion = HostAddress("bastion", "127.0.0.1", "127.0.0.1", jump.port)
    assert site.connect(target, jump=bastion).run("pwd").output == f"{target.home}\n"
    assert jump.forwarded == [("127.0.0.1", target.port)]
    site.known_hosts.unlink()
    with pytest.raises(HostKeyError, match="bastion"):
        site.connect(target, jump=bastion)
    replace_keys(site.known_hosts, "127.0.0.1", jump.port, jump.public_keys)
    with pytest.raises(HostKeyError, match="web-1"):
        site.connect(target, jump=bastion)


def test_more_commands_at_once_than_the_host_has_sessions_for_take_turns(site: Site) -> None:
    """Ten at a time, as sshd's own MaxSessions: the first ten wait until all of them run."""
    connection = site.connect(site.server(most_sessions=10).start())
    together = "echo >>begun; until [ $(wc -l <begun) -ge 10 ]; do sleep 0.05; done; echo done"
    with ThreadPoolExecutor(25) as pool:
        found = list(pool.map(lambda _: connection.run(together).output, range(25)))
    assert found == ["done\n"] * 25


def test_a_jump_host_that_is_gone_is_waited_for_once_for_all_hosts(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hosts behind it do not wait for it one after the other."""
    connector = site.connector(jump=HostAddress("bastion", "127.0.0.1", "127.0.0.1", 1))
    hosts = [HostAddress(f"web-{number}", "192.0.2.1", "192.0.2.1") for number in range(5)]
    waiting = threading.Semaphore(0)
    clock, attempts = connector._clock, []

    class Noticed:
        """The clock, which tells that somebody asks for the time."""

        def monotonic(self) -> float:
            now = clock.monotonic()
            waiting.release()
            return now

    def gone(host: HostAddress, *_: object) -> None:
        attempts.append(host.name)
        for _ in hosts if len(attempts) == 1 else ():  # all of them ask by now
            assert waiting.acquire(timeout=30)
        raise ConnectError("could not connect to bastion", host="bastion")

    monkeypatch.setattr(connector, "_clock", Noticed())
    monkeypatch.setattr(connector, "_connection", gone)
    with ThreadPoolExecutor(len(hosts)) as pool:
        futures = [pool.submit(connector._through_jump, host) for host in hosts]
        failures = [future.exception(60) for future in futures]
    assert [str(failure) for failure in failures] == ["could not connect to bastion"] * len(hosts)
    assert attempts == ["bastion"]
    with pytest.raises(ConnectError):
        connector._connected_jump(HostAddress("bastion", "127.0.0.1", "127.0.0.1", 1), clock.monotonic() + 1)
    assert attempts == ["bastion"] * 2


def test_closing_the_connector_ends_the_connection_to_the_jump_host(site: Site) -> None:
    jump, target = site.server(name="jump").start(), site.server(name="target").start()
    bastion = HostAddress("bastion", "127.0.0.1", "127.0.0.1", jump.port)
    address = HostAddress("web-1", "127.0.0.1", "127.0.0.1", target.port, "root")
    connector = site.connector(jump=bastion)
    connector.connect(address, ready_timeout_s=20).close()
    (through,) = jump.connections
    connector.close()
    assert jump.ended(through)
    connector.connect(address, ready_timeout_s=20).close()
    connector.close()
    assert len(jump.connections) == 2


def test_a_target_that_is_down_behind_a_jump_host_is_waited_for(site: Site) -> None:
    jump, target = site.server(name="jump").start(), site.server(name="target")
    bastion = HostAddress("bastion", "127.0.0.1", "127.0.0.1", jump.port)
    site.clock.on_sleep = lambda seconds: target.start() if len(site.clock.slept) == 2 else None
    assert site.connect(target, jump=bastion).run("pwd").output == f"{target.home}\n"
    assert "the jump host bastion does not get through to it" in site.progress[0]
    assert len(jump.connections) == 1


# ------------------------------------------------------------------------------------------------- a person's terminal

SESSION = """
import sys, termios
from pathlib import Path
from provisioner.adapters.clock import SystemClock
from provisioner.adapters.ssh import SshConnector
from provisioner.hosts.address import HostAddress
connector = SshConnector(key=Path(sys.argv[1]), known_hosts=Path(sys.argv[2]), accept_new=False,
                         connect_timeout_s=20, clock=SystemClock(), progress=print)
connection = connector.connect(HostAddress("h", "127.0.0.1", "", int(sys.argv[3])), ready_timeout_s=20)
before = termios.tcgetattr(0) if sys.stdin.isatty() else None
status = connection.interactive(sys.argv[4])
assert before is None or termios.tcgetattr(0) == before, "the terminal is as it was"
connection.close()
sys.exit(status)
"""


def test_a_session_has_the_terminal_its_size_its_keys_and_its_status(site: Site, server: SshServer) -> None:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 101, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    child = subprocess.Popen(
        [sys.executable, "-c", SESSION, str(site.key), str(site.known_hosts), str(server.port), "vi"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**environment, "TERM": "xterm-test"},
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(theirs)
    try:
        with open(ours, "r+b", buffering=0) as terminal:

            def expect(text: bytes) -> None:
                seen = b""
                while text not in seen:
                    seen += terminal.read(1000)

            expect(b"terminal xterm-test 101x33 vi")
            terminal.write(b"\x03")
            expect(b"key b'\\x03'")  # Ctrl-C is the far program's
            fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
            expect(b"resized xterm-test 120x40")
            terminal.write(b"q")
            assert child.wait(30) == 7
    finally:
        child.kill()
        child.wait()


def test_a_session_in_a_pipe_carries_input_and_both_outputs(site: Site, server: SshServer) -> None:
    """More than the channel's window each way, to a program that writes before it reads: neither side may wait."""
    command = "head -c 20000000 /dev/zero; wc -c; echo e >&2; exit 5"
    done = subprocess.run(
        [sys.executable, "-c", SESSION, str(site.key), str(site.known_hosts), str(server.port), command],
        input=bytes(5_000_000),
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (5, b"e\n")
    assert done.stdout == bytes(20_000_000) + b"5000000\n"


def test_paramiko_is_loaded_at_the_first_connection_only() -> None:
    check = "import sys, provisioner.adapters.ssh; sys.exit('paramiko' in sys.modules or 'cryptography' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0
