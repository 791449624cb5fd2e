"""A string that must not show itself."""

from __future__ import annotations

from typing import Any

REGISTRY_PASSWORD = "PROVISIONER_REGISTRY_PASSWORD"  # noqa: S105 - a variable's name
"""The environment variable that has a registry's password, where no other one is named."""


class Secret:
    """A string that shows itself only to who calls `reveal()`; printing, formatting and quoting give stars."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The value itself, for the one place that has to send or write it."""
        return self._value

    def __repr__(self) -> str:
        return "********"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce__(self) -> Any:
        raise TypeError("a Secret is not to be pickled")
