"""How a call to the engine failed: what the SDK raises, as HostErrors that tell the cases apart which callers handle.

HostError
├── RefusedError     the engine answered, and would not
│   └── MissingError    since it has no such image or container
└── SilentError      no engine answered
    └── ClosedError     since nothing listens there
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import docker.errors
import requests.exceptions

from provisioner.errors import HostError, ProvisionerError


class RefusedError(HostError):
    """The engine answered, and would not. `explanation` is in its own words."""

    def __init__(self, host: str, doing: str, explanation: str) -> None:
        super().__init__(
            f"the Docker engine on {host} could not {doing}",
            "its own words follow",
            host=host,
            tail=explanation.splitlines(),
        )
        self.explanation = explanation


class MissingError(RefusedError):
    """The engine has no such image or container."""


class SilentError(HostError):
    """No engine answered."""

    def __init__(self, host: str, doing: str, reason: str) -> None:
        super().__init__(
            f"no Docker engine answered on {host} when it was to {doing}",
            "see whether it runs: systemctl status docker",
            host=host,
            tail=[reason],
        )


class ClosedError(SilentError):
    """Nothing listens there, or what listened has hung up."""


@contextmanager
def translated(host: str, doing: str) -> Iterator[None]:
    """The SDK's errors as ours; one of ours that it has wrapped, as it was: then the host itself is out of reach."""
    try:
        yield
    except docker.errors.APIError as error:
        kind = MissingError if isinstance(error, docker.errors.NotFound) else RefusedError
        raise kind(host, doing, str(error.explanation)) from error
    except (docker.errors.DockerException, requests.exceptions.RequestException, OSError) as error:
        causes = _causes(error)
        for cause in causes:
            if isinstance(cause, ProvisionerError):
                raise cause from None
        closed = any(isinstance(cause, requests.exceptions.ConnectionError) for cause in causes)
        raise (ClosedError if closed else SilentError)(host, doing, str(error)) from error


def _causes(error: BaseException | None) -> list[BaseException]:
    """An error and all that it came of. The SDK wraps whatever happens while it connects."""
    causes: list[BaseException] = []
    while error is not None and error not in causes:  # one that is raised again can come of itself
        causes.append(error)
        error = error.__cause__ or error.__context__
    return causes
