"""Host keys: one command for all instances, into the deployment's known_hosts, before the first connection."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from provisioner import steps
from provisioner.adapters.known_hosts import known_keys
from provisioner.errors import HostKeyError
from provisioner.resources import CommandResult
from provisioner.step import ABSENT, PRESENT, Presence
from provisioner.steps.host import LoginStep
from provisioner.steps.host_key import SCRIPT
from tests.support.cloud import HOST_KEY
from tests.support.deployments import Bench, host_key_step, place_hosts, spec
from tests.support.hosts import FakeHost


def up(count: int = 1, **ssh: Any) -> Bench:
    bench = Bench(spec(cloud={"instance_types": ["ecs.hfc7.xlarge"], "count": count}, ssh={"port": 2222, **ssh}))
    bench.cloud_runner().up()
    return bench


def test_one_command_for_a_hundred_hosts() -> None:
    bench = up(100)
    ((ids, script),) = bench.cloud.called("run_command")
    assert len(ids) == 100
    assert "/etc/ssh/ssh_host_*_key.pub" in script
    for name in bench.session.deployment.host_names:
        address = bench.session.host(name).address
        assert known_keys(bench.store.known_hosts, address.address, 2222) == [HOST_KEY]


def test_all_keys_of_a_host_are_kept_and_nothing_else_that_was_printed() -> None:
    bench = Bench(spec(cloud={"instance_types": ["ecs.hfc7.xlarge"]}))
    ecdsa = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBA=="
    output = f"Welcome\n{HOST_KEY} root@host\n\n{ecdsa} root@host\ncat: something else\n"
    bench.cloud.command_results = lambda instance_id: CommandResult(instance_id, "Success", 0, output)
    bench.cloud_runner().up()
    address = bench.session.host("demo-001").address.address
    assert known_keys(bench.store.known_hosts, address, 22) == [HOST_KEY, ecdsa]


@pytest.mark.parametrize(
    ("result", "said"),
    [
        (CommandResult("i", "Failed", 1, "cat: no such file"), "Failed.*no such file"),
        (CommandResult("i", "Timeout", None, "", "AgentTimeout"), "Timeout AgentTimeout"),
        (CommandResult("i", "Success", 0, "nothing that is a key\n"), "Success  nothing that is a key"),
    ],
    ids=["failed", "timeout", "no key"],
)
def test_a_key_that_cannot_be_read_is_an_error_that_names_the_host(result: CommandResult, said: str) -> None:
    """Never the first key that is met instead."""
    bench = Bench(spec(cloud={"instance_types": ["ecs.hfc7.xlarge"]}))
    bench.cloud.command_results = lambda instance_id: result
    with pytest.raises(HostKeyError, match=rf"demo-001 \(instance-\d+\): {said}") as caught:
        bench.cloud_runner().up()
    assert caught.value.host == "demo-001"
    assert "accept-new" in caught.value.remedy
    assert not bench.store.known_hosts.exists()


def test_known_keys_are_not_read_again_unless_the_instance_is_another() -> None:
    bench = up()
    again = bench.again()
    step = host_key_step(again.session)
    assert step.check() == PRESENT
    (host,) = again.store.state.hosts
    place_hosts(again.store, [replace(host, instance_id="i-other")])
    assert step.check() == ABSENT
    place_hosts(again.store, [replace(host, address="198.51.100.200")])
    assert step.check() == ABSENT


@pytest.mark.parametrize("left", ["", "198.51.100.200 ssh-ed25519 AAAA\n"], ids=["empty", "another host's"])
def test_keys_that_known_hosts_has_lost_are_read_again(left: str) -> None:
    """As the refusal of a changed key advises: remove its line."""
    bench = up()
    bench.store.known_hosts.write_text(left)
    assert host_key_step(bench.session).check() == ABSENT
    host_key_step(bench.session).apply()
    assert host_key_step(bench.session).check() == PRESENT


def test_the_keys_are_those_that_cloud_init_leaves(tmp_path: Path) -> None:
    """It makes new ones at the first start, while Cloud Assistant answers already."""
    key = tmp_path / "etc/ssh/ssh_host_ed25519_key.pub"
    key.parent.mkdir(parents=True)
    key.write_text("the image's\n")
    program = tmp_path / "bin/cloud-init"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\n[ "$*" = "status --wait" ] && echo "the instance\'s" >{key}\nexit 2\n')
    program.chmod(0o755)
    environment = {"MACHINE_ROOT": str(tmp_path), "PATH": f"{program.parent}:{os.environ['PATH']}"}
    done = subprocess.run(["sh", "-c", SCRIPT], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "the instance's\n"


OTHER_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOtherOtherOtherOtherOtherOtherOtherOtherOthe"


def changed(host: str) -> HostKeyError:
    return HostKeyError(f"the host key of {host} has CHANGED", host=host)


def logging_in(count: int = 2, **ssh: Any) -> Bench:
    """A bench whose second host shows another key than the one that is known for it, once."""
    bench = up(count, **ssh)
    for name in bench.session.deployment.host_names:
        bench.connector.hosts[name] = FakeHost(name, bench.store.folder / name)
    bench.connector.failures["demo-002"] = [changed("demo-002")]
    bench.cloud.calls.clear()
    return bench


def log_in(bench: Bench, *hosts: str) -> None:
    planned = {step.name: step for _, step in steps.plan(bench.session).steps()}
    bench.runner(*(planned[f"login/{name}"] for name in hosts)).up()


def test_a_key_that_was_read_too_early_is_read_once_more() -> None:
    bench = logging_in()
    bench.cloud.command_results = lambda id_: CommandResult(id_, "Success", 0, OTHER_KEY)
    log_in(bench, *bench.session.deployment.host_names)
    first, second = (bench.session.host(name).address for name in bench.session.deployment.host_names)
    assert [ids for ids, _ in bench.cloud.called("run_command")] == [[second.instance_id]]
    assert bench.store.host_keys(second.address, second.port) == [OTHER_KEY]
    assert bench.store.host_keys(first.address, first.port) == [HOST_KEY]


def test_a_host_that_still_shows_another_key_is_refused() -> None:
    bench = logging_in()
    bench.connector.failures["demo-002"] = [changed("demo-002"), changed("demo-002")]
    with pytest.raises(HostKeyError, match="CHANGED"):
        log_in(bench, "demo-002")
    assert len(bench.cloud.called("run_command")) == 1
    assert bench.connector.connected.count("demo-002") == 2


def test_a_look_at_it_changes_no_known_key() -> None:
    bench = logging_in()
    before = bench.store.known_hosts.read_bytes()
    login = LoginStep(bench.session.host("demo-002"), host_key_step(bench.session).read)
    assert login.check().presence is Presence.ABSENT
    assert bench.cloud.called("run_command") == []
    assert bench.store.known_hosts.read_bytes() == before


def test_who_trusts_the_first_key_trusts_no_second_one() -> None:
    bench = logging_in(host_keys="accept-new")
    with pytest.raises(HostKeyError, match="CHANGED"):
        log_in(bench, "demo-002")
    assert bench.cloud.called("run_command") == []


def test_who_accepts_new_keys_needs_none_before() -> None:
    """The remedy of the error above: an image without Cloud Assistant."""
    bench = up(host_keys="accept-new")
    assert bench.cloud.called("run_command") == []
    assert "host-keys" not in [step.name for _, step in steps.plan(bench.session).steps()]
