"""What all resources have in common. Every field is a JSON value, so that an account can be kept in a file."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import datetime, timezone

ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"


@dataclass
class Resource:
    """A thing in the account. Times are seconds since 1970, of the simulated clock.

    `serial` counts all resources ever made (the order of lists). A released one stays for a while as something that
    others still depend on, and is no longer seen.
    """

    id: str
    serial: int
    region: str
    name: str
    created: float
    tags: dict[str, str] = field(default_factory=dict, kw_only=True)
    released_at: float | None = field(default=None, kw_only=True)

    def exists(self, at: float) -> bool:
        """Whether a look at this time sees it."""
        return self.created <= at and (self.released_at is None or at < self.released_at)


def new_id(prefix: str, length: int = 20) -> str:
    """An id as the service makes them: `i-bp1…`."""
    return f"{prefix}-bp1" + "".join(secrets.choice(ALPHABET) for _ in range(length - 3))


def minute(at: float) -> str:
    """A time as DescribeInstances writes it."""
    return datetime.fromtimestamp(at, timezone.utc).strftime("%Y-%m-%dT%H:%MZ")


def second(at: float) -> str:
    """A time to the second."""
    return datetime.fromtimestamp(at, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def tag_list(tags: dict[str, str], *, key: str = "TagKey", value: str = "TagValue") -> dict[str, list[dict[str, str]]]:
    """Tags as the ECS answers (TagKey, TagValue) or the VPC ones (Key, Value) write them."""
    return {"Tag": [{key: name, value: text} for name, text in tags.items()]}
