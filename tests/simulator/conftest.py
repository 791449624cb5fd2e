"""Clients against a simulator in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from provisioner.simulator.server import Simulator
from tests.simulator.client import Client


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDKs send even loopback calls through a proxy that the environment names; nor may it name credentials."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.delenv("ALIBABA_CLOUD_ACCESS_KEY_ID", raising=False)
    monkeypatch.delenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", raising=False)


class FakeClock:
    """Time that stands still until it is told to go on."""

    def __init__(self) -> None:
        self.time = 1_700_000_000.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture(name="clock")
def _clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(name="simulate")
def _simulate(no_proxies: None) -> Iterator[Callable[..., Client]]:
    """Start a simulator with some options and connect a client to it; `client.simulator` is the simulator."""
    with ExitStack() as stack:

        def start(**options: Any) -> Client:
            simulator = stack.enter_context(Simulator(**{"pace": 0, **options}))
            return Client(simulator)

        yield start


@pytest.fixture(name="client")
def _client(simulate: Callable[..., Client]) -> Client:
    """A client of a simulator where everything happens at once."""
    return simulate()
