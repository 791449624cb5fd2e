"""What goes wrong on request: one list of faults, each for some calls.

A fault is a JSON object: `{"action", "kind", "times", …}`.

- `action`: which calls, as a shell pattern (`RunInstances`, `Describe*`); default all.
- `kind`: what happens to them (KINDS).
- `times`: how many calls it happens to; default 1, null for every one until the faults are set anew.
- `after`: how many matching calls are left alone before that; default 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from fnmatch import fnmatchcase
from typing import Any

KINDS = {
    "throttle": "answered Throttling.User (or `code`, `status`); `retry_after_ms` adds the header x-acs-retry-after",
    "error": "answered `code` (default ServiceUnavailable, 503) with `status` and `message`; nothing is changed",
    "html": "answered a proxy's 502 page; nothing is changed",
    "lost-before": "the connection is closed without an answer; nothing was changed",
    "lost-after": "the connection is closed without an answer; the change was made",
    "slow": "the change is made, the answer comes `delay_s` later",
    "clock-skew": "answered InvalidTimeStamp.Expired",
    "expired-token": "answered InvalidSecurityToken.Expired",
    "no-stock": "`zone` and `instance_type` (patterns) have `left` instances in stock (default 0), until set anew",
    "stale": "resources and changes younger than `delay_s` are not in the answer",
    "reclaim": "spot instances that the call makes are reclaimed after `delay_s`",
}


@dataclass
class Fault:
    """One fault; see the module for the fields."""

    kind: str
    action: str = "*"
    times: int | None = 1
    after: int = 0
    code: str = ""
    status: int = 0
    message: str = ""
    retry_after_ms: int = 0
    delay_s: float = 0.0
    zone: str = "*"
    instance_type: str = "*"
    left: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"no fault of kind {self.kind!r}; there are {', '.join(KINDS)}")


class Faults:
    """The faults that are set. Not thread-safe: used under the service's lock."""

    def __init__(self, faults: Sequence[Mapping[str, Any]] = ()) -> None:
        self.faults: list[Fault] = []
        self.set(faults)

    def set(self, faults: Sequence[Mapping[str, Any]]) -> None:
        """Replace all faults. Raises ValueError for one that is not well formed; then nothing is replaced."""
        names = {field.name for field in fields(Fault)}
        for fault in faults:
            if not isinstance(fault, Mapping) or not {"kind"} <= set(fault) <= names:
                raise ValueError(f"a fault is an object with kind and any of {', '.join(sorted(names))}, not {fault!r}")
        self.faults = [Fault(**fault) for fault in faults]

    def take(self, action: str) -> Fault | None:
        """The fault that this call meets, used up once; None for an undisturbed one."""
        for fault in self.faults:
            if fault.kind == "no-stock" or not fnmatchcase(action, fault.action) or fault.times == 0:
                continue
            if fault.after > 0:
                fault.after -= 1
                continue
            if fault.times is not None:
                fault.times -= 1
            return fault
        return None

    def stock(self, zone: str, instance_type: str) -> int | None:
        """How many instances of a type a zone has left; None for plenty."""
        fault = self._stock_fault(zone, instance_type)
        return fault.left if fault else None

    def sell(self, zone: str, instance_type: str, amount: int) -> None:
        """Take instances out of a zone's stock."""
        fault = self._stock_fault(zone, instance_type)
        if fault:
            fault.left -= amount

    def _stock_fault(self, zone: str, instance_type: str) -> Fault | None:
        for fault in self.faults:
            if (
                fault.kind == "no-stock"
                and fnmatchcase(zone, fault.zone)
                and fnmatchcase(instance_type, fault.instance_type)
            ):
                return fault
        return None
