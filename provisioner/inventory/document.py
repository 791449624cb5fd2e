"""YAML text to plain data: mappings, lists and text, with the line of every field.

Only a part of YAML, on purpose: what a value means is decided by the type of the field that it is for, never by how it
looks. Every scalar is text (`1.10`, `no`, `2026-02-30`), except that `null`, `~` or nothing, unquoted, is None. Tags
(`!!int`, `!python/object`) and merge keys (`<<`) are refused; aliases may stand for MAX_VALUES values in all.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from provisioner.inventory.names import Place

MAX_VALUES = 10_000
"""Far beyond any inventory; nine lines of aliases of aliases stand for a thousand million values."""

MAX_DEPTH = 16

_NULLS = ("", "~", "null", "Null", "NULL")
_PLAIN_TAGS = (None, "!", "tag:yaml.org,2002:str", "tag:yaml.org,2002:seq", "tag:yaml.org,2002:map")
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class DocumentError(Exception):
    """The text cannot be read as one document; `line` counts from 1."""

    def __init__(self, line: int, place: Place, what: str) -> None:
        super().__init__(what)
        self.line = line
        self.place = place
        self.what = what


@dataclass
class Document:
    """What a text says: None, a string, a list or a dict of such; and the lines where its fields are.

    A field below an alias has no line of its own, only the alias has. `repeated` are the fields given twice.
    """

    data: Any = None
    lines: dict[Place, int] = field(default_factory=dict)
    repeated: list[tuple[Place, int]] = field(default_factory=list)


def read(text: str) -> Document:
    """The one document in a text; an empty text is one without lines. Raises DocumentError."""
    try:
        return _Reader(text).document()
    except yaml.MarkedYAMLError as error:
        raise DocumentError(_line(error.problem_mark), (), f"not YAML: {error.problem}") from None
    except yaml.reader.ReaderError as error:
        raise DocumentError(1, (), f"not YAML: {error.reason}") from None


def shown(text: str, most: int = 80) -> str:
    """Text of the inventory's as part of a message: what cannot be printed escaped, what is long cut off."""
    printable = text if text.isprintable() else repr(text)[1:-1]
    return printable if len(printable) <= most else f"{printable[:most]} ..."


def _line(mark: Any) -> int:
    return int(mark.line) + 1 if mark else 1


class _Reader:
    """Builds the data from the parser's events, one by one: MAX_DEPTH is met before any recursion is deep."""

    def __init__(self, text: str) -> None:
        self._events: Iterator[Any] = yaml.parse(text, Loader=_Loader)
        self._document = Document()
        self._values = 0
        self._anchors: dict[str, tuple[Any, int] | None] = {}
        """What an alias stands for, and how many values that is; None while it is being read."""

    def document(self) -> Document:
        starts = 0
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                starts += 1
                if starts > 1:
                    raise DocumentError(_line(event.start_mark), (), "a second document begins here")
                self._document.data = self._value(next(self._events), ())
        return self._document

    def _value(self, event: Any, place: Place) -> Any:
        line = _line(event.start_mark)
        self._document.lines.setdefault(place, line)
        if isinstance(event, yaml.AliasEvent):
            return self._alias(str(event.anchor), place, line)
        self._count(1, place, line)
        if event.tag not in _PLAIN_TAGS:
            tag = shown(event.tag.replace("tag:yaml.org,2002:", "!!"))
            raise DocumentError(line, place, f"the tag {tag} has no meaning here: leave it out")
        if len(place) > MAX_DEPTH:
            raise DocumentError(line, place, f"nested more than {MAX_DEPTH} levels deep")
        before = self._values
        if event.anchor:
            self._anchors[event.anchor] = None
        value: Any
        if isinstance(event, yaml.ScalarEvent):
            value = None if event.implicit[0] and event.value in _NULLS else event.value
        elif isinstance(event, yaml.SequenceStartEvent):
            value = self._list(place)
        else:
            value = self._mapping(place)
        if event.anchor:
            self._anchors[event.anchor] = value, 1 + self._values - before
        return value

    def _alias(self, anchor: str, place: Place, line: int) -> Any:
        name = shown(anchor)
        if anchor not in self._anchors:
            raise DocumentError(line, place, f"the alias *{name} stands for nothing: no &{name} comes before it")
        target = self._anchors[anchor]
        if target is None:
            raise DocumentError(line, place, f"the alias *{name} is inside what it stands for")
        value, size = target
        self._count(size, place, line)
        return value

    def _count(self, values: int, place: Place, line: int) -> None:
        self._values += values
        if self._values > MAX_VALUES:
            raise DocumentError(line, place, f"more than {MAX_VALUES} values, counting what aliases stand for")

    def _list(self, place: Place) -> list[Any]:
        items: list[Any] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            items.append(self._value(event, (*place, len(items))))
        return items

    def _mapping(self, place: Place) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            line = _line(event.start_mark)
            if not isinstance(event, yaml.ScalarEvent):
                raise DocumentError(line, place, "a field's name must be text here, not an alias, a list or a mapping")
            if event.value == "<<" and event.implicit[0]:
                raise DocumentError(line, place, "merge keys (<<) are not read: write the fields out")
            name = str(event.value)
            self._count(1, place, line)
            if name in mapping:
                self._document.repeated.append(((*place, name), line))
            self._document.lines[(*place, name)] = line
            mapping[name] = self._value(next(self._events), (*place, name))
        return mapping
