"""Reading the parameters of a call: text, numbers, flags, numbered lists and structures, tags."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping
from datetime import datetime, timezone

from provisioner.simulator.errors import ApiError, invalid, missing

MAX_TAGS = 20


class Params:
    """The parameters of one call. An empty value counts as one that was not given."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = {name: value for name, value in values.items() if value != ""}

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def compared(self) -> dict[str, str]:
        """What makes two calls with the same ClientToken the same."""
        return {name: value for name, value in self._values.items() if name != "ClientToken"}

    def text(self, name: str, default: str = "") -> str:
        """A parameter's text, or the default."""
        return self._values.get(name, default)

    def need(self, name: str) -> str:
        """A parameter's text; MissingParameter without it."""
        if name not in self._values:
            raise missing(name)
        return self._values[name]

    def flag(self, name: str, default: bool = False) -> bool:
        """A boolean in any case: SDKs write True, true or TRUE."""
        value = self._values.get(name, str(default)).lower()
        if value not in ("true", "false"):
            raise invalid(name, "is neither true nor false")
        return value == "true"

    def number(self, name: str, default: int, *, least: int, most: int, code: str = "InvalidParameter") -> int:
        """A whole number in a range; `code` is the error for one that is not."""
        value = self._values.get(name, str(default))
        if not re.fullmatch(r"-?\d{1,9}", value) or not least <= int(value) <= most:
            raise ApiError(code, f'The specified parameter "{name}" must be a number between {least} and {most}.')
        return int(value)

    def amount(self, name: str, code: str) -> float | None:
        """A decimal number above 0 with at most 3 decimals, or None."""
        value = self._values.get(name)
        if value is None:
            return None
        if not re.fullmatch(r"\d{1,9}(\.\d{1,3})?", value) or float(value) <= 0:
            raise ApiError(code)
        return float(value)

    def time(self, name: str, code: str) -> float | None:
        """A UTC time (`yyyy-MM-ddTHH:mm:ssZ`, rounded down to the minute), in seconds since 1970, or None."""
        value = self._values.get(name)
        if value is None:
            return None
        try:
            at = datetime.strptime(re.sub(r"(:\d\d):\d\dZ$", r"\1Z", value), "%Y-%m-%dT%H:%MZ")
        except ValueError:
            raise ApiError(code) from None
        return at.replace(tzinfo=timezone.utc).timestamp()

    def numbered(self, name: str) -> list[str]:
        """A numbered list: NAME.1, NAME.2, … in order."""
        items = [
            (int(key[len(name) + 1 :]), value)
            for key, value in self._values.items()
            if key.startswith(f"{name}.") and key[len(name) + 1 :].isdigit()
        ]
        return [value for _, value in sorted(items)]

    def structures(self, name: str) -> list[dict[str, str]]:
        """A numbered list of structures: NAME.1.FIELD, NAME.2.FIELD, … in order."""
        structures: dict[int, dict[str, str]] = {}
        for key, value in self._values.items():
            match = re.fullmatch(rf"{re.escape(name)}\.(\d+)\.(.+)", key)
            if match:
                structures.setdefault(int(match[1]), {})[match[2]] = value
        return [structures[number] for number in sorted(structures)]

    def json_list(self, name: str, *, code: str = "InvalidParameter", most: int = 100) -> list[str] | None:
        """A list written as JSON (or, as some clients do, with single quotes); None when not given."""
        value = self._values.get(name)
        if value is None:
            return None
        try:
            parsed = json.loads(value)
        except ValueError:
            try:
                parsed = ast.literal_eval(value)
            except (ValueError, SyntaxError):
                raise ApiError(code) from None
        if not isinstance(parsed, list) or len(parsed) > most:
            raise ApiError(code)
        return [str(item) for item in parsed]

    def tags(self) -> dict[str, str]:
        """Tag.N.Key and Tag.N.Value, checked as the service does."""
        pairs = [(tag.get("Key", tag.get("key", "")), tag.get("Value", tag.get("value", ""))) for tag in self._tags()]
        if len(pairs) > MAX_TAGS:
            raise ApiError("InvalidTagCount")
        for key, value in pairs:
            if not key or len(key) > 128 or key.startswith(("aliyun", "acs:")) or "http://" in key or "https://" in key:
                raise ApiError("InvalidTagKey.Malformed")
            if len(value) > 128 or value.startswith("acs:") or "http://" in value or "https://" in value:
                raise ApiError("InvalidTagValue.Malformed")
        if len(dict(pairs)) < len(pairs):
            raise ApiError("Duplicate.TagKey")
        return dict(pairs)

    def tag_filter(self) -> dict[str, str | None]:
        """Tags to look for; None as a value matches any."""
        return {tag.get("Key", tag.get("key", "")): tag.get("Value", tag.get("value")) for tag in self._tags()}

    def _tags(self) -> list[dict[str, str]]:
        return self.structures("Tag")
