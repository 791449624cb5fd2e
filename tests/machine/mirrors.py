"""What a region in mainland China reaches, served by the tests: package mirrors and a registry of one base image.

Packages come from where this machine's own apt and pip get them; the base image is the tree of booted machines.
"""

from __future__ import annotations

import configparser
import hashlib
import http.server
import json
import re
import shutil
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

from provisioner.simulator.machines import booted_tree
from provisioner.simulator.machines.booted_network import SUBNETS

KIND = "application/vnd.docker."
PYPI = "https://pypi.org/simple"


class Mirrors(http.server.ThreadingHTTPServer):
    """mirrors.cloud.aliyuncs.com and the AC2 registry on one port, told apart by the Host header; for booted machines
    alone. `asked` has (host, path) of every request."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("0.0.0.0", 0), _Handler)  # the machines' network is not there yet
        settings = booted_tree.host_settings()
        debian, security = re.findall(r"^URIs: (.*)$", settings["etc/apt/sources.list.d/debian.sources"], re.MULTILINE)
        self.archives = {"debian": debian, "debian-security": security}
        pip = configparser.RawConfigParser()
        pip.read_string(settings["etc/pip.conf"])
        self.index = pip.get("global", "index-url", fallback=PYPI).rstrip("/")
        self.files: list[str] = []
        self.asked: list[tuple[str, str]] = []
        self.layer = folder / "layer.tar"
        self.blobs = _image(self.layer)

    def verify_request(self, request: Any, client_address: Any) -> bool:
        return ip_address(client_address[0]) in SUBNETS


def _image(layer: Path) -> dict[str, tuple[bytes | Path, str]]:
    """The blobs of an image of the tree by digest; the manifest under "manifest" too."""
    tree = booted_tree.cached_tree()
    subprocess.run(["tar", "-C", str(tree), "-cf", str(layer), "."], check=True)
    with layer.open("rb") as file:
        digest = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
    blobs: dict[str, tuple[bytes | Path, str]] = {digest: (layer, "application/octet-stream")}

    def add(value: object, kind: str) -> dict[str, object]:
        content = json.dumps(value).encode()
        name = f"sha256:{hashlib.sha256(content).hexdigest()}"
        blobs[name] = (content, kind)
        blobs["manifest"] = blobs[name]  # the last one added is
        return {"mediaType": kind, "size": len(content), "digest": name}

    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Cmd": ["bash"], "Env": ["PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]},
        "rootfs": {"type": "layers", "diff_ids": [digest]},
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{KIND}distribution.manifest.v2+json",
        "config": add(config, f"{KIND}container.image.v1+json"),
        "layers": [{"mediaType": f"{KIND}image.rootfs.diff.tar", "size": layer.stat().st_size, "digest": digest}],
    }
    add(manifest, f"{KIND}distribution.manifest.v2+json")
    return blobs


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Mirrors

    def log_message(self, *_: Any) -> None:
        """Silent."""

    def do_GET(self) -> None:
        host = self.headers.get("Host", "").partition(":")[0]
        self.server.asked.append((host, self.path))
        first, _, rest = self.path.lstrip("/").partition("/")
        if host.startswith("ac2-registry."):
            self._registry()
        elif host == "mirrors.cloud.aliyuncs.com" and first in self.server.archives:
            self._forward(f"{self.server.archives[first].rstrip('/')}/{rest}")
        elif host == "mirrors.cloud.aliyuncs.com" and first == "pypi":
            self._pypi(rest)
        else:
            self._say(404, b"no such page")

    do_HEAD = do_GET

    def _registry(self) -> None:
        if self.path == "/v2/":
            self._say(200, b"{}", "application/json")
            return
        repository, _, reference = self.path.removeprefix("/v2/").rpartition("/")
        name = "manifest" if reference == "ubuntu24.04" else reference
        if not repository.startswith("ac2/base/") or name not in self.server.blobs:
            self._say(404, b'{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}', "application/json")
            return
        content, kind = self.server.blobs[name]
        digest = next(
            digest for digest, blob in self.server.blobs.items() if blob[0] is content and digest != "manifest"
        )
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content) if isinstance(content, bytes) else content.stat().st_size))
        self.send_header("Docker-Content-Digest", digest)
        self.end_headers()
        if self.command == "GET":
            if isinstance(content, bytes):
                self.wfile.write(content)
            else:
                with content.open("rb") as file:
                    shutil.copyfileobj(file, self.wfile)

    def _pypi(self, rest: str) -> None:
        """The index with its links turned to this server, and the files behind them."""
        if rest.startswith("simple/"):
            url = f"{self.server.index}/{rest.removeprefix('simple/')}"
            try:
                with urllib.request.urlopen(url, timeout=120) as answer:
                    page, base = answer.read().decode(), answer.url
            except urllib.error.HTTPError as error:
                self._say(error.code, b"")
                return
            text = re.sub(r'href="([^"]+)"', lambda link: f'href="{self._link(urljoin(base, link[1]))}"', page)
            self._say(200, text.encode(), "text/html")
        else:
            number, _, name = rest.removeprefix("files/").partition("/")
            self._forward(self.server.files[int(number)] + (".metadata" if name.endswith(".metadata") else ""))

    def _link(self, url: str) -> str:
        where, _, digest = url.partition("#")
        self.server.files.append(where)
        return f"/pypi/files/{len(self.server.files) - 1}/{where.rpartition('/')[2]}#{digest}"

    def _forward(self, url: str) -> None:
        try:
            answer = urllib.request.urlopen(url, timeout=300)
        except urllib.error.HTTPError as error:
            self._say(error.code, b"")
            return
        with answer:
            length = answer.headers.get("Content-Length")
            if length is None:
                self._say(200, answer.read())
                return
            self.send_response(200)
            self.send_header("Content-Type", answer.headers.get("Content-Type", "application/octet-stream"))
            self.send_header("Content-Length", length)
            self.end_headers()
            if self.command == "GET":
                shutil.copyfileobj(answer, self.wfile)

    def _say(self, status: int, body: bytes, kind: str = "text/plain") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


@contextmanager
def serving(folder: Path) -> Iterator[Mirrors]:
    """The mirrors, on a port of every address of this machine; `folder` holds the base image meanwhile."""
    with Mirrors(folder) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
