"""DockerEngine and its container shell against an engine of the tests' own: the real SDK, HTTP and sockets."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import os
import re
import shlex
import socket
import socketserver
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
import yaml

from provisioner.adapters.clock import SystemClock
from provisioner.adapters.docker import DockerEngine, engine_for
from provisioner.adapters.docker.dial import DIAL_COMMAND, terminal_command
from provisioner.adapters.docker.engine import mirrored
from provisioner.adapters.docker.progress import BuildProgress, LayerProgress, registry_failure
from provisioner.adapters.known_hosts import replace_keys
from provisioner.adapters.local import LocalConnection
from provisioner.adapters.ssh import SshConnector, generate_key
from provisioner.errors import CommandError, CommandTimeoutError, ConnectError, HostError
from provisioner.hosts.address import HostAddress
from provisioner.ports import Completed, ContainerRequest
from provisioner.secret import Secret
from tests.support.ssh_server import Servers

DATA = Path(__file__).parents[1] / "data" / "docker"
PAPERS_TAG = "intelanalytics/analytics-zoo:0.8.1-bigdl_0.10.0-spark_2.4.3-bf16"


def events(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (DATA / name).read_text().splitlines()]


# ---------------------------------------------------------------------------------------------- an engine


ROOT_FOLDER = "/data/docker's $(touch X)"
"""Where the engine says that it keeps its images."""


class FakeEngine(socketserver.ThreadingUnixStreamServer):
    """The engine's API on a unix socket. Execs run for real, as processes of the test with `home` as their home."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        self.path = str(folder / "docker.sock")
        self.home = folder / "home"
        self.home.mkdir()
        self.images: dict[str, dict[str, Any]] = {}
        self.components: list[dict[str, str]] = [{"Name": "Engine"}, {"Name": "containerd"}]
        self.containers: dict[str, dict[str, Any]] = {}
        self.pulls: list[list[dict[str, Any]] | tuple[int, str]] = []
        self.pushes: list[list[dict[str, Any]] | tuple[int, str]] = []
        self.build: list[dict[str, Any]] = []
        self.calls: list[tuple[str, str, bytes, dict[str, str]]] = []
        self.execs: dict[str, dict[str, Any]] = {}
        self.connections: list[socket.socket] = []
        self.dies_at_once = False
        self.has_shell = True
        self.user = ""
        self.path_of_commands = os.environ["PATH"]
        super().__init__(self.path, _Handler)
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def process_request(self, request: Any, client_address: Any) -> None:
        self.connections.append(request)
        super().process_request(request, client_address)

    def stop(self) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()
        for run in self.execs.values():
            if run.get("process"):
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(run["process"].pid, 9)

    def called(self, pattern: str) -> list[tuple[str, str, bytes, dict[str, str]]]:
        return [call for call in self.calls if re.search(pattern, f"{call[0]} {call[1]}")]

    def dial(self) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(self.path)
        return sock


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FakeEngine

    def log_message(self, *_: Any) -> None:
        """Silent."""

    def handle_one_request(self) -> None:
        with contextlib.suppress(OSError):
            super().handle_one_request()

    def address_string(self) -> str:
        return "unix"

    def _answer(self, value: Any, status: int = 200) -> None:
        body = json.dumps(value).encode() if value is not None else b""
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _text(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _stream(self, values: list[dict[str, Any]]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for value in values:
            line = json.dumps(value).encode() + b"\r\n"
            self.wfile.write(f"{len(line):x}\r\n".encode() + line + b"\r\n")
        self.wfile.write(b"0\r\n\r\n")

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _any(self) -> None:
        engine = self.server
        body = self._body()
        path = re.sub(r"^/v[\d.]+", "", self.path)
        engine.calls.append((self.command, path, body, dict(self.headers)))
        what = f"{self.command} {path.partition('?')[0]}"
        value = json.loads(body) if body[:1] == b"{" else {}
        if what == "GET /version":
            self._answer({"Version": "26.1.5", "ApiVersion": "1.45", "Components": engine.components})
        elif what == "GET /info":
            self._answer({"DockerRootDir": ROOT_FOLDER})
        elif match := re.fullmatch(r"GET /images/(.+)/json", what):
            found = engine.images.get(match[1])
            self._answer(found or {"message": f"No such image: {match[1]}"}, 200 if found else 404)
        elif what == "POST /images/create" or re.fullmatch(r"POST /images/.+/push", what):
            result = (engine.pulls if what == "POST /images/create" else engine.pushes).pop(0)
            if isinstance(result, tuple):
                self._answer({"message": result[1]}, result[0])
            else:
                self._stream(result)
        elif re.fullmatch(r"POST /images/.+/tag", what):
            self._answer(None, 201)
        elif what == "POST /build":
            self._stream(engine.build)
        elif match := re.fullmatch(r"GET /containers/(.+)/json", what):
            found = engine.containers.get(match[1])
            self._answer(found or {"message": f"No such container: {match[1]}"}, 200 if found else 404)
        elif what == "POST /containers/create":
            name = re.search(r"name=([^&]+)", path)
            assert name
            if name[1] in engine.containers:
                self._answer({"message": f"Conflict. The container name {name[1]} is already in use"}, 409)
                return
            engine.containers[name[1]] = engine.containers["id-of-" + name[1]] = {
                "Id": "id-of-" + name[1],
                "Image": engine.images.get(value["Image"], {}).get("Id", "sha256:?"),
                "Config": {
                    **{key: value.get(key) for key in ("Image", "Labels", "Tty", "Healthcheck")},
                    "User": engine.user,
                },
                "HostConfig": {"Privileged": False, **value["HostConfig"]},
                "State": {"Status": "created", "Running": False, "ExitCode": 0},
            }
            self._answer({"Id": "id-of-" + name[1]}, 201)
        elif match := re.fullmatch(r"POST /containers/(.+)/start", what):
            dies = engine.dies_at_once
            engine.containers[match[1]]["State"] = {
                "Status": "exited" if dies else "running",
                "Running": not dies,
                "ExitCode": 127 if dies else 0,
            }
            self._answer(None, 204)
        elif match := re.fullmatch(r"POST /containers/(.+)/rename", what):
            name = parse_qs(path.partition("?")[2])["name"][0]
            renamed = engine.containers[match[1]]
            engine.containers = {key: one for key, one in engine.containers.items() if one is not renamed}
            engine.containers |= {name: renamed, match[1]: renamed}
            self._answer(None, 204)
        elif re.fullmatch(r"GET /containers/(.+)/logs", what):
            self._text(b"bash: not found\r\n")  # bare, since the container has a terminal
        elif match := re.fullmatch(r"DELETE /containers/(.+)", what):
            gone = engine.containers.pop(match[1])
            engine.containers = {name: one for name, one in engine.containers.items() if one is not gone}
            self._answer(None, 204)
        elif match := re.fullmatch(r"PUT /containers/(.+)/archive", what):
            folder = parse_qs(path.partition("?")[2])["path"]
            with tarfile.open(fileobj=io.BytesIO(body)) as tar:
                tar.extractall(folder[0], filter="fully_trusted")
            self._answer(None)
        elif match := re.fullmatch(r"POST /containers/(.+)/exec", what):
            if match[1] not in engine.containers:
                self._answer({"message": f"No such container: {match[1]}"}, 404)
                return
            exec_id = f"exec{len(engine.execs)}"
            engine.execs[exec_id] = {"argv": value["Cmd"], "user": value.get("User"), "ExitCode": None}
            self._answer({"Id": exec_id}, 201)
        elif match := re.fullmatch(r"POST /exec/(.+)/start", what):
            self._exec(engine.execs[match[1]], detach=value["Detach"])
        elif match := re.fullmatch(r"GET /exec/(.+)/json", what):
            self._answer({"ExitCode": engine.execs[match[1]]["ExitCode"]})
        else:
            self._answer({"message": f"the fake engine has no {what}"}, 501)

    do_GET = do_POST = do_PUT = do_DELETE = _any

    def _exec(self, run: dict[str, Any], *, detach: bool) -> None:
        if not self.server.has_shell:
            run["ExitCode"] = 127
            line = b'OCI runtime exec failed: exec failed: unable to start container process: exec: "/bin/sh"\r\n'
            self._text(b"\x01\0\0\0" + len(line).to_bytes(4, "big") + line)
            return
        process = run["process"] = subprocess.Popen(
            run["argv"],
            cwd="/",
            env={"PATH": self.server.path_of_commands, "HOME": str(self.server.home)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        if detach:
            process.communicate()
            run["ExitCode"] = process.returncode
            self._answer(None)
            return
        self.send_response(200)
        self.send_header("Content-Type", "application/vnd.docker.raw-stream")
        self.end_headers()
        self.close_connection = True
        lock = threading.Lock()

        def copy(stream: Any, number: int) -> None:
            while data := os.read(stream.fileno(), 4096):
                with lock, contextlib.suppress(OSError):
                    self.wfile.write(bytes((number, 0, 0, 0)) + len(data).to_bytes(4, "big") + data)

        pumps = [threading.Thread(target=copy, args=pair) for pair in ((process.stdout, 1), (process.stderr, 2))]
        for pump in pumps:
            pump.start()
        for pump in pumps:
            pump.join()
        process.stdout.close()
        process.stderr.close()
        run["ExitCode"] = process.wait() % 256


class HostConnection:
    """The part of a connection that an engine uses."""

    name = "web-001"

    def run(self, command: str, **_: Any) -> Completed:
        assert shlex.split(command)[:4] == ["df", "-Pk", "--", ROOT_FOLDER]
        return Completed(
            0,
            "Filesystem 1024-blocks Used Available Capacity Mounted on\n/dev/vda3 41022688 9437184 29461504 25% /\n",
        )


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[FakeEngine]:
    engine = FakeEngine(tmp_path)
    yield engine
    engine.stop()


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def engine(fake: FakeEngine, waits: list[float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DockerEngine:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "no-configuration"))
    return DockerEngine(HostConnection(), fake.dial, sleep=waits.append)  # type: ignore[arg-type]


@pytest.fixture
def told() -> list[str]:
    return []


# ---------------------------------------------------------------------------------------------- the engine itself


def test_ping_tells_the_version(engine: DockerEngine) -> None:
    assert engine.ping() == "26.1.5"


@pytest.mark.parametrize(
    ("component", "said"),
    [
        ("Podman Engine", r"is podman 26\.1\.5.*`sudo systemctl disable --now podman\.socket`"),
        ("rootlesskit", "runs rootless.*`systemctl --user disable --now docker"),
    ],
)
def test_what_answers_in_dockers_place_is_named(
    fake: FakeEngine, engine: DockerEngine, component: str, said: str
) -> None:
    """Both speak Docker's API, and neither does what the containers need."""
    fake.components.append({"Name": component})
    with pytest.raises(HostError, match=said):
        engine.ping()


def test_ping_is_none_where_no_engine_listens(tmp_path: Path) -> None:
    def dial() -> socket.socket:
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(str(tmp_path / "nothing.sock"))
        return sock

    assert DockerEngine(HostConnection(), dial).ping() is None  # type: ignore[arg-type]


def test_ping_is_none_where_the_dialled_command_ends_at_once() -> None:
    """No docker program there: the far end closes without a word."""

    def dial() -> socket.socket:
        ours, theirs = socket.socketpair()
        theirs.close()
        return ours

    assert DockerEngine(HostConnection(), dial).ping() is None  # type: ignore[arg-type]


def test_a_host_out_of_reach_is_not_a_host_without_docker() -> None:
    def dial() -> socket.socket:
        raise ConnectError("the connection to web-001 was lost", host="web-001")

    with pytest.raises(ConnectError, match="was lost"):
        DockerEngine(HostConnection(), dial).ping()  # type: ignore[arg-type]


def test_requests_share_a_connection(engine: DockerEngine, fake: FakeEngine) -> None:
    for _ in range(5):
        engine.ping()
    assert len(fake.connections) == 1


def test_a_kept_connection_that_the_engine_closed_is_not_used_again(engine: DockerEngine, fake: FakeEngine) -> None:
    """The engine was restarted between two questions."""
    engine.ping()
    fake.connections[0].shutdown(socket.SHUT_RDWR)
    assert engine.ping() == "26.1.5"
    assert len(fake.connections) == 2


def test_free_space_is_that_of_the_engines_own_disk(engine: DockerEngine) -> None:
    assert engine.free_gib() == pytest.approx(28.1, abs=0.01)


@pytest.fixture
def docker_program(fake: FakeEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Puts a `docker` that knows `docker system dial-stdio`, and a `sudo`, on the PATH of this machine's SSH server."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "docker").write_text(
        f"#!{sys.executable}\n"
        "import os, socket, sys, threading\n"
        "if sys.argv[1:] != ['system', 'dial-stdio']: sys.exit()\n"
        "sock = socket.socket(socket.AF_UNIX)\n"
        f"sock.connect({fake.path!r})\n"
        "def up():\n"
        "    while data := os.read(0, 65536): sock.sendall(data)\n"
        "    sock.shutdown(socket.SHUT_WR)\n"
        "threading.Thread(target=up, daemon=True).start()\n"
        "while data := sock.recv(65536): os.write(1, data)\n"
    )
    (folder / "sudo").write_text('#!/bin/sh\nshift\nexec "$@"\n')
    for program in folder.iterdir():
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder


@pytest.mark.usefixtures("docker_program")
def test_everything_goes_through_the_one_ssh_connection(fake: FakeEngine, tmp_path: Path) -> None:
    """The real SDK over the real paramiko to a real SSH server, whose login prints a greeting before each command."""
    servers = Servers()
    key = tmp_path / "key"
    home = tmp_path / "login"
    home.mkdir()
    server = servers.add(home=home, login=[generate_key(key, "test")], greeting="Welcome to ECS!\n").start()
    replace_keys(tmp_path / "known_hosts", "127.0.0.1", server.port, server.public_keys)
    connector = SshConnector(
        key=key,
        known_hosts=tmp_path / "known_hosts",
        accept_new=False,
        connect_timeout_s=30,
        clock=SystemClock(),
        progress=lambda _: None,
    )
    try:
        connection = connector.connect(
            HostAddress("web-001", "127.0.0.1", "127.0.0.1", server.port), ready_timeout_s=30
        )
        engine = engine_for(connection)
        assert engine.ping() == "26.1.5"
        engine.start(ContainerRequest("one", "spark:1"))
        shell = engine.shell("one")
        assert shell.run("echo out; echo err >&2; exit 3", check=False) == Completed(3, "out\nerr\n")
        content = os.urandom(200_000)
        shell.put(content, "some/file")
        assert shell.get("some/file") == content
        with pytest.raises(CommandTimeoutError):
            shell.run("sleep 600", timeout_s=0.5)
        assert len(server.logins) == 1
        connection.close()
        with pytest.raises(ConnectError):
            engine.ping()
    finally:
        servers.close()


@pytest.mark.parametrize(
    ("version", "writable", "expected"),
    [
        ("Docker version 26.1.5+dfsg1, build a72d7cd", True, "docker system dial-stdio"),
        ("Docker version 26.1.5+dfsg1, build a72d7cd", False, "sudo -n docker system dial-stdio"),
        ("Docker version 1.13.1, build 7d71120/1.13.1", True, "nc -U /var/run/docker.sock"),
        ("Docker version 1.13.1, build 7d71120/1.13.1", False, "sudo -n nc -U /var/run/docker.sock"),
    ],
)
def test_dial_command(version: str, writable: bool, expected: str, tmp_path: Path) -> None:
    """With sudo where the login may not write to the socket; old engines without dial-stdio through nc."""
    for name in ("docker", "sudo", "nc"):
        program = tmp_path / name
        program.write_text(f'#!/bin/sh\n[ "$*" = --version ] && echo "{version}" || echo "${{0##*/}} $*"\n')
        program.chmod(0o755)
    script = DIAL_COMMAND.partition("\n")[2].replace("[ -w /var/run/docker.sock ]", "true" if writable else "false")
    assert "docker.sock ]" not in script
    answer = subprocess.run(["/bin/sh", "-c", script], env={"PATH": str(tmp_path)}, capture_output=True, text=True)
    assert answer.stdout.strip() == expected


@pytest.mark.parametrize(
    ("local", "writable", "expected"),
    [
        (False, True, "docker exec -it a bash"),
        (False, False, "sudo -n docker exec -it a bash"),
        (True, False, "docker exec -it a bash"),
    ],
)
def test_terminal_command(local: bool, writable: bool, expected: str, tmp_path: Path) -> None:
    """A login like ecs-user needs sudo for it just as for the engine."""
    for name in ("docker", "sudo"):
        (tmp_path / name).write_text('#!/bin/sh\necho "${0##*/} $*"\n')
        (tmp_path / name).chmod(0o755)
    script = terminal_command("a", local=local)
    script = script.replace("[ -w /var/run/docker.sock ]", "true" if writable else "false")
    answer = subprocess.run(["/bin/sh", "-c", script], env={"PATH": str(tmp_path)}, capture_output=True, text=True)
    assert answer.stdout.strip() == expected


def test_engine_of_this_machine_is_the_socket_that_docker_host_names(
    fake: FakeEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{fake.path}")
    assert engine_for(LocalConnection("localhost", tmp_path)).ping() == "26.1.5"


def test_an_engine_elsewhere_is_no_engine_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://192.0.2.1:2375")
    with pytest.raises(HostError, match="is no unix socket"):
        engine_for(LocalConnection("localhost", tmp_path)).ping()


# ---------------------------------------------------------------------------------------------- images


def test_image_id(engine: DockerEngine, fake: FakeEngine) -> None:
    fake.images["spark:1"] = {"Id": "sha256:1234"}
    assert engine.image_id("spark:1") == "sha256:1234"
    assert engine.image_id("spark:2") is None


@pytest.mark.parametrize("case", yaml.safe_load((DATA / "registry_failures.yaml").read_text()), ids=lambda c: c["text"])
def test_registry_failures_are_told_apart(case: dict[str, Any]) -> None:
    failure = registry_failure(case["text"], push=case.get("push", False))
    assert failure.what.startswith(case["means"])
    assert failure.retry is case.get("retry", False)
    assert failure.remedy
    if case.get("push"):
        assert "image." not in failure.remedy, "a push has no inventory"


def test_pull_shows_layers_and_gives_the_digest(engine: DockerEngine, fake: FakeEngine, told: list[str]) -> None:
    """A line for each layer and each 100 MiB, not one for each of the engine's events."""
    fake.pulls = [events("pull_events.jsonl")]
    fake.images[PAPERS_TAG] = {"Id": "sha256:1", "RepoDigests": []}
    digest = engine.pull(PAPERS_TAG, mirror=None, on_progress=told.append)
    assert digest == "sha256:6eb24585b1b2e7402600450d289ea0fd195cfb76893032bbbb3943e041ec8a65"
    assert told == [
        "layer 2910811b6c42: already exists; 1 of 3 layers, 0 MiB",
        "layer 23884877105a: pull complete; 2 of 3 layers, 25 MiB",
        "2 of 3 layers, 115 MiB",
        "2 of 3 layers, 325 MiB",
        "layer bc38caa0f5b9: pull complete; 3 of 3 layers, 325 MiB",
    ]


def test_pull_through_a_mirror_is_tagged_as_the_original(
    engine: DockerEngine, fake: FakeEngine, told: list[str]
) -> None:
    fake.pulls = [events("pull_events.jsonl")]
    fake.images[PAPERS_TAG] = {"Id": "sha256:1"}
    engine.pull(PAPERS_TAG, mirror="registry.example.com:5000/hub", on_progress=told.append)
    (create,) = fake.called("POST /images/create")
    assert "fromImage=registry.example.com%3A5000%2Fhub%2Fintelanalytics%2Fanalytics-zoo" in create[1]
    (tag,) = fake.called("POST /images/.*/tag")
    assert tag[1].startswith("/images/registry.example.com:5000/hub/intelanalytics/analytics-zoo:0.8.1")
    assert "repo=intelanalytics%2Fanalytics-zoo" in tag[1]
    assert "tag=0.8.1-bigdl_0.10.0-spark_2.4.3-bf16" in tag[1]


@pytest.mark.parametrize(
    ("tag", "mirror", "expected"),
    [
        ("python:3.13", "mirror.example.com", "mirror.example.com/library/python:3.13"),
        ("team/image:1", "mirror.example.com/", "mirror.example.com/team/image:1"),
        ("docker.io/team/image:1", "https://mirror.example.com", "mirror.example.com/team/image:1"),
        ("registry.example.com:5000/a/b:1", "mirror.example.com/x", "mirror.example.com/x/a/b:1"),
        ("localhost/a:1", "mirror.example.com", "mirror.example.com/a:1"),
    ],
)
def test_the_name_on_a_mirror(tag: str, mirror: str, expected: str) -> None:
    assert mirrored(tag, mirror) == expected


def test_pull_tries_again_while_the_registry_is_out_of_reach(
    engine: DockerEngine, fake: FakeEngine, told: list[str], waits: list[float]
) -> None:
    fake.pulls = [
        (500, "Get https://registry-1.docker.io/v2/: net/http: TLS handshake timeout"),
        [{"status": "Pulling from x", "id": "1"}, {"error": "unexpected EOF", "errorDetail": {}}],
        events("pull_events.jsonl"),
    ]
    fake.images[PAPERS_TAG] = {"Id": "sha256:1"}
    assert engine.pull(PAPERS_TAG, mirror=None, on_progress=told.append).startswith("sha256:6eb2")
    assert waits == [5.0, 10.0]
    assert "attempt 2 of 4" in told[0]


def test_pull_gives_up_on_a_registry_that_stays_out_of_reach(
    engine: DockerEngine, fake: FakeEngine, told: list[str], waits: list[float]
) -> None:
    fake.pulls = [(500, "dial tcp: lookup registry-1.docker.io: no such host")] * 4
    with pytest.raises(
        HostError, match=r"web-001 could not pull .*cannot be reached.*image\.registry_mirror"
    ) as caught:
        engine.pull(PAPERS_TAG, mirror=None, on_progress=told.append)
    assert caught.value.tail == ("dial tcp: lookup registry-1.docker.io: no such host",)
    assert len(waits) == 3


def test_an_unknown_tag_is_asked_for_once(engine: DockerEngine, fake: FakeEngine, waits: list[float]) -> None:
    fake.pulls = [(404, "manifest for team/image:2 not found: manifest unknown: manifest unknown")]
    with pytest.raises(HostError, match="could not pull team/image:2: the registry has no such tag"):
        engine.pull("team/image:2", mirror=None, on_progress=lambda _: None)
    assert waits == []


def test_a_registry_login_is_in_the_requests_header_alone(engine: DockerEngine, fake: FakeEngine) -> None:
    fake.pulls = [(500, 'Get "https://r.example.com/v2/a/manifests/1": unauthorized: authentication required')]
    with pytest.raises(HostError, match="access denied") as caught:
        engine.pull(
            "r.example.com/a:1",
            mirror=None,
            on_progress=lambda _: None,
            login=("someone", Secret("s3cr3t!")),
        )
    (create,) = fake.called("POST /images/create")
    assert json.loads(base64.urlsafe_b64decode(create[3]["X-Registry-Auth"])) == {
        "username": "someone",
        "password": "s3cr3t!",
    }
    assert "s3cr3t!" not in create[1] + repr(caught.value) + str(caught.value) + repr(caught.value.tail)


def test_push_shows_layers_and_gives_the_digest(engine: DockerEngine, fake: FakeEngine, told: list[str]) -> None:
    fake.pushes = [events("push_events.jsonl")]
    digest = engine.push("r.example.com:5000/team/spark:7", on_progress=told.append)
    assert digest == "sha256:0f3c1d1a5a1b7c3d3b0f0d6a3f5f6f1f9ad0b54a9a3b25c9b1f4a7a6f3b2c1d0"
    assert told == [
        "layer 5f70bf18a086: layer already exists; 1 of 3 layers, 0 MiB",
        "1 of 3 layers, 115 MiB",
        "layer 9c742cd6c7a5: mounted from team/base; 2 of 3 layers, 115 MiB",
        "layer f4a670ac65b6: pushed; 3 of 3 layers, 115 MiB",
    ]
    (push,) = fake.called("POST /images/.+/push")
    assert push[1] == "/images/r.example.com:5000/team/spark/push?tag=7"


@pytest.mark.parametrize(
    "answer",
    [
        (500, "unauthorized: authentication required"),
        [{"status": "Preparing", "id": "a"}, {"error": "unauthorized: authentication required", "errorDetail": {}}],
    ],
    ids=["refused", "refused on the way"],
)
def test_a_push_that_is_refused_says_why_and_keeps_the_password(
    engine: DockerEngine, fake: FakeEngine, answer: list[dict[str, Any]] | tuple[int, str]
) -> None:
    fake.pushes = [answer]
    with pytest.raises(HostError, match=r"web-001 could not push r\.example\.com/a:1: the registry refused") as caught:
        engine.push("r.example.com/a:1", on_progress=lambda _: None, login=("someone", Secret("s3cr3t!")))
    (push,) = fake.called("POST /images/.+/push")
    assert json.loads(base64.urlsafe_b64decode(push[3]["X-Registry-Auth"])) == {
        "username": "someone",
        "password": "s3cr3t!",
    }
    assert "s3cr3t!" not in push[1] + repr(push[2]) + repr(caught.value) + str(caught.value) + repr(caught.value.tail)


def test_the_callers_own_registry_logins_stay_at_home(
    fake: FakeEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """~/.docker/config.json and ~/.netrc are the person's; the engine is somebody else's machine."""
    login = base64.b64encode(b"me:my-own-password").decode()
    (tmp_path / "config.json").write_text(
        json.dumps(
            {
                "auths": {"r.example.com": {"auth": login}, "https://index.docker.io/v1/": {"auth": login}},
                "proxies": {"default": {"httpProxy": "http://me:my-own-password@proxy.example.com"}},
            }
        )
    )
    (tmp_path / "netrc").write_text("default login me password my-own-password\n")
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    engine = DockerEngine(HostConnection(), fake.dial)  # type: ignore[arg-type]
    fake.pulls = [events("pull_events.jsonl"), events("pull_events.jsonl")]
    fake.images |= {"r.example.com/a:1": {"Id": "1"}, "team/a:1": {"Id": "1"}}
    fake.build = [{"aux": {"ID": "1"}}]
    engine.pull("r.example.com/a:1", mirror=None, on_progress=lambda _: None)
    engine.pull("team/a:1", mirror=None, on_progress=lambda _: None)
    engine.build("team/a:1", {"Dockerfile": b"FROM scratch\n"}, arguments={}, on_progress=lambda _: None)
    fake.pushes = [events("push_events.jsonl")]
    engine.push("r.example.com/a:1", on_progress=lambda _: None)
    engine.start(ContainerRequest("one", "team/a:1"))
    everything = repr(fake.calls)
    for value in (header for call in fake.calls for header in call[3].values()):
        with contextlib.suppress(ValueError):
            everything += repr(base64.urlsafe_b64decode(value.removeprefix("Basic ")))
    assert "my-own-password" not in everything
    assert "X-Registry-Config" not in everything


def test_build_sends_the_files_and_the_arguments(engine: DockerEngine, fake: FakeEngine, told: list[str]) -> None:
    fake.build = [
        {"stream": "Step 1/2 : FROM base"},
        {"stream": "\n"},
        {"stream": "Step 2/2 : COPY workload /opt/workload"},
        {"aux": {"ID": "sha256:new"}},
        {"stream": "Successfully built new\n"},
    ]
    fake.images["provisioner/spark:1"] = {"Id": "sha256:new"}
    files = {"Dockerfile": b"FROM base\n", "workload/__main__.py": b"print()\n"}
    built = engine.build("provisioner/spark:1", files, arguments={"BASE_IMAGE": "base"}, on_progress=told.append)
    assert built == "sha256:new"
    assert told == ["Step 1/2 : FROM base", "Step 2/2 : COPY workload /opt/workload"]
    (build,) = fake.called("POST /build")
    assert "t=provisioner%2Fspark%3A1" in build[1]
    assert "BASE_IMAGE" in build[1]
    assert "networkmode=host" in build[1]
    with tarfile.open(fileobj=io.BytesIO(build[2])) as tar:
        sent = {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]
    assert sent == files


def test_a_failed_build_names_the_instruction_and_shows_its_last_lines(engine: DockerEngine, fake: FakeEngine) -> None:
    fake.build = events("build_failure_events.jsonl")
    with pytest.raises(HostError, match=r"on web-001 failed at Step 2/3 : RUN pip install nothing==1") as caught:
        engine.build("provisioner/spark:1", {"Dockerfile": b""}, arguments={}, on_progress=lambda _: None)
    assert caught.value.tail[-3:] == (
        "ERROR: No matching distribution found for nothing==1",
        "Removing intermediate container 8a7f715851e8",
        "The command '/bin/sh -c pip install nothing==1' returned a non-zero code: 1",
    )


def test_a_build_whose_base_cannot_be_had_says_why(engine: DockerEngine, fake: FakeEngine) -> None:
    fake.build = [
        {"stream": "Step 1/3 : FROM python:3.13-slim-trixie"},
        {"error": 'Get "https://registry-1.docker.io/v2/": dial tcp: no such host', "errorDetail": {}},
    ]
    with pytest.raises(HostError, match="registry cannot be reached"):
        engine.build("provisioner/spark:1", {"Dockerfile": b""}, arguments={}, on_progress=lambda _: None)


def test_a_long_instruction_is_heard_of_now_and_then() -> None:
    progress = BuildProgress()
    told = [line for number in range(250) for line in progress.feed({"stream": f"line {number}\n"})]
    assert told == ["line 99", "line 199"]


def test_a_layer_counts_once() -> None:
    progress = LayerProgress()
    done = {"status": "Pull complete", "id": "a"}
    assert [progress.feed(done), progress.feed(done)] == ["layer a: pull complete; 1 of 1 layers, 0 MiB", None]


# ---------------------------------------------------------------------------------------------- containers


def test_container_is_started_as_the_paper_does(engine: DockerEngine, fake: FakeEngine) -> None:
    """docker run -itd --name az1 --net=host --privileged"""
    fake.images[PAPERS_TAG] = {"Id": "sha256:1"}
    engine.start(ContainerRequest("az1", PAPERS_TAG, privileged=True))
    state = engine.container("az1")
    assert state is not None
    assert (state.image, state.image_id, state.status, state.privileged) == (PAPERS_TAG, "sha256:1", "running", True)
    asked = json.loads(fake.called("POST /containers/create")[0][2])
    assert (asked["OpenStdin"], asked["Tty"], asked["AttachStdout"]) == (True, True, False)
    assert asked["HostConfig"]["NetworkMode"] == "host"
    assert asked["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped"
    assert asked.get("Healthcheck") is None


def test_container_gets_capabilities_volumes_and_shared_memory(engine: DockerEngine, fake: FakeEngine) -> None:
    engine.start(
        ContainerRequest(
            "one",
            "spark:1",
            capabilities=("SYS_NICE",),
            volumes={"/data/ILSVRC2012": "/opt/ILSVRC2012"},
            environment={"KMP_BLOCKTIME": "0"},
            shm_size_mib=512,
            health="true",
        )
    )
    asked = json.loads(fake.called("POST /containers/create")[0][2])
    assert asked["Env"] == ["KMP_BLOCKTIME=0"]
    host = asked["HostConfig"]
    assert (host["CapAdd"], host.get("Privileged", False)) == (["SYS_NICE"], False)
    assert host["Binds"] == ["/data/ILSVRC2012:/opt/ILSVRC2012"]
    assert host["ShmSize"] == 512 * 1024 * 1024
    assert asked["Healthcheck"]["Test"] == ["CMD-SHELL", "true"]
    assert asked["Healthcheck"]["Interval"] == 60 * 10**9
    state = engine.container("one")
    assert state is not None
    assert state.volumes == {"/data/ILSVRC2012": "/opt/ILSVRC2012"}
    assert state.health_check == "true"


def test_volumes_that_docker_made_are_given_to_the_images_user(
    engine: DockerEngine, fake: FakeEngine, tmp_path: Path
) -> None:
    """They are root's and empty; what holds something stays as it is."""
    chowned = tmp_path / "chowned"
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/chown").write_text(f'#!/bin/sh\necho "$*" >> {chowned}\n')
    (tmp_path / "bin/chown").chmod(0o755)
    for name in ("made", "full/of"):
        (tmp_path / name).mkdir(parents=True)
    fake.path_of_commands = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
    fake.user = "work"
    volumes = {f"/data/{name}": str(tmp_path / name) for name in ("made", "full", "a file that is not there")}
    engine.start(ContainerRequest("one", "spark:1", volumes=volumes))
    assert chowned.read_text() == f"work {tmp_path / 'made'}\n"
    assert [run["user"] for run in fake.execs.values()] == ["0"]


@pytest.mark.parametrize("user", ["", "root", "0", "0:0"])
def test_an_image_that_runs_as_root_needs_no_volume_given(engine: DockerEngine, fake: FakeEngine, user: str) -> None:
    fake.user = user
    engine.start(ContainerRequest("one", "spark:1", volumes={"/model": "/model"}))
    assert fake.execs == {}


def test_a_volume_that_cannot_be_given_is_said_with_the_remedy(
    engine: DockerEngine, fake: FakeEngine, tmp_path: Path
) -> None:
    """A network share that lets no root in."""
    fake.user = "nobody-of-this-name"
    with pytest.raises(HostError, match="could not be given to its user nobody-of-this-name") as caught:
        engine.start(ContainerRequest("one", "spark:1", volumes={"/model": str(tmp_path / "home")}))
    assert "chown" in caught.value.remedy
    assert engine.container("one") is None, "it would be taken for one that is ready"
    fake.user = ""
    engine.start(ContainerRequest("one", "spark:1"))
    assert sorted(name for name in fake.containers if not name.startswith("id-")) == ["one"]


def test_what_was_left_while_it_started_is_removed_with_it(engine: DockerEngine, fake: FakeEngine) -> None:
    """A process that was killed before the container had its name."""
    engine.start(ContainerRequest("one", "spark:1"))
    fake.containers["one-starting"] = dict(fake.containers["one"], Id="id-2")
    fake.containers["id-2"] = fake.containers["one-starting"]
    engine.remove("one")
    assert fake.containers == {}


def test_start_replaces_our_own_container(engine: DockerEngine, fake: FakeEngine) -> None:
    engine.start(ContainerRequest("one", "spark:1"))
    engine.start(ContainerRequest("one", "spark:2"))
    state = engine.container("one")
    assert state is not None
    assert state.image == "spark:2"


@pytest.mark.parametrize(
    ("state", "since"),
    [
        ({"Status": "running", "StartedAt": "2026-11-24T03:40:31.123456789Z"}, "2026-11-24T03:40:31Z"),
        (
            {"Status": "exited", "StartedAt": "2026-11-24T03:40:31Z", "FinishedAt": "2026-11-24T04:00:02.5Z"},
            "2026-11-24T04:00:02Z",
        ),
        ({"Status": "created", "StartedAt": "0001-01-01T00:00:00Z"}, "2026-11-24T03:40:30Z"),
        ({"Status": "restarting", "StartedAt": "0001-01-01T00:00:00Z"}, ""),
    ],
    ids=["running", "exited", "created", "never"],
)
def test_container_tells_since_when_it_is_what_it_is(
    engine: DockerEngine, fake: FakeEngine, state: dict[str, str], since: str
) -> None:
    fake.containers["one"] = {
        "Id": "one",
        "Image": "sha256:1",
        "Created": "2026-11-24T03:40:30.9Z",
        "Config": {"Image": "spark:1", "Labels": None},
        "HostConfig": {"Privileged": False},
        "State": state,
    }
    found = engine.container("one")
    assert found is not None
    assert found.since == since


def test_somebody_elses_container_is_neither_replaced_nor_removed(engine: DockerEngine, fake: FakeEngine) -> None:
    fake.containers["az1"] = {"Id": "theirs", "Config": {"Image": "x", "Labels": None}}
    with pytest.raises(HostError, match=r"has a container az1 that this program did not start: .*image\.container"):
        engine.start(ContainerRequest("az1", "spark:1"))
    engine.remove("az1")
    assert "az1" in fake.containers
    assert not fake.called("DELETE")


def test_removing_what_is_gone_is_fine(engine: DockerEngine) -> None:
    engine.remove("nothing")
    assert engine.container("nothing") is None


def test_a_container_that_ends_at_once_is_an_error_with_its_last_words(engine: DockerEngine, fake: FakeEngine) -> None:
    fake.dies_at_once = True
    with pytest.raises(HostError, match="ended at once with status 127") as caught:
        engine.start(ContainerRequest("one", "spark:1"))
    assert caught.value.tail == ("bash: not found",)


# ---------------------------------------------------------------------------------------------- inside a container


@pytest.fixture
def shell(engine: DockerEngine, fake: FakeEngine) -> Any:
    engine.start(ContainerRequest("one", "spark:1"))
    return engine.shell("one")


def test_run_gives_status_and_both_streams_in_order(shell: Any, fake: FakeEngine) -> None:
    lines: list[str] = []
    result = shell.run("echo out; echo err >&2; printf 'no end'; pwd", on_line=lines.append)
    assert result == Completed(0, f"out\nerr\nno end{fake.home}\n")
    assert lines == ["out", "err", f"no end{fake.home}"]


def test_run_streams_lines_as_they_come(shell: Any, fake: FakeEngine) -> None:
    """The second line is printed only after the first was seen here."""

    def answer(line: str) -> None:
        if line == "first":
            (fake.home / "seen").touch()

    result = shell.run("echo first; while [ ! -e seen ]; do :; done; echo second", on_line=answer, timeout_s=30)
    assert result.output == "first\nsecond\n"


def test_run_raises_for_a_failed_command(shell: Any) -> None:
    with pytest.raises(CommandError, match=r"web-001:one: `echo why; exit 3` ended with status 3") as caught:
        shell.run("echo why; exit 3")
    assert (caught.value.status, caught.value.tail) == (3, ("why",))
    assert shell.run("exit 3", check=False) == Completed(3, "")


def test_numbers_in_the_output_are_not_taken_for_the_process_id(shell: Any) -> None:
    assert shell.run("echo 1; echo 2").output == "1\n2\n"


def test_a_container_without_a_shell_says_so(shell: Any, fake: FakeEngine) -> None:
    fake.has_shell = False
    with pytest.raises(CommandError) as caught:
        shell.run("true")
    assert caught.value.status == 127
    assert caught.value.tail[0].startswith("OCI runtime exec failed")


def test_a_command_that_outlives_its_time_is_ended_with_its_children(shell: Any, fake: FakeEngine) -> None:
    began = time.monotonic()
    with pytest.raises(CommandTimeoutError, match=r"did not end within 0\.5 s and was stopped") as caught:
        shell.run("echo begun; sleep 600 & sleep 600", timeout_s=0.5)
    assert time.monotonic() - began < 60
    assert caught.value.tail == ("begun",)
    group = fake.execs["exec0"]["process"].pid
    _wait_until(lambda: not _alive(group), "the process group is gone")


def test_a_command_whose_reader_fails_is_ended(shell: Any, fake: FakeEngine) -> None:
    def fail(_: str) -> None:
        raise RuntimeError("the reader is gone")

    with pytest.raises(RuntimeError, match="the reader is gone"):
        shell.run("echo line; sleep 600", on_line=fail)
    _wait_until(lambda: not _alive(fake.execs["exec0"]["process"].pid), "the process group is gone")


def test_put_writes_whole_with_mode_below_home(shell: Any, fake: FakeEngine) -> None:
    content = os.urandom(300_000)
    shell.put(content, "a folder/it's.bin", mode=0o750)
    target = fake.home / "a folder" / "it's.bin"
    assert target.read_bytes() == content
    assert target.stat().st_mode & 0o777 == 0o750
    assert [path.name for path in target.parent.iterdir()] == ["it's.bin"]
    assert shell.get("a folder/it's.bin") == content


def test_put_that_arrives_damaged_leaves_the_old_file(shell: Any, fake: FakeEngine, monkeypatch: Any) -> None:
    shell.put(b"old", "file")
    before = tarfile.TarFile.extractall

    def damaged(tar: tarfile.TarFile, folder: str, **options: Any) -> None:
        before(tar, folder, **options)
        for name in tar.getnames():
            Path(folder, name).write_bytes(b"ne")

    monkeypatch.setattr(tarfile.TarFile, "extractall", damaged)
    with pytest.raises(CommandError, match="file could not be written whole"):
        shell.put(b"new", "file")
    assert [(path.name, path.read_bytes()) for path in fake.home.iterdir()] == [("file", b"old")]


def test_get_of_what_is_not_there_says_so(shell: Any) -> None:
    with pytest.raises(CommandError, match="nothing could not be read") as caught:
        shell.get("nothing")
    assert "No such file" in caught.value.tail[0]


def test_no_container_no_command(engine: DockerEngine) -> None:
    with pytest.raises(HostError, match="could not run a command in gone") as caught:
        engine.shell("gone").run("true")
    assert caught.value.tail == ("No such container: gone",)


def _alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    # a process that ended and was not waited for yet does not count
    listing = subprocess.run(["ps", "-o", "stat=", "-g", str(group)], capture_output=True, text=True).stdout.split()
    return any(not state.startswith("Z") for state in listing)


def _wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, what
        os.sched_yield()
