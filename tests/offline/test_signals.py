"""Ctrl-C, SIGTERM and SIGHUP end `up` alike: with --rm everything goes, without it the person hears what exists."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import subprocess
import termios
from typing import Any

import pytest

from tests.support.cli import PATIENCE_S, ROOT, command
from tests.support.processes import ends
from tests.support.site import ONE_OF_EACH, Site

SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


def creating(site: Site, *options: str, **more: Any) -> subprocess.Popen[str]:
    """An `up` that has made its instance and waits for an answer."""
    site.faults({"action": "RunCommand", "kind": "slow", "delay_s": 600})
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **more}
    process = subprocess.Popen(
        command("up", site.inventory(), "--yes", *options), cwd=ROOT, env=site.environment(TERM="xterm"), **streams
    )
    site.until(lambda: "RunCommand" in site.actions(), process)
    site.faults()
    return process


@pytest.mark.parametrize("number", SIGNALS)
def test_with_rm_everything_goes(site: Site, number: signal.Signals) -> None:
    process = creating(site, "--rm")
    process.send_signal(number)
    code, out, err = site.end(process)
    assert site.simulator.resources == []
    assert code == 130
    assert "0 left" in out
    assert err.splitlines()[-1] == "provisioner: interrupted: everything was removed"


@pytest.mark.parametrize("number", SIGNALS)
def test_without_rm_it_says_what_exists_what_it_costs_and_what_removes_it(site: Site, number: signal.Signals) -> None:
    process = creating(site)
    process.send_signal(number)
    code, _, err = site.end(process)
    assert code == 130
    assert err.startswith("provisioner: interrupted: 1 instance of demo exists, ")
    assert err.endswith(" CNY an hour; `provisioner down demo` removes everything\n")
    assert site.kinds() == ONE_OF_EACH


def test_a_closed_terminal_with_rm_removes_all(site: Site) -> None:
    """What ssh does when the line is lost: SIGHUP, and nowhere left to print."""
    master, slave = pty.openpty()
    process = creating(
        site, "--rm", stdin=slave, stdout=slave, stderr=slave, text=False, start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )  # fmt: skip
    os.close(slave)
    os.close(master)
    assert ends(process.pid, PATIENCE_S)
    assert process.wait() == 130
    assert site.simulator.resources == []
    assert site.run("status", "demo", "--json").json["state"] == "removed"


def test_a_second_hang_up_does_not_stop_the_removal(site: Site) -> None:
    """The kernel and the shell both send one."""
    process = creating(site, "--rm")
    site.faults({"action": "DeleteVSwitch", "kind": "slow", "delay_s": 1})
    process.send_signal(signal.SIGHUP)
    site.until(lambda: "DeleteVSwitch" in site.actions(), process)
    process.send_signal(signal.SIGHUP)
    code, _, _ = site.end(process)
    assert code == 130
    assert site.simulator.resources == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_while_removing_says_how_to_go_on(site: Site, number: signal.Signals) -> None:
    process = creating(site, "--rm")
    site.faults({"action": "DeleteVSwitch", "kind": "slow", "delay_s": 600})
    process.send_signal(signal.SIGHUP)
    site.until(lambda: "DeleteVSwitch" in site.actions(), process)
    process.send_signal(number)
    code, _, err = site.end(process)
    assert code == 130
    assert err.splitlines()[-1] == ("provisioner: interrupted while removing: `provisioner down demo` goes on with it")
    site.faults()
    assert site.run("down", "demo", "--yes").code == 0
    assert site.simulator.resources == []


def test_nohup_goes_on(site: Site) -> None:
    """Who had SIGHUP ignored meant it: only the SIGTERM after it ends the run."""
    process = creating(site, preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    process.send_signal(signal.SIGHUP)
    assert not ends(process.pid, 1)
    process.send_signal(signal.SIGTERM)
    assert site.end(process)[0] == 130
