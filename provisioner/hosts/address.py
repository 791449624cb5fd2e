"""Where a host is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class HostAddress:
    """Where a host is, and how to log into it. `private` is the address the cluster uses among itself."""

    name: str
    address: str
    private: str
    port: int = 22
    user: str = "root"
    instance_id: str = ""
    instance_type: str = ""
