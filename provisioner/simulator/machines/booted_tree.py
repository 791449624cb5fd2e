"""The Debian tree that booted machines start from: made once with debootstrap, then copied.

It lies in `$XDG_CACHE_HOME/provisioner/booted/trixie-DIGEST`, where DIGEST stands for this recipe and the settings
taken over from this machine: its certificate authorities, its package mirrors and proxies. Nothing of those is kept
anywhere else. Trees of older digests stay; the whole cache folder may be deleted whenever no machine is being made.
"""

from __future__ import annotations

import configparser
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from provisioner.simulator.machines.booted_host import PATH, cache_folder, locked, run

SUITE = "trixie"
PACKAGES = (
    "ca-certificates",
    "cloud-init",  # runs the instance's UserData
    "curl",
    "dbus",  # systemctl, poweroff and Docker's cgroup driver talk to systemd through it
    "iproute2",
    "iputils-ping",
    "openssh-server",
    "python3",
    "sudo",
    "systemd",
    "systemd-sysv",
)
HOMES = {"root": "root", "ecs-user": "home/ecs-user"}
"""Where the users have their homes that an instance's keys can let in."""

CERTIFICATES = "etc/ssl/certs/ca-certificates.crt"
LOCAL_CERTIFICATES = "usr/local/share/ca-certificates"

FILES = {
    # As on the images of the cloud: root logs in with the instance's keys, ecs-user where RunInstances says so. Name,
    # network and keys are put in place from outside before each boot, so cloud-init has the user data left, and the
    # host keys at first boot.
    "etc/cloud/cloud.cfg.d/99_simulator.cfg": "datasource_list: [NoCloud]\n"
    "disable_root: false\n"
    "users: []\n"
    "preserve_hostname: true\n"
    "network: {config: disabled}\n"
    "apt: {preserve_sources_list: true}\n"
    "ssh_genkeytypes: [ed25519, ecdsa]\n",
    "etc/sudoers.d/ecs-user": "ecs-user ALL=(ALL) NOPASSWD:ALL\n",
}
MASKED_UNITS = (
    "apt-daily.timer",  # they would take apt's lock at a moment of their own
    "apt-daily-upgrade.timer",
    "systemd-modules-load.service",  # the modules are those of the kernel outside
    "sys-kernel-debug.mount",
    "sys-kernel-tracing.mount",
)
REMOVED = (
    "etc/ssh/ssh_host_*",  # made anew at each machine's first boot
    "var/lib/dbus/machine-id",
    "var/lib/apt/lists/*",  # a new machine begins with apt-get update
    "var/log/*.log",
)

DEFAULT_MIRROR = "http://deb.debian.org/debian"
DEFAULT_SECURITY_MIRROR = "http://deb.debian.org/debian-security"
_APT_SETTING = re.compile(r'Acquire::(?:https?|Retries|Check-|ForceIPv|Languages).* "(?!/)[^"]*";')
_PIP_SETTINGS = ("index-url", "extra-index-url", "trusted-host", "proxy", "timeout", "default-timeout", "retries")
_PROXY_VARIABLES = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


def cached_tree() -> Path:
    """The tree for today's recipe and settings; made first, which takes about a minute, where there is none.

    Raises RuntimeError with the last lines of what failed.
    """
    settings = host_settings()
    certificates = host_certificates()
    recipe = (Path(__file__).read_text(), sorted(settings.items()), certificates)
    tree = cache_folder() / f"{SUITE}-{hashlib.sha256(repr(recipe).encode()).hexdigest()[:12]}"
    if tree.exists():
        return tree
    with locked("tree") as lock:
        for left in cache_folder().glob("making-*"):  # by a process that was killed: nobody else holds the lock
            shutil.rmtree(left)
        if not tree.exists():
            making = Path(tempfile.mkdtemp(prefix="making-", dir=cache_folder()))
            try:
                _make(making, settings, certificates, lock)
                making.chmod(0o755)
                making.rename(tree)
            except BaseException:
                shutil.rmtree(making)
                raise
    return tree


def _make(tree: Path, settings: Mapping[str, str], certificates: str, lock: int) -> None:
    """Debian's minimal system, PACKAGES, the settings; nothing that tells two machines apart."""
    _run("debootstrap", "--variant=minbase", SUITE, str(tree), _mirrors()[0], lock=lock)
    for path, text in {**FILES, **settings, CERTIFICATES: certificates}.items():
        write(tree, path, text)
    (tree / "etc/apt/sources.list").unlink(missing_ok=True)  # settings bring debian.sources
    inside = ("--mount-proc", "--root", str(tree), "--", "env", "DEBIAN_FRONTEND=noninteractive")
    _run(*inside, "apt-get", "update", lock=lock)
    _run(*inside, "apt-get", "install", "--yes", "--no-install-recommends", *PACKAGES, lock=lock)
    installed = {_body(certificate) for certificate in _CERTIFICATE.findall((tree / CERTIFICATES).read_text())}
    for certificate in _CERTIFICATE.findall(certificates):
        if (body := _body(certificate)) not in installed:
            name = hashlib.sha256(body.encode()).hexdigest()[:16]
            write(tree, f"{LOCAL_CERTIFICATES}/host-{name}.crt", certificate + "\n")
    _run(*inside, "update-ca-certificates", lock=lock)
    _run(*inside, "useradd", "--create-home", "--shell=/bin/bash", "ecs-user", lock=lock)
    _run(*inside, "systemctl", "enable", "systemd-networkd.service", lock=lock)
    _run(*inside, "systemctl", "mask", *MASKED_UNITS, lock=lock)
    _run(*inside, "apt-get", "clean", lock=lock)
    for pattern in REMOVED:
        for place in tree.glob(pattern):
            shutil.rmtree(place) if place.is_dir() and not place.is_symlink() else place.unlink()
    write(tree, "etc/machine-id", "")


def _run(*command: str, lock: int) -> None:
    """Run with mounts and process ids of its own, so that none are left; it inherits the lock in case we are killed."""
    done = subprocess.run(
        ["unshare", "--mount", "--pid", "--fork", "--kill-child", *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        pass_fds=(lock,),
        env={"PATH": PATH, "LANG": "C.UTF-8"},
    )
    if done.returncode:
        tail = "\n".join(done.stdout.splitlines()[-15:])
        raise RuntimeError(f"making the tree of booted machines failed with status {done.returncode}:\n{tail}")


def write(tree: Path, path: str, text: str, mode: int = 0o644) -> None:
    """Write a file of a tree that is not running, and the folders it needs; never through a symlink out of the tree."""
    target = tree / path
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.parent.resolve().is_relative_to(tree.resolve()):
        raise RuntimeError(f"{target.parent} leads out of the machine's tree")
    target.unlink(missing_ok=True)
    target.write_text(text)
    target.chmod(mode)


def _body(certificate: str) -> str:
    return "".join(certificate.split())


def host_certificates() -> str:
    """The certificate authorities that this machine trusts, in PEM; "" where Debian's bundle does not exist."""
    path = Path("/") / CERTIFICATES
    return path.read_text() if path.exists() else ""


def host_settings() -> dict[str, str]:
    """Files for the tree that make apt and pip reach what they reach here: path -> text. Local paths are left out."""
    mirror, security_mirror = _mirrors()
    signed_by = "Components: main\nSigned-By: /usr/share/keyrings/debian-archive-keyring.gpg\n"
    files = {
        "etc/apt/sources.list.d/debian.sources": f"Types: deb\nURIs: {mirror}\nSuites: {SUITE} {SUITE}-updates\n"
        f"{signed_by}\nTypes: deb\nURIs: {security_mirror}\nSuites: {SUITE}-security\n{signed_by}"
    }
    if apt := _apt_settings():
        files["etc/apt/apt.conf.d/90host"] = "\n".join(apt) + "\n"
    for path in [Path("/etc/apt/auth.conf"), *sorted(Path("/etc/apt/auth.conf.d").glob("*"))]:
        if path.is_file():
            files[str(path).lstrip("/")] = path.read_text()
    pip = {"cert": f"/{CERTIFICATES}", **_pip_settings()}
    files["etc/pip.conf"] = "[global]\n" + "".join(f"{key} = {value}\n" for key, value in sorted(pip.items()))
    if proxies := [f"{name}={os.environ[name]}\n" for name in _PROXY_VARIABLES if name in os.environ]:
        files["etc/environment"] = "".join(proxies)
    return files


def _mirrors() -> tuple[str, str]:
    """Where this machine gets Debian's packages and their security updates from."""
    sources = [Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*"))]
    uris: list[str] = []
    for path in sources:
        if path.suffix in (".list", ".sources") and path.is_file():
            lines = [line for line in path.read_text().splitlines() if not line.lstrip().startswith("#")]
            uris += re.findall(r"https?://\S+", "\n".join(lines))
    mirrors = [uri for uri in uris if uri.rstrip("/").endswith("/debian")]
    security_mirrors = [uri for uri in uris if uri.rstrip("/").endswith("/debian-security")]
    return [*mirrors, DEFAULT_MIRROR][0], [*security_mirrors, DEFAULT_SECURITY_MIRROR][0]


def _apt_settings() -> list[str]:
    if not shutil.which("apt-config", path=PATH):
        return []  # not a Debian
    return [line for line in run("apt-config", "dump").splitlines() if _APT_SETTING.fullmatch(line)]


def _pip_settings() -> dict[str, str]:
    """pip's network settings in its own order: the machine's file, the user's files, the environment."""
    home = Path.home()
    config = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config")
    given: dict[str, str] = {}
    for path in (Path("/etc/pip.conf"), home / ".pip/pip.conf", config / "pip/pip.conf"):
        parser = configparser.RawConfigParser()
        parser.read(path)
        if parser.has_section("global"):
            given |= dict(parser.items("global"))
    for name, value in os.environ.items():
        if name.startswith("PIP_"):
            given[name.removeprefix("PIP_").lower().replace("_", "-")] = value
    settings = {}
    for key in _PIP_SETTINGS:
        if values := [value for value in given.get(key, "").split() if not value.startswith(("file:", "/"))]:
            settings[key] = " ".join(values)
    return settings
