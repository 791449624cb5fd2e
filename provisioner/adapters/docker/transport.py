"""The docker SDK's HTTP over whatever the host's connection dials, in place of a socket of its own."""

from __future__ import annotations

from typing import Any

import docker
import requests.adapters
import urllib3.connection
import urllib3.connectionpool

from provisioner.adapters.docker.dial import REQUEST_TIMEOUT_S, Dial

IDLE_CONNECTIONS = 2
"""Kept open for the next request: each is a session of the SSH connection, of which sshd allows ten."""


class _Connection(urllib3.connection.HTTPConnection):
    def __init__(self, dial: Dial) -> None:
        super().__init__("localhost")
        self._dial = dial

    def connect(self) -> None:
        self.sock = self._dial()


class _Pool(urllib3.connectionpool.HTTPConnectionPool):
    def __init__(self, dial: Dial) -> None:
        super().__init__("localhost", maxsize=IDLE_CONNECTIONS)
        self._dial = dial

    def _new_conn(self) -> _Connection:
        return _Connection(self._dial)


class _Adapter(requests.adapters.HTTPAdapter):
    def __init__(self, dial: Dial) -> None:
        self._pool = _Pool(dial)
        super().__init__()

    def get_connection_with_tls_context(self, *_: Any, **__: Any) -> _Pool:
        return self._pool

    def request_url(self, request: requests.PreparedRequest, proxies: Any) -> str:  # noqa: ARG002
        return request.path_url

    def close(self) -> None:
        super().close()
        self._pool.close()


class EngineClient(docker.APIClient):
    """The SDK's client over a dialled connection.

    It sends none of the logins and proxies that the caller's own ~/.docker/config.json and ~/.netrc may hold: the
    engine is somebody else's machine.
    """

    def __init__(self, dial: Dial) -> None:
        self._dialling = _Adapter(dial)
        super().__init__(base_url="http://localhost:2375", version="auto", timeout=REQUEST_TIMEOUT_S)

    def get_adapter(self, url: str | bytes) -> _Adapter:  # noqa: ARG002
        """The one way out, whatever the URL says."""
        return self._dialling

    def _retrieve_server_version(self) -> str:
        """The first request, made in the constructor: ~/.netrc has to be out of play by then."""
        self.trust_env = False
        return str(super()._retrieve_server_version())  # type: ignore[misc]  # the stubs leave it out

    def _set_auth_headers(self, _: dict[str, str]) -> None:
        """The SDK would send every login it finds along with a build."""
