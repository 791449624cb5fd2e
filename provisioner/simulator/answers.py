"""How answers write ids, times and tags."""

from __future__ import annotations

import secrets
from datetime import datetime, timezone

ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"


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
