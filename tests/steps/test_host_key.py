"""Host keys: one command for all instances, into the deployment's known_hosts, before the first connection."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from provisioner import steps
from provisioner.adapters.known_hosts import known_keys
from provisioner.errors import HostKeyError
from provisioner.resources import CommandResult
from provisioner.step import ABSENT, PRESENT
from provisioner.steps.host_key import HostKeyStep
from tests.support.cloud import HOST_KEY
from tests.support.deployments import Bench, spec


def up(count: int = 1, **ssh: Any) -> Bench:
    bench = Bench(spec(cloud={"instance_types": ["ecs.hfc7.xlarge"], "count": count}, ssh={"port": 2222, **ssh}))
    bench.cloud_runner().up()
    return bench


def test_one_command_for_a_hundred_hosts() -> None:
    bench = up(100)
    ((ids, script),) = bench.cloud.called("run_command")
    assert len(ids) == 100
    assert "/etc/ssh/ssh_host_*_key.pub" in script
    for name in bench.deployment.host_names:
        address = bench.deployment.address(name)
        assert known_keys(bench.store.known_hosts, address.address, 2222) == [HOST_KEY]


def test_all_keys_of_a_host_are_kept_and_nothing_else_that_was_printed() -> None:
    bench = Bench(spec(cloud={"instance_types": ["ecs.hfc7.xlarge"]}))
    ecdsa = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBA=="
    output = f"Welcome\n{HOST_KEY} root@host\n\n{ecdsa} root@host\ncat: something else\n"
    bench.cloud.command_results = lambda instance_id: CommandResult(instance_id, "Success", 0, output)
    bench.cloud_runner().up()
    address = bench.deployment.address("demo-001").address
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
    step = HostKeyStep(again.deployment)
    assert step.check() == PRESENT
    (host,) = again.store.state.hosts
    again.deployment.set_addresses([replace(host, instance_id="i-other")])
    assert step.check() == ABSENT
    again.deployment.set_addresses([replace(host, address="198.51.100.200")])
    assert step.check() == ABSENT


def test_who_accepts_new_keys_needs_none_before() -> None:
    """The remedy of the error above: an image without Cloud Assistant."""
    bench = up(host_keys="accept-new")
    assert bench.cloud.called("run_command") == []
    assert "host-keys" not in [step.name for _, step in steps.plan(bench.deployment).steps()]
