"""Instances with addresses and nothing behind them."""

# ruff: noqa: ARG002  (nothing here takes part)

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from ipaddress import ip_network


class NoMachine:
    """Answers every command with success and no output."""

    private_ip = ""

    def __init__(self, public_ip: str) -> None:
        self.public_ip = public_ip

    def start(self, user_data: str, authorized_keys: Sequence[str], hostname: str, user: str = "root") -> None:
        """Nothing to boot."""

    def stop(self) -> None:
        """Nothing to stop."""

    def remove(self) -> None:
        """Nothing to remove."""

    def run_command(self, script: str, timeout_s: float, *, folder: str = "", user: str = "") -> tuple[int | None, str]:
        """Success, without having run anything."""
        return 0, ""

    def console(self) -> str:
        """Nothing was printed."""
        return ""


class NoMachines:
    """Addresses from the ranges set aside for documentation and benchmarks (RFC 5737, RFC 2544)."""

    def __init__(self) -> None:
        self._addresses: Iterator[object] = itertools.chain(
            ip_network("203.0.113.0/24").hosts(), itertools.cycle(ip_network("198.18.0.0/15").hosts())
        )

    def create(self, instance_id: str) -> NoMachine:
        """A machine that is only an address."""
        return NoMachine(str(next(self._addresses)))

    def clean(self) -> None:
        """Nothing is left behind."""
