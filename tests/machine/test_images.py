"""The bundled images are built, and run, by a real Docker engine; pulls come from a registry of the tests' own.

No image can be pulled from outside: base images are made of the Debian tree that booted machines start from.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import http.server
import io
import json
import os
import shutil
import signal
import subprocess
import tarfile
import threading
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from provisioner.adapters.clock import SystemClock
from provisioner.adapters.docker import DockerEngine, engine_for
from provisioner.adapters.local import LocalConnection, LocalConnector
from provisioner.deployment import Ports, Session
from provisioner.errors import CommandError, CommandTimeoutError, HostError
from provisioner.inventory.spec import ImageSpec, Spec
from provisioner.ports import Completed, ContainerRequest
from provisioner.secret import Secret
from provisioner.simulator.machines.booted_tree import cached_tree
from provisioner.step import Presence
from provisioner.steps.docker import DockerStep
from provisioner.steps.image import ContainerStep, ImageStep
from tests.machine.support import require
from tests.support.cli import Done, provisioner
from tests.support.deployments import began

pytestmark = pytest.mark.timeout(1200)


def missing() -> str:
    """What stands in the way of an engine here, or ""."""
    if os.geteuid() != 0:
        return "images are built by an engine of the tests' own, which needs root"
    lacking = [name for name in ("dockerd", "containerd", "debootstrap") if not shutil.which(name, path=PATH)]
    return f"missing {', '.join(lacking)}: apt-get install docker.io debootstrap" if lacking else ""


PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"


@pytest.fixture(autouse=True)
def _no_state_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("docker")


@pytest.fixture(scope="module")
def engine(folder: Path) -> Iterator[DockerEngine]:
    """An engine of our own: its data, socket and processes are in one folder, and it touches no network settings."""
    require(missing())
    log = (folder / "log").open("wb")
    dockerd = subprocess.Popen(
        [
            *("dockerd", "--data-root", f"{folder}/data", "--exec-root", f"{folder}/exec", "-p", f"{folder}/pid"),
            *("-H", f"unix://{folder}/docker.sock", "--bridge=none", "--iptables=false", "--ip-forward=false"),
        ],
        stdout=log,
        stderr=log,
        start_new_session=True,
        env={**os.environ, "PATH": PATH},
    )
    before = os.environ.get("DOCKER_HOST")
    os.environ["DOCKER_HOST"] = f"unix://{folder}/docker.sock"
    try:
        made = engine_for(LocalConnection("localhost", folder))
        deadline = time.monotonic() + 60
        while made.ping() is None:
            assert dockerd.poll() is None, (folder / "log").read_text()[-3000:]
            assert time.monotonic() < deadline, (folder / "log").read_text()[-3000:]
            time.sleep(0.1)
        yield made
        for name in ("spark", "one"):
            made.remove(name)
    finally:
        os.environ.pop("DOCKER_HOST")
        if before is not None:
            os.environ["DOCKER_HOST"] = before
        dockerd.terminate()
        try:
            dockerd.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(dockerd.pid, signal.SIGKILL)
            dockerd.wait()
        log.close()
        for line in reversed(Path("/proc/self/mounts").read_text().splitlines()):
            if line.split()[1].startswith(f"{folder}/"):
                subprocess.run(["umount", "-l", line.split()[1]], check=False)
        shutil.rmtree(folder / "data", ignore_errors=True)


@pytest.fixture(scope="module")
def tree(engine: DockerEngine) -> str:
    """An image of Debian 13 that reaches package indexes as this machine does."""
    import_image(cached_tree(), "debian:trixie")
    return "debian:trixie"


def import_image(tree: Path, tag: str) -> None:
    packed = subprocess.Popen(["tar", "-C", str(tree), "-c", "."], stdout=subprocess.PIPE)
    subprocess.run(["docker", "import", "-", tag], stdin=packed.stdout, check=True, stdout=subprocess.DEVNULL)
    assert packed.wait() == 0


def derive(engine: DockerEngine, tag: str, *lines: str, base: str, **files: bytes) -> None:
    text = "\n".join([f"FROM {base}", *lines]) + "\n"
    engine.build(tag, {"Dockerfile": text.encode(), **files}, arguments={}, on_progress=print)


def image(*words: str, password: str = "") -> Done:
    """`provisioner image …` on the tests' engine."""
    more = {"DOCKER_HOST": os.environ["DOCKER_HOST"], "PROVISIONER_REGISTRY_PASSWORD": password}
    return provisioner("image", *words, **more)


def install(*packages: str, options: str = "") -> str:
    return (
        f"RUN apt-get update && apt-get install -y --no-install-recommends {options} {' '.join(packages)} "
        "&& apt-get clean && rm -rf /var/lib/apt/lists/*"
    )


def size_mib(tag: str) -> float:
    found = subprocess.run(
        ["docker", "image", "inspect", "-f", "{{.Size}}", tag], check=True, capture_output=True, text=True
    )
    return int(found.stdout) / 2**20


def local_session(folder: Path, **image: Any) -> Session:
    """`provider: local` with the real connection and engine."""
    spec = Spec(name="images", provider="local", image=ImageSpec(**image))
    return Session(
        spec,
        Ports(
            store=began(spec),
            clock=SystemClock(),
            connector=LocalConnector(folder),
            engine=engine_for,
            progress=print,
        ),
    )


def brought_up(session: Session) -> list[str]:
    """Does what `up` does with the steps of Docker; the names of those it had to do."""
    done = []
    for step in (
        DockerStep(session.hosts[0]),
        ImageStep(session.hosts[0]),
        ContainerStep(session.hosts[0]),
    ):
        if step.check().presence is Presence.ABSENT:
            step.apply()
            done.append(step.name)
            assert step.check().presence is Presence.PRESENT
    return done


# ---------------------------------------------------------------------------------------------- the engine


def test_a_container_is_a_place_to_work_in(engine: DockerEngine, tree: str, tmp_path: Path) -> None:
    """Commands with their status and both streams, files there and back, a volume, and numactl's capability."""
    (tmp_path / "given").write_text("given\n")
    tmp_path.chmod(0o755)
    derive(engine, "one:1", install("numactl"), "RUN useradd -m work", "USER work", 'CMD ["bash"]', base=tree)
    volumes = {str(tmp_path): "/data"}
    engine.start(ContainerRequest("one", "one:1", capabilities=("SYS_NICE",), volumes=volumes, shm_size_mib=128))
    shell = engine.shell("one")
    assert shell.run("echo out; echo err >&2; id -un; pwd; exit 3", check=False) == Completed(
        3, "out\nerr\nwork\n/home/work\n"
    )
    assert shell.run("cat /data/given; numactl -C 1 nproc; numactl --membind=0 true").output == "given\n1\n"
    assert "128M" in shell.run("df -h /dev/shm").output
    assert shell.run("uname -n").output.strip() == os.uname().nodename
    content = os.urandom(3_000_000)
    shell.put(content, "some where/file.bin", mode=0o750)
    assert shell.run("stat -c '%U %a' 'some where/file.bin'; ls -A 'some where'").output == "work 750\nfile.bin\n"
    assert shell.get("some where/file.bin") == content
    with pytest.raises(CommandError):
        shell.put(b"", "/root/not-allowed")


@pytest.mark.usefixtures("tree")
def test_a_command_in_a_container_ends_with_its_time(engine: DockerEngine) -> None:
    shell = engine.shell("one")
    with pytest.raises(CommandTimeoutError) as caught:
        shell.run("echo begun; sleep 987 & sleep 987", timeout_s=1)
    assert caught.value.tail == ("begun",)
    seen = "grep -lsax sleep.987 /proc/[0-9]*/cmdline | wc -l"
    deadline = time.monotonic() + 30
    while shell.run(seen).output != "0\n":
        assert time.monotonic() < deadline, shell.run("cat /proc/[0-9]*/cmdline").output
        time.sleep(0.1)


def test_a_container_of_another_image_is_replaced(engine: DockerEngine) -> None:
    derive(engine, "one:2", "ENV SECOND=yes", base="one:1")
    engine.start(ContainerRequest("one", "one:2"))
    state = engine.container("one")
    assert state is not None
    assert (state.image, state.image_id, state.status) == ("one:2", engine.image_id("one:2"), "running")
    engine.remove("one")
    assert engine.container("one") is None


def test_a_failed_build_shows_the_instruction_and_its_output(engine: DockerEngine, tree: str) -> None:
    with pytest.raises(HostError, match=r"failed at Step 2/2 : RUN echo the reason; false") as caught:
        derive(engine, "bad:1", "RUN echo the reason; false", base=tree)
    assert "the reason" in caught.value.tail


# ---------------------------------------------------------------------------------------------- pulling


class Registry(http.server.ThreadingHTTPServer):
    """Docker's registry protocol, version 2: has one image and takes others below `team/`; nobody may push below
    `others/`. A private one wants a login for everything."""

    daemon_threads = True

    def __init__(self, *, private: bool) -> None:
        self.private = private
        super().__init__(("127.0.0.1", 0), _RegistryHandler)
        layer = io.BytesIO()
        with tarfile.open(fileobj=layer, mode="w") as tar:
            member = tarfile.TarInfo("file")
            member.size = 1 << 20
            tar.addfile(member, io.BytesIO(os.urandom(1 << 20)))
        packed = gzip.compress(layer.getvalue())
        config = {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Cmd": ["bash"]},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer.getvalue()).hexdigest()}"]},
        }
        self.blobs = {}
        self.kinds = {}
        manifest = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
            "config": self._add(json.dumps(config).encode(), "application/vnd.docker.container.image.v1+json"),
            "layers": [self._add(packed, "application/vnd.docker.image.rootfs.diff.tar.gzip")],
        }
        self.manifest = self._add(json.dumps(manifest).encode(), manifest["mediaType"])["digest"]
        self.tags = {"1": self.manifest}
        self.parts: dict[str, bytes] = {}
        self.name = f"127.0.0.1:{self.server_port}"
        self.asked: list[tuple[str, str]] = []

    def _add(self, content: bytes, kind: str) -> dict[str, Any]:
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        self.blobs[digest] = content
        self.kinds[digest] = kind
        return {"mediaType": kind, "size": len(content), "digest": digest}


class _RegistryHandler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Registry

    def log_message(self, *_: Any) -> None:
        """Silent."""

    def do_GET(self) -> None:
        if self._refused():
            return
        if self.path == "/v2/":
            self._say(200, b"{}", "application/json")
        else:
            reference = self.path.rpartition("/")[2]
            digest = self.server.tags.get(reference, reference)
            if digest in self.server.blobs:
                self._say(200, self.server.blobs[digest], self.server.kinds[digest], digest)
            else:
                text = b'{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}'
                self._say(404, text, "application/json")

    do_HEAD = do_GET

    def do_POST(self) -> None:
        """Begins an upload."""
        if self._refused():
            return
        if "/others/" in self.path:
            text = b'{"errors":[{"code":"DENIED","message":"requested access to the resource is denied"}]}'
            self._say(403, text, "application/json")
        elif "/team/" in self.path:
            self._say(202, b"", "text/plain", location=f"{self.path}{len(self.server.blobs)}-{time.monotonic_ns()}")
        else:
            self._say(404, b'{"errors":[{"code":"NAME_UNKNOWN","message":"name unknown"}]}', "application/json")

    def do_PATCH(self) -> None:
        """A part of a blob."""
        content = self._body()
        if self._refused():
            return
        parts = self.server.parts
        parts[self.path] = parts.get(self.path, b"") + content
        self._say(202, b"", "text/plain", location=self.path)

    def do_PUT(self) -> None:
        """A manifest under its tag, or the end of a blob."""
        where, _, digest = self.path.partition("?digest=")
        digest = urllib.parse.unquote(digest)
        body = self._body()
        if self._refused():
            return
        content = self.server.parts.pop(where, b"") + body
        found = f"sha256:{hashlib.sha256(content).hexdigest()}"
        assert found == (digest or found)
        self.server.blobs[found] = content
        self.server.kinds[found] = self.headers.get("Content-Type") or "application/octet-stream"
        if not digest:
            self.server.tags[where.rpartition("/")[2]] = found
        self._say(201, b"", "text/plain", found)

    def _refused(self) -> bool:
        """Whether the login is not the one that a private registry wants; then it has been said."""
        given = self.headers.get("Authorization", "")
        self.server.asked.append((self.path, given))
        wanted = "Basic " + base64.b64encode(b"someone:s3cr3t!").decode()
        if not self.server.private or given == wanted:
            return False
        self._say(401, b'{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}', "text/json")
        return True

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _say(self, status: int, body: bytes, kind: str, digest: str = "", location: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if status == 401:
            self.send_header("WWW-Authenticate", 'Basic realm="test"')
        if digest:
            self.send_header("Docker-Content-Digest", digest)
        if location:
            self.send_header("Location", location)
            self.send_header("Range", f"0-{max(0, len(self.server.parts.get(location, b'')) - 1)}")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


@contextmanager
def serving(registry: Registry) -> Iterator[Registry]:
    thread = threading.Thread(target=registry.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield registry
    finally:
        registry.shutdown()
        thread.join()
        registry.server_close()


@pytest.fixture
def registry() -> Iterator[Registry]:
    with serving(Registry(private=False)) as public:
        yield public


@pytest.fixture
def private_registry() -> Iterator[Registry]:
    with serving(Registry(private=True)) as private:
        yield private


def test_pull_gives_the_digest(engine: DockerEngine, registry: Registry) -> None:
    told: list[str] = []
    tag = f"{registry.name}/team/image:1"
    assert engine.pull(tag, mirror=None, on_progress=told.append) == registry.manifest
    assert engine.image_id(tag) is not None
    assert told[-1].endswith("1 of 1 layers, 1 MiB") or told[-1].endswith("1 of 1 layers, 0 MiB")


def test_pull_from_a_mirror_answers_to_the_original_name(engine: DockerEngine, registry: Registry) -> None:
    tag = "intelanalytics/analytics-zoo:1"
    assert engine.pull(tag, mirror=f"{registry.name}/hub", on_progress=print) == registry.manifest
    assert engine.image_id(tag) == engine.image_id(f"{registry.name}/hub/{tag}") is not None


def test_pull_tells_an_unknown_tag_a_refused_login_and_silence_apart(
    engine: DockerEngine, registry: Registry, private_registry: Registry, folder: Path
) -> None:
    def refusal(tag: str, login: tuple[str, Secret] | None = None) -> str:
        with pytest.raises(HostError) as caught:
            engine.pull(tag, mirror=None, on_progress=print, login=login)
        assert "s3cr3t" not in str(caught.value) + repr(caught.value.tail)
        return caught.value.message

    assert "no such tag" in refusal(f"{registry.name}/team/image:2")
    tag = f"{private_registry.name}/team/image:1"
    assert "access denied" in refusal(tag)
    assert "access denied" in refusal(tag, ("someone", Secret("s3cr3t?")))
    assert engine.pull(tag, mirror=None, on_progress=print, login=("someone", Secret("s3cr3t!")))
    hasty = DockerEngine(LocalConnection("localhost", folder), engine._dial, sleep=lambda _: None)
    with pytest.raises(HostError, match="cannot be reached"):
        hasty.pull("127.0.0.1:1/team/image:1", mirror=None, on_progress=print)
    assert "s3cr3t" not in (folder / "log").read_text()


def test_an_image_is_pushed_and_can_be_pulled(engine: DockerEngine, registry: Registry) -> None:
    tag = f"{registry.name}/team/pushed:7"
    derive(engine, tag, "COPY small /", base="scratch", small=os.urandom(1 << 20))
    done = image("push", tag)
    assert done.code == 0, done.err
    assert f"{tag} is {registry.tags['7']}\n" in done.out
    assert "1 of 1 layers" in done.out
    assert engine.pull(tag, mirror=None, on_progress=print) == registry.tags["7"]


def test_pushing_tells_a_login_a_namespace_and_silence_apart(
    engine: DockerEngine, registry: Registry, private_registry: Registry, folder: Path
) -> None:
    def refusal(tag: str, *options: str, password: str = "") -> str:
        if "never-built" not in tag:
            derive(engine, tag, "COPY small /", base="scratch", small=b"content")
        done = image("push", tag, *options, password=password)
        assert done.code == 1
        assert "s3cr3t" not in done.out + done.err
        return done.err

    assert "wants one: give --username" in refusal(f"{private_registry.name}/team/pushed:7")
    assert "refused the login" in refusal(
        f"{private_registry.name}/team/pushed:7", "--username", "x", password="s3cr3t?"
    )
    assert "access denied" in refusal(
        f"{private_registry.name}/others/pushed:7", "--username", "someone", password="s3cr3t!"
    )
    assert "no such repository" in refusal(f"{registry.name}/nobody/pushed:7")
    assert "cannot be reached from the host: check the registry's name" in refusal("127.0.0.1:1/team/pushed:7")
    assert "no image of that name" in refusal("127.0.0.1:1/team/never-built:7")
    tag = f"{private_registry.name}/team/pushed:7"
    done = image("push", tag, "--username", "someone", password="s3cr3t!")
    assert done.code == 0, done.err
    login = ("someone", Secret("s3cr3t!"))
    assert engine.pull(tag, mirror=None, on_progress=print, login=login) == private_registry.tags["7"]
    assert "s3cr3t" not in done.out + done.err + (folder / "log").read_text()


def test_a_bundled_image_is_built_on_this_machines_engine(engine: DockerEngine, tree: str) -> None:
    """Up to its first own instruction, which fails here: the base image has no package of that name."""
    done = image(
        *("build", "spark", "--tag", "mine:1", "--build-arg", f"BASE_IMAGE={tree}"),
        *("--build-arg", "JAVA_PACKAGE=no-such-java"),
    )
    assert done.code == 1
    assert "RUN if [" in done.err
    assert "no-such-java" in done.err


# ---------------------------------------------------------------------------------------------- the bundled images


def test_the_spark_image(engine: DockerEngine, tree: str, folder: Path) -> None:
    """TensorFlow, Spark, Java, numactl and the workload for an ordinary user; small; up again does nothing."""
    derive(engine, "python:3.13-slim-trixie", install("python3-venv"), base=tree)
    model = folder / "model"  # which Docker makes, as root
    session = local_session(folder, build="spark", container="spark", volumes={str(model): "/model"})
    assert brought_up(session) == ["image/localhost", "container/localhost"]
    assert brought_up(session) == []
    shell = session.hosts[0].shell()
    answer = shell.run(
        "id -un; pwd; numactl -C 1 nproc; python3 -c 'import os; import tensorflow, pyspark; "
        'print("TensorFlow", tensorflow.__version__, "Spark", pyspark.__version__)\'; java -version 2>&1; '
        "python3 -m workload --help | head -1; touch here /model/here"
    ).output
    assert answer.startswith("work\n/opt/work\n1\n")
    assert "TensorFlow 2.21" in answer
    assert "Spark 4." in answer
    assert 'openjdk version "21' in answer
    assert "usage: workload" in answer
    # The real base image is 130 MB; the stand-in's own size does not count.
    own_mib = size_mib(ImageStep(session.hosts[0]).tag) - size_mib("python:3.13-slim-trixie")
    assert own_mib < 2300
    ContainerStep(session.hosts[0]).undo()
    assert engine.container("spark") is None
