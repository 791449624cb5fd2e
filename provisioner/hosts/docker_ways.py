"""What stands in the way of a Docker engine on a host, and the command that clears it.

The text of the script that looks, and the pure parser of what it prints.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from provisioner.hosts.facts import HostFacts

_VERSION = r"-(?:\d+:)?\d[^\s-]*(?:-[^\s-]+)?(?=\s|$)"
_INSTALLED = re.compile(rf"(?:problem with|conflicts with|file from) installed package (\S+?){_VERSION}")
_PROVIDED = re.compile(rf"(?:conflicts with|obsoletes) \S+ provided by (\S+?){_VERSION}")

LOOK_SCRIPT = r"""
echo "docker=$(command -v docker 2>/dev/null)"
command -v docker >/dev/null 2>&1 && echo "version=$(docker --version 2>/dev/null)"
for p in podman buildah runc; do command -v $p >/dev/null 2>&1 && echo "program=$p"; done
[ -e /snap/bin/docker ] && echo "snap=docker"
[ -S /var/run/docker.sock ] && echo "socket=system"
[ -w /var/run/docker.sock ] && echo "writable=system"
[ -S "${XDG_RUNTIME_DIR:-/run/user/$(id -u 2>/dev/null)}/docker.sock" ] && echo "socket=rootless"
if command -v rpm >/dev/null 2>&1; then
  echo "manager=rpm"
  for p in podman-docker podman buildah runc containerd; do rpm -q $p >/dev/null 2>&1 && echo "package=$p"; done
fi
:
""".strip()
"""POSIX sh; needs no root and changes nothing."""


@dataclass(frozen=True)
class Obstacle:
    """Why Docker cannot be had on a host as it is, and what to do there."""

    what: str
    remedy: str


def obstacle(look: str, host: str, facts: HostFacts, conflicts: Sequence[str], *, is_root: bool) -> Obstacle | None:
    """What is in the way; None when Docker can be installed, or started.

    Args:
        look: what LOOK_SCRIPT printed.
        host: its name, for the words.
        facts: what the host is.
        conflicts: packages beside which those to be installed cannot be.
        is_root: whether the login is root, or becomes root by sudo without a password.
    """
    seen: dict[str, set[str]] = {}
    for line in look.splitlines():
        key, _, value = line.partition("=")
        seen.setdefault(key, set()).add(value.strip())
    docker, version = ("".join(seen.get(key, ())) for key in ("docker", "version"))
    packages = seen.get("package", set()) if "rpm" in seen.get("manager", ()) else seen.get("program", set())
    if "podman" in version.lower():
        blocking = _to_remove({*packages, "podman-docker"}, ["podman-docker", *conflicts])
        return Obstacle(
            f"docker on {host} is podman in Docker's clothes (the package podman-docker), which cannot be used",
            f"make room for Docker there, `{removal(blocking, facts.package_manager)}`, then run the command again",
        )
    if docker.startswith("/snap/") or (not docker and "snap" in seen):
        return Obstacle(
            f"Docker on {host} is snap's, whose containers see no folder outside of home",
            "make room for the system's there, `sudo snap remove docker`, then run the command again",
        )
    blocking = [] if version else _to_remove(packages, conflicts)
    if blocking:
        return Obstacle(
            f"Docker cannot be installed on {host} beside {', '.join(blocking)}: it brings a runc of its own",
            f"make room for it there, `{removal(blocking, facts.package_manager)}`, then run the command again",
        )
    if "rootless" in seen.get("socket", ()) and "system" not in seen.get("socket", ()):
        return Obstacle(
            f"Docker on {host} runs rootless, as {facts.user}: its containers have neither the host's network nor the "
            "right to bind memory",
            "let the system's run there, `systemctl --user disable --now docker; sudo systemctl enable --now docker`, "
            "then run the command again",
        )
    if "system" in seen.get("socket", ()) and "writable" not in seen and not is_root:
        return Obstacle(
            f"Docker on {host} runs, and refuses the login {facts.user}",
            f"add it to the group there, `sudo usermod -aG docker {facts.user}`, then run the command again",
        )
    return None


def in_the_way(output: str) -> list[str]:
    """The installed packages that dnf or yum says cannot stay, by name, as far as its words tell."""
    packages = []
    for line in output.splitlines():
        for pattern in (_INSTALLED, _PROVIDED):
            packages += pattern.findall(line)
    return [name for name in dict.fromkeys(packages) if not name.startswith(("docker-ce", "containerd.io"))]


def removal(packages: Sequence[str], manager: str) -> str:
    """The command that removes packages."""
    return f"sudo {'apt-get' if manager == 'apt' else manager or 'dnf'} remove {' '.join(packages)}"


def _to_remove(packages: set[str], conflicts: Sequence[str]) -> list[str]:
    """Those that conflict, and what cannot stay without them: podman and buildah need runc."""
    blocking = [name for name in dict.fromkeys(conflicts) if name in packages]
    dependants = [name for name in ("podman", "buildah") if name in packages and name not in blocking]
    return [*blocking, *dependants] if "runc" in blocking else blocking
