"""Text from inventories, hosts and the cloud cannot make a terminal do anything, nor hide or reorder what is shown."""

from __future__ import annotations

import json

import pytest

from provisioner.cli import console
from provisioner.cli.streams import printable
from provisioner.errors import HostError

HOSTILE = [
    ("\x1b]0;title\x07", "\\u001b]0;title\\u0007"),
    ("\x9b31m", "\\u009b31m"),
    ("a\rb", "a\\u000db"),
    ("\u202egnp.exe", "\\u202egnp.exe"),
    ("\u2066x\u2069", "\\u2066x\\u2069"),
    ("\u200bx\u2028", "\\u200bx\\u2028"),
    ("\udc80", "\\udc80"),
    ("\U000e0041", "\\udb40\\udc41"),
]


@pytest.mark.parametrize(("text", "shown"), HOSTILE)
def test_what_a_terminal_would_obey_is_shown_escaped(text: str, shown: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Lines, tables, warnings and errors alike; with --json the escapes are JSON's own."""
    console.line(text)
    console.Console().table(("NAME",), [(text,)])
    console.report_error(HostError("failed", tail=[text]))
    console.Console(as_json=True).result({"name": text})
    captured = capsys.readouterr()
    first, _, row, document = captured.out.splitlines()
    assert first == row == shown
    assert json.loads(document) == {"name": text}
    assert printable(document) == document
    assert captured.err.splitlines() == ["provisioner: failed", f"    | {shown}"]


@pytest.mark.parametrize("text", ["plain", "größer, 実験, 👍", "a\u00a0b", "two\nlines\tand a tab"])
def test_what_only_shows_is_left_alone(text: str) -> None:
    assert printable(text) == text


def test_a_cell_of_a_table_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    console.Console().table(("NAME",), [("a\nb",)])
    assert capsys.readouterr().out == "NAME\na\\u000ab\n"


def test_what_a_person_asked_a_host_to_print_is_as_the_host_prints_it(capsys: pytest.CaptureFixture[str]) -> None:
    console.raw_line("\x1b[31mred\x1b[0m")
    assert capsys.readouterr().out == "\x1b[31mred\x1b[0m\n"
