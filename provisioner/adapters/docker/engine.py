"""The Docker engine of one host, through the docker SDK over the host's own connection."""

from __future__ import annotations

import io
import shlex
import tarfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, suppress
from typing import Any

import docker.utils

from provisioner.adapters.docker.dial import Dial
from provisioner.adapters.docker.errors import ClosedError, MissingError, RefusedError, translated
from provisioner.adapters.docker.progress import BuildProgress, LayerProgress, registry_failure
from provisioner.adapters.docker.shell import ContainerShell
from provisioner.adapters.docker.transport import EngineClient
from provisioner.errors import HostError
from provisioner.ports import Connection, ContainerRequest, ContainerState, OnLine
from provisioner.secret import Secret

LABEL = "provisioner"
"""On the containers that we started; others are not ours to remove."""

PULL_ATTEMPTS = 4
_GIB = 1 << 30


_HAND_OVER = """u=$1; shift; for d; do
  if [ -d "$d" ] && [ -O "$d" ] && [ -z "$(ls -A "$d")" ]; then chown "$u" "$d" || exit 1; fi
done"""
"""Run as root in the container; a folder that holds something, or is somebody's, stays as it is."""


class DockerEngine:
    """Implements ports.Engine.

    Args:
        connection: the host's; asked for the free space on its disk.
        dial: a new socket to the engine.
        sleep: waits between attempts.
    """

    def __init__(self, connection: Connection, dial: Dial, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self.host = connection.name
        self._connection = connection
        self._dial = dial
        self._sleep = sleep
        self._made: EngineClient | None = None
        self._lock = threading.Lock()

    # ------------------------------------------------------------------------------------------------- engine

    def ping(self) -> str | None:
        """As ports.Engine.ping. Raises ConnectError when the host itself cannot be reached."""
        try:
            with self._translated("tell its version"):
                version = self._client().version()
        except ClosedError:
            return None
        parts = {str(part.get("Name", "")).lower() for part in version.get("Components") or ()}
        if "podman engine" in parts:
            raise HostError(
                f"what answers for Docker on {self.host} is podman {version['Version']}, which this program cannot use",
                "end it there, `sudo systemctl disable --now podman.socket`, remove the package podman-docker, and run "
                "the command again, which installs Docker",
                host=self.host,
            )
        if "rootlesskit" in parts:
            raise HostError(
                f"Docker on {self.host} runs rootless: its containers have neither the host's network nor the right to "
                "bind memory",
                "let the system's run there, `systemctl --user disable --now docker; sudo systemctl enable --now "
                "docker`, and unset DOCKER_HOST, then run the command again",
                host=self.host,
            )
        return str(version["Version"])

    def free_gib(self) -> float:
        """The free space on the disk that the engine keeps its images on, in GiB."""
        with self._translated("say where it keeps its images"):
            root = self._client().info()["DockerRootDir"]
        # A login that may not look into the folder still sees its disk through the one above.
        answer = self._connection.run(f"df -Pk -- {shlex.quote(root)} 2>/dev/null || df -Pk /", timeout_s=60)
        return int(answer.output.splitlines()[-1].split()[3]) * 1024 / _GIB

    # ------------------------------------------------------------------------------------------------- images

    def image_id(self, tag: str) -> str | None:
        """As ports.Engine.image_id."""
        try:
            with self._translated(f"look for {tag}"):
                return str(self._inspect_image(tag)["Id"])
        except MissingError:
            return None

    def pull(
        self, tag: str, *, mirror: str | None, on_progress: OnLine, login: tuple[str, Secret] | None = None
    ) -> str:
        """As ports.Engine.pull; with `mirror`, that registry's image of the same path, tagged as `tag`.

        Retries while the registry cannot be reached. `login` is a user name and a password, sent to the engine in the
        request's header alone.
        """
        source = mirrored(tag, mirror) if mirror else tag
        for attempt in range(1, PULL_ATTEMPTS + 1):
            progress = LayerProgress()
            text = self._pull_once(source, login, progress, on_progress)
            if text is None:
                break
            failure = registry_failure(text)
            if not failure.retry or attempt == PULL_ATTEMPTS:
                raise HostError(
                    f"{self.host} could not pull {source}: {failure.what}",
                    failure.remedy,
                    host=self.host,
                    tail=text.splitlines(),
                )
            on_progress(f"{failure.what}; attempt {attempt + 1} of {PULL_ATTEMPTS} follows")
            self._sleep(5.0 * attempt)
        with self._translated(f"tag {source} as {tag}"):
            if source != tag:
                repository, version = docker.utils.parse_repository_tag(tag)
                self._client().tag(source, repository, version or "latest")
            image = self._inspect_image(tag)
        digests = [digest.partition("@")[2] for digest in image.get("RepoDigests") or ()]
        return progress.digest or (digests[0] if digests else str(image["Id"]))

    def push(self, tag: str, *, on_progress: OnLine, login: tuple[str, Secret] | None = None) -> str:
        """As ports.Engine.push; `login` is sent to the engine in the request's header alone."""
        progress = LayerProgress()
        auth = {"username": login[0], "password": login[1].reveal()} if login else {}
        text = ""
        try:
            with self._translated(f"push {tag}"):
                for event in self._client().push(tag, auth_config=auth, stream=True, decode=True):
                    text = str(event["error"]) if "error" in event else text
                    line = progress.feed(event)
                    if line:
                        on_progress(line)
        except RefusedError as error:
            text = error.explanation
        if text:
            failure = registry_failure(text, push=True)
            raise HostError(
                f"{self.host} could not push {tag}: {failure.what}",
                failure.remedy,
                host=self.host,
                tail=text.splitlines(),
            )
        return progress.digest

    def _inspect_image(self, tag: str) -> dict[str, Any]:
        return dict(self._client().inspect_image(tag))  # type: ignore[no-untyped-call]

    def _pull_once(
        self, source: str, login: tuple[str, Secret] | None, progress: LayerProgress, on_progress: OnLine
    ) -> str | None:
        """What the engine says went wrong, or None."""
        # Without a login an empty one is sent: given none, the SDK would look for the caller's own.
        auth = {"username": login[0], "password": login[1].reveal()} if login else {}
        try:
            with self._translated(f"pull {source}"):
                for event in self._client().pull(source, auth_config=auth, stream=True, decode=True):
                    if "error" in event:
                        return str(event["error"])
                    line = progress.feed(event)
                    if line:
                        on_progress(line)
        except RefusedError as error:
            return error.explanation
        return None

    def build(self, tag: str, files: Mapping[str, bytes], *, arguments: Mapping[str, str], on_progress: OnLine) -> str:
        """As ports.Engine.build. Raises HostError with the instruction that failed and the last lines it printed."""
        progress = BuildProgress()
        with self._translated(f"build {tag}"):
            events = self._client().build(
                fileobj=_context(files),
                custom_context=True,
                tag=tag,
                buildargs=dict(arguments),
                decode=True,
                rm=True,
                forcerm=True,
                network_mode="host",  # as the container will run: the host's own names and routes
                use_config_proxy=False,
            )
            for event in events:
                for line in progress.feed(event):
                    on_progress(line)
        image = None if progress.error else self.image_id(tag)
        if image is None:
            # The first instruction is where the engine fetches the base image.
            of_registry = registry_failure(progress.error) if " : FROM " in progress.instruction else None
            what = f": {of_registry.what}" if of_registry else ""
            raise HostError(
                f"building {tag} on {self.host} failed at {progress.instruction or 'its beginning'}{what}",
                of_registry.remedy if of_registry else "its last lines say why; layers that were finished are kept",
                host=self.host,
                tail=progress.tail,
            )
        return image

    # ------------------------------------------------------------------------------------------------- containers

    def container(self, name: str) -> ContainerState | None:
        """As ports.Engine.container."""
        container = self._inspect(name)
        if container is None:
            return None
        return ContainerState(
            name=name,
            image=container["Config"]["Image"],
            image_id=container["Image"],
            status=container["State"]["Status"],
            privileged=bool(container["HostConfig"]["Privileged"]),
            since=_since(container),
            health=(container["State"].get("Health") or {}).get("Status", ""),
            health_check=_health_command(container["Config"].get("Healthcheck") or {}),
            volumes=_volumes(container["HostConfig"].get("Binds") or ()),
        )

    def start(self, request: ContainerRequest) -> None:
        """As ports.Engine.start: `docker run -itd --net=host`, and again after the host restarts.

        It gets its name last: whatever ends this before leaves none that could be taken for a container that is ready.
        Raises HostError when a container of that name is there that we did not start, or when the new one ends at once.
        """
        container = self._inspect(request.name)
        if container is not None and not _is_ours(container):
            raise HostError(
                f"{self.host} has a container {request.name} that this program did not start",
                f"remove it (docker rm -f {request.name}), or choose another name: image.container",
                host=self.host,
            )
        self.remove(request.name)
        with self._translated(f"start {request.name} from {request.image}"):
            client = self._client()
            created = client.create_container(
                request.image,
                name=_provisional(request.name),
                tty=True,
                stdin_open=True,
                detach=True,
                environment=dict(request.environment),
                labels={LABEL: "container"},
                healthcheck=_healthcheck(request.health),
                host_config=client.create_host_config(
                    network_mode="host",
                    privileged=request.privileged,
                    cap_add=list(request.capabilities) or None,
                    binds=[f"{outside}:{inside}" for outside, inside in request.volumes.items()],
                    shm_size=f"{request.shm_size_mib}m" if request.shm_size_mib else None,
                    restart_policy={"Name": "unless-stopped"},
                ),
                volumes=list(request.volumes.values()),
                use_config_proxy=False,
            )
            client.start(created["Id"])
            container = client.inspect_container(created["Id"])
            state = container["State"]
            if not state["Running"]:
                raise HostError(
                    f"the container {request.name} on {self.host} ended at once with status {state['ExitCode']}",
                    f"does the command of {request.image} keep running when started with -itd?",
                    host=self.host,
                    tail=deque(client.logs(created["Id"]).decode("utf-8", "replace").splitlines(), 20),
                )

        self._hand_over(created["Id"], str(container["Config"].get("User") or ""), request)
        with self._translated(f"name the container {request.name}"):
            client.rename(created["Id"], request.name)

    def _hand_over(self, container_id: str, user: str, request: ContainerRequest) -> None:
        """Give the volumes that Docker made, which are root's and empty, to the user that the image runs as.

        Raises HostError when one cannot be given: that user could write nothing there.
        """
        if not request.volumes or user.partition(":")[0] in ("", "0", "root"):
            return
        words = ["/bin/sh", "-c", _HAND_OVER, "volumes", user, *request.volumes.values()]
        with self._translated(f"give the volumes of {request.name} to its user {user}"):
            client = self._client()
            run = client.exec_create(container_id, words, user="0")
            output = client.exec_start(run["Id"]).decode("utf-8", "replace")
            status = client.exec_inspect(run["Id"])["ExitCode"]
        if status != 0:
            raise HostError(
                f"the volumes of the container {request.name} on {self.host} could not be given to its user {user}",
                "give their folders to that user there (chown), or name others in image.volumes",
                host=self.host,
                tail=output.splitlines()[-20:],
            )

    def remove(self, name: str) -> None:
        """As ports.Engine.remove; a container that we did not start stays."""
        for each in (_provisional(name), name):
            container = self._inspect(each)
            if container is None or not _is_ours(container):
                continue
            with suppress(MissingError), self._translated(f"remove {each}"):  # somebody may be faster
                self._client().remove_container(container["Id"], force=True, v=True)

    def shell(self, name: str) -> ContainerShell:
        """As ports.Engine.shell."""
        return ContainerShell(self._client, self._dial, name, self.host)

    def _inspect(self, name: str) -> dict[str, Any] | None:
        try:
            with self._translated(f"look for the container {name}"):
                return dict(self._client().inspect_container(name))
        except MissingError:
            return None

    # ------------------------------------------------------------------------------------------------- inner workings

    def _client(self) -> EngineClient:
        with self._lock:
            if self._made is None:
                self._made = EngineClient(self._dial)
            return self._made

    def _translated(self, doing: str) -> AbstractContextManager[None]:
        return translated(self.host, doing)


def mirrored(tag: str, mirror: str) -> str:
    """The name under which a mirror (`HOST[:PORT][/PATH]`) holds a tag: its registry replaced, Docker Hub's path whole.

    `python:3.13` on `mirror.example.com` is `mirror.example.com/library/python:3.13`.
    """
    first, slash, rest = tag.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        path = rest
    else:
        path = tag if slash else f"library/{tag}"
    return f"{mirror.partition('://')[2] or mirror}".rstrip("/") + f"/{path}"


def _volumes(binds: Iterable[str]) -> dict[str, str]:
    """`OUTSIDE:INSIDE[:OPTIONS]` as the engine keeps them; no path of ours has a colon."""
    pairs = (bind.split(":") for bind in binds)
    return {outside: inside for outside, inside, *_ in pairs}


def _since(container: Mapping[str, Any]) -> str:
    """When a container came to its status, to the second: the engine writes nanoseconds, and year 1 for never."""
    state = container["State"]
    if state["Status"] == "created":
        at = container.get("Created", "")
    else:
        at = state.get("FinishedAt" if state["Status"] in ("exited", "dead") else "StartedAt", "")
    return "" if not at or at.startswith("0001-") else f"{at[:19]}Z"


def _healthcheck(command: str) -> dict[str, Any] | None:
    """As the API wants it, times in nanoseconds. Seldom, since each look costs the training some milliseconds."""
    if not command:
        return None
    return {"test": ["CMD-SHELL", command], "interval": 60 * 10**9, "timeout": 10 * 10**9, "retries": 2}


def _health_command(check: Mapping[str, Any]) -> str:
    """The command of a check as `_healthcheck` writes it; "" for none, and for one of another form."""
    kind, *words = check.get("Test") or [""]
    return str(words[0]) if kind == "CMD-SHELL" and len(words) == 1 else ""


def _provisional(name: str) -> str:
    """The name of a container until it is ready."""
    return f"{name}-starting"


def _is_ours(container: Mapping[str, Any]) -> bool:
    return LABEL in (container["Config"].get("Labels") or {})


def _context(files: Mapping[str, bytes]) -> io.BytesIO:
    """A build context; the same files give the same bytes."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for name, content in sorted(files.items()):
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o644
            tar.addfile(member, io.BytesIO(content))
    archive.seek(0)
    return archive
