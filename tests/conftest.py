"""What holds for every test but those of the machine tier: a state folder of its own, nobody's credentials, and no way
out of this machine."""

from __future__ import annotations

import os
import signal
import socket
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

LEFT_ALONE = "machine"
"""The tier that builds images and asks package indexes."""

SETTINGS = ("PROVISIONER_ENDPOINT", "ALIBABA_CLOUD_", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


def pytest_configure() -> None:
    """Ctrl-C works here and in what is started, also where a shell began the tests in the background."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def isolated(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """State goes to the test's folder; the environment names no cloud; sockets reach loopback only."""
    if LEFT_ALONE in request.path.parts:
        return
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for name in os.environ:
        if name.upper().startswith(SETTINGS):
            monkeypatch.delenv(name)
    monkeypatch.setattr(socket.socket, "connect", _guarded(socket.socket.connect))


def _guarded(connect: Any) -> Any:
    def guarded(self: socket.socket, address: Any) -> Any:
        if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] != "localhost":
            assert not ip_address(address[0]).is_global, f"a test wants to reach {address}"
        return connect(self, address)

    return guarded
