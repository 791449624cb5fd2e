"""What hears of events: the folder, and a callback that may fail."""

from __future__ import annotations

import json

import pytest

from provisioner.errors import StateError
from provisioner.operations.opening import Recorder
from provisioner.runner import Event
from tests.support.deployments import began, spec

DONE = Event("done", "Create the VPC", "network", step="vpc")


def test_events_are_kept_and_passed_on_and_progress_is_passed_on_alone() -> None:
    store, heard = began(spec()), []
    record = Recorder(store, heard.append)
    record(DONE)
    record(Event("progress", "waiting"))
    assert [event.kind for event in heard] == ["done", "progress"]
    (line,) = (store.folder / "events.jsonl").read_text().splitlines()
    kept = json.loads(line)
    assert kept.pop("at")
    assert kept == DONE.as_json()


def test_a_folder_that_cannot_be_written_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    store, heard = began(spec()), []

    def full(name: str, line: str) -> None:
        raise StateError("the disk is full")

    monkeypatch.setattr(store, "append", full)
    record = Recorder(store, heard.append)
    record(DONE)
    record(DONE)
    assert heard == [Event("error", "the disk is full"), DONE, DONE]


def test_a_callback_that_fails_stops_what_is_being_made_and_no_removal() -> None:
    heard: list[Event] = []

    def fails(event: Event) -> None:
        heard.append(event)
        raise OSError("nobody listens")

    store = began(spec())
    record = Recorder(store, fails)
    with pytest.raises(OSError, match="nobody listens"):
        record(DONE)
    record.begin_removal()
    record.raise_failure()  # nothing has failed since
    record(DONE)
    record(DONE)
    assert len(heard) == 2, "it is not called again"
    assert len((store.folder / "events.jsonl").read_text().splitlines()) == 3, "the folder hears of all"
    with pytest.raises(OSError, match="nobody listens"):
        record.raise_failure()
