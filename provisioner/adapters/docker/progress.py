"""The engine's event streams: progress in a few lines, and what a failure was."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

MIB = 1 << 20
STEP_MIB = 100
STEP_OUTPUT_LINES = 100
TAIL_LINES = 20
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Failure:
    """What went wrong at a registry, what to do about it, and whether the same call may go through later.

    `push_remedy` is what to do instead where a push failed: there is no inventory to change then.
    """

    what: str
    remedy: str
    retry: bool = False
    push_remedy: str = ""


# A registry's refusal in its standard words comes out of the engine as `denied` alone; files are `permission denied`.
_DENIED = r"(?<!permission )\bdenied\b|insufficient_scope|403 Forbidden"

# The engine gives text alone, worded differently by version and registry; the first pattern that is in it counts.
_FAILURES = (
    (
        r"no space left on device",
        Failure(
            "the host's disk is full",
            "give it more (cloud.system_disk.size_gib), or make room there: docker system prune",
        ),
    ),
    (
        r"toomanyrequests|too many requests|rate limit",
        Failure(
            "the registry limits how much this address may ask for",
            "log in (image.registry_login), use image.registry_mirror, or wait",
            push_remedy="log in (--username), or wait",
        ),
    ),
    (
        r"x509|certificate|HTTP response to HTTPS client",
        Failure(
            "the engine does not trust the registry's certificate",
            "give the host the registry's certificate authority, or use another image.registry_mirror",
            push_remedy="give this machine the registry's certificate authority: /etc/docker/certs.d/REGISTRY/ca.crt",
        ),
    ),
    (
        r"no matching manifest|does not match the specified platform",
        Failure("the image is not made for the host's processor architecture", "choose an image or a type that fits"),
    ),
    (
        r"dial tcp|no such host|i/o timeout|connection refused|connection reset|TLS handshake timeout|request canceled"
        r"|Client\.Timeout|deadline exceeded|unexpected EOF|: EOF|server misbehaving|network is unreachable"
        r"|unexpected HTTP status: 5\d\d|unexpected status.*: 5\d\d|50[234] (Bad Gateway|Service|Gateway)",
        Failure(
            "the registry cannot be reached from the host",
            "see that the host reaches the internet, or name a registry it reaches with image.registry_mirror",
            retry=True,
            push_remedy="check the registry's name and region in the tag, and that this machine's engine reaches it",
        ),
    ),
    (
        rf"{_DENIED}|unauthorized|authentication required|no basic auth",
        Failure(
            "access denied: there is no such repository, or it needs a login",
            "check the name; for a private repository set image.registry_login",
        ),
    ),
    (
        r"manifest unknown|name unknown|not found",
        Failure("the registry has no such tag", "check the tag in the inventory's image.pull"),
    ),
)


_OF_A_PUSH = (
    (
        r"does not exist locally|tag does not exist",
        Failure("the engine has no image of that name", "build it under that name: provisioner image build --tag"),
    ),
    # Before the login: some registries say `unauthorized` as well where they know who it is, and refuse the repository.
    (
        rf"{_DENIED}|to access (the requested resource|repository)",
        Failure(
            "access denied: there is no such namespace or repository, or this login may not push to it",
            "create it at the registry, or log in (--username) as somebody who may",
        ),
    ),
    (
        r"unauthorized|authentication required|no basic auth",
        Failure(
            "the registry refused the login, or wants one",
            "give --username, and the password in the environment variable that --password-env names",
        ),
    ),
    (
        r"name unknown|manifest unknown|not found",
        Failure("the registry has no such repository", "create its namespace and repository at the registry first"),
    ),
)


def registry_failure(text: str, *, push: bool = False) -> Failure:
    """What the engine's words about a registry mean."""
    failures = (*_OF_A_PUSH, *_FAILURES) if push else _FAILURES
    for pattern, failure in failures:
        if re.search(pattern, text, re.IGNORECASE):
            return replace(failure, remedy=failure.push_remedy) if push and failure.push_remedy else failure
    return Failure("the engine gave up", "the engine's own words follow")


_DONE = ("Pull complete", "Already exists", "Pushed", "Layer already exists")


class LayerProgress:
    """Counts the layers and bytes of a pull or push; `feed` gives a line when a layer is done or 100 MiB more are."""

    def __init__(self) -> None:
        self.digest = ""
        self._done: dict[str, bool] = {}
        self._bytes: dict[str, int] = {}
        self._told_mib = 0

    def feed(self, event: Mapping[str, Any]) -> str | None:
        """Take an event of the stream."""
        status = str(event.get("status", ""))
        if status.startswith("Digest: "):
            self.digest = status.removeprefix("Digest: ")
        self.digest = str((event.get("aux") or {}).get("Digest", self.digest))
        layer = str(event.get("id", ""))
        if not layer or status.startswith("Pulling from"):
            return None
        was_done = self._done.get(layer, False)
        self._done[layer] = was_done or status in _DONE or status.startswith("Mounted from")
        if status in ("Downloading", "Pushing"):
            self._bytes[layer] = int((event.get("progressDetail") or {}).get("current", 0))
        mib = sum(self._bytes.values()) // MIB
        if self._done[layer] and not was_done:
            return f"layer {layer}: {status.lower()}; {self._count()}, {mib} MiB"
        if mib >= self._told_mib + STEP_MIB:
            self._told_mib = mib
            return f"{self._count()}, {mib} MiB"
        return None

    def _count(self) -> str:
        return f"{sum(self._done.values())} of {len(self._done)} layers"


class BuildProgress:
    """Follows a build; `feed` gives a line for each instruction, and some of a long instruction's output."""

    def __init__(self) -> None:
        self.image_id = ""
        self.instruction = ""
        self.error = ""
        self.tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._lines = 0

    def feed(self, event: Mapping[str, Any]) -> list[str]:
        """Take an event of the stream."""
        if "error" in event:
            self.error = str(event["error"]).strip()
            self.tail.extend(self.error.splitlines())
            return []
        self.image_id = str((event.get("aux") or {}).get("ID", self.image_id))
        lines = []
        for line in _COLOUR.sub("", str(event.get("stream", ""))).splitlines():
            if re.match(r"Step \d+/\d+ : ", line):
                self.instruction = line
                self._lines = 0
                lines.append(line)
            elif line.strip():
                self.tail.append(line.rstrip())
                self._lines += 1
                if self._lines % STEP_OUTPUT_LINES == 0:
                    lines.append(line.rstrip())
        return lines
