"""One page of a list: by NextToken where the call asks with MaxResults, else by page number."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from provisioner.simulator.errors import invalid
from provisioner.simulator.parameters import Params

Row = TypeVar("Row")


def cut(
    params: Params, rows: Sequence[Row], place: Callable[[Row], int] | None = None, *, least: int = 10
) -> tuple[list[Row], dict[str, Any]]:
    """The page that a call asks for, and what its answer says about it; arguments as for `by_token`."""
    if "MaxResults" in params or "NextToken" in params:
        return by_token(params, rows, place, default=10, least=least, most=100)
    return by_number(params, rows)


def by_token(
    params: Params,
    rows: Sequence[Row],
    place: Callable[[Row], int] | None = None,
    *,
    default: int,
    least: int,
    most: int,
) -> tuple[list[Row], dict[str, Any]]:
    """The rows after those that NextToken stands for, and the answer's TotalCount, MaxResults and NextToken.

    Args:
        params: of the call.
        rows: the whole list.
        place: a row's lasting number, in the list's order; by default its index, for lists that only grow.
        default, least, most: of MaxResults; a size below `least` or above `most` is served as the nearest of them.
    """
    size = min(max(params.number("MaxResults", default, least=1, most=10_000), least), most)
    places = [place(row) for row in rows] if place else range(len(rows))
    last = _read(params.text("NextToken"))
    rest = [(number, row) for number, row in zip(places, rows, strict=True) if number > last]
    token = _write(rest[size - 1][0]) if len(rest) > size else ""
    page = [row for _, row in rest[:size]]
    return page, {"TotalCount": len(rows), "MaxResults": size, "NextToken": token}


def by_number(params: Params, rows: Sequence[Row]) -> tuple[list[Row], dict[str, Any]]:
    """The page that PageNumber and PageSize name, and the answer's TotalCount, PageNumber and PageSize."""
    size = params.number("PageSize", 10, least=1, most=100)
    number = params.number("PageNumber", 1, least=1, most=1_000_000)
    first = (number - 1) * size
    return list(rows[first : first + size]), {"TotalCount": len(rows), "PageNumber": number, "PageSize": size}


def _write(place: int) -> str:
    return base64.urlsafe_b64encode(f"after:{place}".encode()).decode()


def _read(token: str) -> int:
    if not token:
        return -1
    try:
        return int(base64.urlsafe_b64decode(token).decode().removeprefix("after:"))
    except ValueError:
        raise invalid("NextToken") from None
