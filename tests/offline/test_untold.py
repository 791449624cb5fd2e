"""Removing never depends on being able to tell about it: closed pipes, full disks and lost terminals do not stop it."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.cli import PATIENCE_S, ROOT, command
from tests.support.site import ONE_OF_EACH, Site


def closed_pipe() -> int:
    """What a program writes to when `head` has ended."""
    reading, writing = os.pipe()
    os.close(reading)
    return writing


def full_disk() -> int:
    """Every write to it says ENOSPC."""
    return os.open("/dev/full", os.O_WRONLY)


def begin(site: Site, *arguments: object, stdout: Any, stderr: Any = subprocess.PIPE, **options: Any) -> Any:
    """The command line with an output of its own."""
    return subprocess.Popen(
        command(*arguments),
        cwd=ROOT,
        env=site.environment(),
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        text=True,
        **options,
    )


def no_more_bytes() -> None:
    """From now on no file of this process can grow: what a full disk is, without being root."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


@pytest.mark.parametrize("options", [(), ("--json",)], ids=["text", "json"])
@pytest.mark.parametrize(("output", "why"), [(closed_pipe, "Broken pipe"), (full_disk, "No space left on device")])
def test_down_that_cannot_tell_removes_all(
    site: Site, output: Callable[[], int], why: str, options: tuple[str, ...]
) -> None:
    """`down --yes | head -n 1` and `> /dev/full`. Standard error and the exit code say so."""
    site.up(site.inventory())
    descriptor = output()
    process = begin(site, "down", "demo", "--yes", *options, stdout=descriptor)
    os.close(descriptor)
    _, err = process.communicate(timeout=PATIENCE_S)
    assert site.simulator.resources == []
    assert process.returncode == 1
    assert err == f"provisioner: standard output cannot be written: {why}: what was to be told there is lost\n"
    assert site.run("status", "demo", "--json").json["state"] == "removed"


@pytest.mark.parametrize("closed", [(1,), (1, 2), (0, 1, 2)])
def test_down_without_any_output_removes_all(site: Site, closed: tuple[int, ...]) -> None:
    """`>&-`, `2>&-`, `<&-`."""
    site.up(site.inventory())

    def close() -> None:
        for descriptor in closed:
            os.close(descriptor)

    process = begin(site, "down", "demo", "--yes", stdout=subprocess.DEVNULL, preexec_fn=close)
    _, err = process.communicate(timeout=PATIENCE_S)
    assert site.simulator.resources == []
    assert process.returncode == 1
    assert ("it is closed" in err) is (2 not in closed)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_on_a_pipeline_removes_all(site: Site, number: signal.Signals) -> None:
    """`up --yes --rm | tee log`: `tee` dies of the same Ctrl-C."""
    site.faults({"action": "RunCommand", "kind": "slow", "delay_s": 600})
    reading, writing = os.pipe()
    process = begin(site, "up", site.inventory(), "--yes", "--rm", stdout=writing)
    os.close(writing)
    site.until(lambda: "RunCommand" in site.actions(), process)
    site.faults()
    os.close(reading)
    process.send_signal(number)
    _, err = process.communicate(timeout=PATIENCE_S)
    assert site.simulator.resources == []
    assert process.returncode == 130
    assert "provisioner: interrupted: everything was removed\n" in err
    assert err.splitlines()[-1].endswith("what was to be told there is lost")


def test_a_disk_that_fills_during_rm_does_not_keep_anything(site: Site) -> None:
    """`up` stops, since nothing may be created that cannot be recorded; what there is goes."""
    site.faults({"action": "RunInstances", "kind": "slow", "delay_s": 600})
    process = begin(site, "up", site.inventory(), "--yes", "--rm", stdout=subprocess.PIPE)
    site.until(lambda: site.kinds() == ONE_OF_EACH, process)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (0, 0))
    site.faults()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE_S)
    assert site.simulator.resources == []
    assert "0 left" in out
    assert process.returncode == 130
    assert "events.jsonl cannot be used: File too large" in err
    assert "everything was removed, which could not be noted" in err


def test_down_on_a_full_disk_removes_all_and_the_next_one_notes_it(site: Site) -> None:
    site.up(site.inventory())
    process = begin(site, "down", "demo", "--yes", stdout=subprocess.PIPE, preexec_fn=no_more_bytes)
    out, err = process.communicate(timeout=PATIENCE_S)
    assert site.simulator.resources == []
    assert process.returncode == 1
    assert "0 left" in out
    assert "everything was removed, which could not be noted" in err
    done = site.run("down", "demo", "--yes")
    assert (done.code, done.err) == (0, "")
    assert site.run("status", "demo", "--json").json["state"] == "removed"


def test_up_on_a_full_disk_creates_nothing(site: Site) -> None:
    process = begin(site, "up", site.inventory(), "--yes", stdout=subprocess.PIPE, preexec_fn=no_more_bytes)
    _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1
    assert "state.json cannot be used: File too large" in err
    assert site.simulator.resources == []


def test_what_only_shows_ends_with_its_reader_and_without_a_word(site: Site) -> None:
    """`plan | head -n 1` is no failure that a person has to hear of; a full disk is."""
    for output, said in ((closed_pipe(), ""), (full_disk(), "standard output cannot be written: No space left")):
        process = begin(site, "plan", site.inventory(), stdout=output)
        os.close(output)
        _, err = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 1
        assert err.startswith(f"provisioner: {said}" if said else "")
        assert bool(err) is bool(said)
