"""Output as it arrives, into lines."""

from __future__ import annotations

import pytest

from provisioner.adapters.output import LineSplitter, completed, shortened
from provisioner.errors import CommandError
from provisioner.ports import Completed


def fed(*chunks: bytes) -> tuple[list[str], LineSplitter]:
    lines: list[str] = []
    splitter = LineSplitter(lines.append)
    for chunk in chunks:
        splitter.feed(chunk)
    splitter.finish()
    return lines, splitter


@pytest.mark.parametrize(
    ("chunks", "lines"),
    [
        ((b"one\ntwo\n",), ["one", "two"]),
        ((b"o", b"ne\nt", b"wo"), ["one", "two"]),
        ((b"dos\r\nline\r", b"\nend"), ["dos", "line", "end"]),
        ((b"10%\r20%\r", b"30%\n"), ["10%", "20%", "30%"]),
        ((b"\n\nblank",), ["", "", "blank"]),
        (("é".encode()[:1], "é".encode()[1:] + b"\n"), ["é"]),
        ((b"\xff\n",), ["\ufffd"]),
        ((b"last\r",), ["last"]),
        ((), []),
    ],
)
def test_lines_end_where_terminals_end_them(chunks: tuple[bytes, ...], lines: list[str]) -> None:
    got, splitter = fed(*chunks)
    assert got == lines
    assert splitter.output == b"".join(chunks).decode("utf-8", "replace")


def test_a_line_is_given_as_soon_as_it_is_whole() -> None:
    lines: list[str] = []
    splitter = LineSplitter(lines.append)
    splitter.feed(b"one\ntw")
    assert lines == ["one"]


def test_the_tail_is_the_last_20_lines_that_say_something() -> None:
    _, splitter = fed(*(f"{i}\n\n".encode() for i in range(100)), b"a\rb")
    assert splitter.tail == (*(str(i) for i in range(82, 100)), "a", "b")


def test_a_failure_is_an_error_only_when_asked_for() -> None:
    _, splitter = fed(b"no such thing\n")
    assert completed("h", "false", 3, splitter, check=False) == Completed(3, "no such thing\n")
    with pytest.raises(CommandError, match="h: `false` ended with status 3") as caught:
        completed("h", "false", 3, splitter, check=True)
    assert (caught.value.status, caught.value.tail, caught.value.host) == (3, ("no such thing",), "h")


def test_a_command_without_a_status_is_not_said_to_have_one() -> None:
    """SSH has none for a command that a signal ended, nor from a server that tells none."""
    _, splitter = fed(b"working\n")
    with pytest.raises(CommandError, match="h: `work` ended, by a signal or without telling a status") as caught:
        completed("h", "work", -1, splitter, check=True)
    assert caught.value.tail == ("working",)


def test_long_commands_are_named_by_their_beginning() -> None:
    assert shortened("\n  one\ntwo") == "one"
    assert shortened("x" * 81) == "x" * 77 + "..."
