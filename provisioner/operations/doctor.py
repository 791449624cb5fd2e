"""Whether this machine is ready: what it has, what it lacks, and the remedy."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")


@dataclass(frozen=True)
class Check:
    """One thing that was looked at. `needed`: without it nothing works; the rest is needed for some uses only."""

    name: str
    ok: bool
    found: str
    remedy: str
    needed: bool = False

    def as_json(self) -> dict[str, str | bool]:
        """It as `doctor --json` shows it."""
        return {"check": self.name, "ok": self.ok, "found": self.found, "remedy": self.remedy}


def doctor() -> list[Check]:
    """Every check, in order."""
    checks: list[Callable[[], Check]] = [
        _credentials,
        _state,
        _ssh_agent,
        _java,
        _pinning,
        _packages,
        _simulator,
        _docker,
        _bf16,
    ]
    return [check() for check in checks]


def _credentials() -> Check:
    remedy = "set ALIBABA_CLOUD_ACCESS_KEY_ID and _SECRET, or run `aliyun configure`; provider: simulator needs none"
    if os.environ.get("ALIBABA_CLOUD_ACCESS_KEY_ID") and os.environ.get("ALIBABA_CLOUD_ACCESS_KEY_SECRET"):
        return Check("cloud credentials", True, "from the environment", remedy)
    for path in (Path.home() / ".aliyun/config.json", Path.home() / ".alibabacloud/credentials.ini"):
        if path.exists():
            return Check("cloud credentials", True, f"from {path}", remedy)
    return Check("cloud credentials", False, "none in the environment or in ~/.aliyun", remedy)


def _state() -> Check:
    from provisioner.adapters.store import state_root

    root = state_root()
    existing = next(path for path in (root, *root.parents) if path.exists())
    return Check(
        "state folder", os.access(existing, os.W_OK), str(root), "set XDG_STATE_HOME to a folder you own", needed=True
    )


def _ssh_agent() -> Check:
    keys = sorted(path.name for path in (Path.home() / ".ssh").glob("id_*") if path.suffix != ".pub")
    agent = bool(os.environ.get("SSH_AUTH_SOCK"))
    names = ", ".join([*keys, *(["agent"] if agent else [])]) or "none"
    return Check("SSH keys", bool(keys or agent), names, "only static hosts need one; clouds get a generated key")


def _java() -> Check:
    remedy = "apt-get install openjdk-17-jre-headless (for provider: local and simulator)"
    if shutil.which("java") is None:
        return Check("Java 17 or later", False, "not found", remedy)
    text = subprocess.run(["java", "-version"], capture_output=True, text=True, check=False).stderr
    version = re.search(r'version "(\d+)[^"]*"', text)
    major = int(version.group(1)) if version else 0
    return Check("Java 17 or later", major >= 17, text.splitlines()[0] if text else "?", remedy)


def _pinning() -> Check:
    tool = shutil.which("numactl") or shutil.which("taskset")
    return Check("numactl or taskset", tool is not None, tool or "not found", "apt-get install numactl")


def _packages() -> Check:
    missing = [name for name in ("tensorflow", "pyspark") if importlib.util.find_spec(name) is None]
    text = "both here" if not missing else f"missing: {', '.join(missing)}"
    return Check("TensorFlow and Spark", not missing, text, "pip install 'provisioner[local]'")


def _simulator() -> Check:
    here = importlib.util.find_spec("asyncssh") is not None
    text = "asyncssh is here" if here else "missing: asyncssh"
    return Check("simulator", here, text, "pip install 'provisioner[simulator]'")


def _docker() -> Check:
    from provisioner.adapters.docker.dial import local_socket

    path = Path(local_socket())
    ok = path.is_socket() and os.access(path, os.W_OK)
    text = str(path) if ok else f"none that this login may use at {path}"
    return Check("Docker engine", ok, text, "only `provisioner image` and runtime: docker on this machine need one")


def _bf16() -> Check:
    from provisioner.catalog import bf16_of
    from provisioner.hosts.facts import cpu_flags

    flags = bf16_of(cpu_flags(_CPUINFO.read_text() if _CPUINFO.exists() else ""))
    return Check(
        "bfloat16 instructions",
        bool(flags),
        ", ".join(flags) or "none",
        "local runs work, but bfloat16 will not be faster; rented hfc7 and hfg7 have them",
    )
