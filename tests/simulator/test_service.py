"""The service around the actions: tokens, faults, the log of calls, keeping everything in a file."""

from __future__ import annotations

import concurrent.futures
import http.client
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.simulator.client import Client, Refused
from tests.simulator.conftest import FakeClock

Simulate = Callable[..., Client]


def kinds(client: Client) -> list[str]:
    return [resource["kind"] for resource in client.simulator.resources]


def test_same_token_same_answer(client: Client) -> None:
    """A call repeated with its token makes nothing more and gets the same ids, with a request id of its own."""
    network = client.network()
    request = {**client.request(network), "Amount": 2, "ClientToken": "once"}
    first = client.call("RunInstances", **request)
    second = client.call("RunInstances", **request)
    assert first["InstanceIdSets"] == second["InstanceIdSets"]
    assert first["RequestId"] != second["RequestId"]
    assert len(client.instances()) == 2
    assert len(client.launch(network, Amount=2, ClientToken="Once")) == 2
    assert len(client.instances()) == 4


def test_same_token_other_call(client: Client) -> None:
    """A token cannot be used for other parameters; for another action it can."""
    client.call("CreateVpc", CidrBlock="10.0.0.0/8", ClientToken="t")
    with pytest.raises(Refused, match="403 IdempotentParameterMismatch"):
        client.call("CreateVpc", CidrBlock="10.0.0.0/16", ClientToken="t")
    client.call("CreateSecurityGroup", ClientToken="t")
    assert kinds(client) == ["vpc", "security-group"]


def test_a_failed_call_keeps_its_token(simulate: Simulate) -> None:
    """After a refusal the token still stands for that call: another zone needs another token."""
    client = simulate(faults=[{"kind": "no-stock", "zone": "cn-hangzhou-i"}])
    here, there = client.network(), client.network("cn-hangzhou-j")
    with pytest.raises(Refused, match="NoStock"):
        client.launch(here, ClientToken="t")
    with pytest.raises(Refused, match="IdempotentParameterMismatch"):
        client.launch(there, ClientToken="t")
    assert client.launch(there, ClientToken="u")


def test_a_dry_run_leaves_its_token_alone(client: Client) -> None:
    """The real call may carry the dry run's token."""
    network = client.network()
    with pytest.raises(Refused, match="DryRunOperation"):
        client.launch(network, ClientToken="t", DryRun=True)
    assert client.launch(network, ClientToken="t")


@pytest.mark.parametrize("token", ["x" * 65, "é"])
def test_bad_tokens(client: Client, token: str) -> None:
    """At most 64 ASCII characters."""
    with pytest.raises(Refused, match=r"InvalidClientToken\.ValueNotSupported"):
        client.call("CreateVpc", ClientToken=token)


def test_one_token_at_once(client: Client) -> None:
    """The same call from eight threads at once makes one thing."""
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        made = {f.result()["VpcId"] for f in [pool.submit(client.call, "CreateVpc", ClientToken="t") for _ in range(8)]}
    assert len(made) == 1
    assert kinds(client) == ["vpc"]


def test_reply_lost_after_the_change(simulate: Simulate) -> None:
    """The change is made, no answer comes, and the same token then tells what was made."""
    client = simulate(faults=[{"action": "CreateVpc", "kind": "lost-after"}])
    with pytest.raises(http.client.RemoteDisconnected):
        client.call("CreateVpc", ClientToken="t")
    assert kinds(client) == ["vpc"]
    made = client.call("CreateVpc", ClientToken="t")["VpcId"]
    assert [resource["id"] for resource in client.simulator.resources] == [made]


def test_a_refusal_may_be_lost_too(simulate: Simulate) -> None:
    """No answer is no answer, whatever it would have been."""
    client = simulate(faults=[{"kind": "lost-after"}])
    with pytest.raises(http.client.RemoteDisconnected):
        client.call("DeleteVpc", VpcId="vpc-none")
    assert [(call["status"], call["code"]) for call in client.simulator.calls] == [(0, "InvalidVpcId.NotFound")]


def test_a_port_that_is_taken(simulate: Simulate) -> None:
    """Says so at once, and leaves nothing behind."""
    client = simulate()
    with pytest.raises(OSError, match="in use"):
        simulate(port=client.simulator.port)


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        ({"kind": "throttle"}, 400, "Throttling.User"),
        ({"kind": "throttle", "code": "Throttling.Api", "status": 429}, 429, "Throttling.Api"),
        ({"kind": "error"}, 503, "ServiceUnavailable"),
        ({"kind": "error", "code": "InternalError"}, 500, "InternalError"),
        ({"kind": "error", "code": "Forbidden.RAM", "message": "not you"}, 403, "Forbidden.RAM"),
        ({"kind": "error", "code": "Made.Up", "status": 418}, 418, "Made.Up"),
        ({"kind": "clock-skew"}, 400, "InvalidTimeStamp.Expired"),
        ({"kind": "expired-token"}, 400, "InvalidSecurityToken.Expired"),
    ],
)
def test_refusing_faults(simulate: Simulate, fault: dict[str, Any], status: int, code: str) -> None:
    """The call is refused so many times, nothing is changed, and then all is well."""
    client = simulate(faults=[{"action": "CreateVpc", "times": 2, **fault}])
    client.call("DescribeRegions")
    for _ in range(2):
        with pytest.raises(Refused) as caught:
            client.call("CreateVpc")
        assert (caught.value.status, caught.value.code) == (status, code)
    assert kinds(client) == []
    client.call("CreateVpc")
    assert kinds(client) == ["vpc"]


def test_throttling_may_say_when(simulate: Simulate) -> None:
    """The header that some SDKs obey, in milliseconds."""
    client = simulate(faults=[{"kind": "throttle", "retry_after_ms": 250}])
    with pytest.raises(Refused) as caught:
        client.call("DescribeRegions")
    assert caught.value.headers["x-acs-retry-after"] == "250"


def test_html_from_a_proxy(simulate: Simulate) -> None:
    """A 502 page in place of an answer."""
    client = simulate(faults=[{"kind": "html"}])
    status, headers, body = client.send("CreateVpc", "", {})
    assert (status, headers["content-type"], body[:6]) == (502, "text/html", b"<html>")
    assert kinds(client) == []


def test_faults_wait_their_turn(simulate: Simulate) -> None:
    """`after` lets calls pass first; null times never end; patterns choose actions."""
    client = simulate(faults=[{"action": "Describe*", "kind": "throttle", "after": 1, "times": None}])
    client.call("DescribeRegions")
    client.call("CreateVpc")
    for _ in range(3):
        with pytest.raises(Refused):
            client.call("DescribeZones")
    client.simulator.set_faults([])
    client.call("DescribeZones")


def test_slow_answers(simulate: Simulate) -> None:
    """The change is made at once, the answer comes later, and others do not wait for it."""
    client = simulate(faults=[{"action": "CreateVpc", "kind": "slow", "delay_s": 60}])
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        answer = pool.submit(client.call, "CreateVpc")
        while not kinds(client):
            assert not answer.done()
        client.call("DescribeRegions")
        assert not answer.done()
        client.simulator.stopping.set()
        assert answer.result()["VpcId"]


def test_stale_answers(simulate: Simulate, clock: FakeClock) -> None:
    """New things are not shown yet, and gone ones still are."""
    fault = {"action": "DescribeVpcs", "kind": "stale", "delay_s": 5, "times": None}
    client = simulate(clock=clock, faults=[fault])

    def shown() -> int:
        return len(client.call("DescribeVpcs")["Vpcs"]["Vpc"])

    vpc = client.call("CreateVpc")["VpcId"]
    assert shown() == 0
    clock.time += 6
    assert shown() == 1
    client.call("DeleteVpc", VpcId=vpc)
    assert (shown(), kinds(client)) == (1, [])
    clock.time += 6
    assert shown() == 0


@pytest.mark.parametrize("fault", [{}, {"kind": "earthquake"}, {"kind": "error", "colour": "red"}, "error"])
def test_malformed_faults(simulate: Simulate, fault: Any) -> None:
    """A fault that cannot be understood is refused, and those that were set stay."""
    client = simulate(faults=[{"kind": "throttle"}])
    with pytest.raises(ValueError, match="kind"):
        client.simulator.set_faults([fault])
    with pytest.raises(Refused, match="Throttling"):
        client.call("DescribeRegions")


def test_call_log(simulate: Simulate) -> None:
    """Every call is in the log, in order: refused, lost, and unsigned ones too."""
    client = simulate(faults=[{"action": "CreateVpc", "kind": "lost-before"}])
    client.call("DescribeRegions")
    with pytest.raises(Refused):
        client.call("DeleteVpc", VpcId="vpc-none")
    with pytest.raises(http.client.RemoteDisconnected):
        client.call("CreateVpc")
    client.http("GET", "/?Action=DescribeZones&Version=2014-05-26")
    rows = [(call["action"], call["status"], call["code"]) for call in client.simulator.calls]
    assert rows == [
        ("DescribeRegions", 200, ""),
        ("DeleteVpc", 404, "InvalidVpcId.NotFound"),
        ("CreateVpc", 0, ""),
        ("DescribeZones", 400, "MissingAccessKeyId"),
    ]
    assert client.simulator.calls[1]["params"] == {"RegionId": "cn-hangzhou", "VpcId": "vpc-none"}
    assert len({call["request_id"] for call in client.simulator.calls}) == 4


def test_wrong_versions(client: Client) -> None:
    """An action belongs to its service."""
    with pytest.raises(Refused, match=r"404 InvalidAction\.NotFound"):
        client.call("RunInstances", "2016-04-28")
    with pytest.raises(Refused, match="400 InvalidVersion"):
        client.call("RunInstances", "1999-01-01")


def test_goes_on_from_its_file(simulate: Simulate, tmp_path: Path, clock: FakeClock) -> None:
    """Stopped and started again: the same things, the same tokens, and time that passed meanwhile."""
    state = tmp_path / "state"
    client = simulate(state_file=state, clock=clock, pace=1)
    vpc = client.call("CreateVpc", CidrBlock="10.0.0.0/16", ClientToken="t", Tag_1_Key="a")["VpcId"]
    clock.time += 1
    switch = client.call("CreateVSwitch", VpcId=vpc, ZoneId="cn-hangzhou-i", CidrBlock="10.0.1.0/24")["VSwitchId"]
    group = client.call("CreateSecurityGroup", VpcId=vpc)["SecurityGroupId"]
    clock.time += 1
    network = {"vpc": vpc, "switch": switch, "group": group}
    ids = client.launch(network, Amount=2)
    before = client.simulator.resources
    clock.time += 2

    again = simulate(state_file=state, clock=clock, pace=1)  # the first one was not even stopped
    assert again.simulator.resources == before
    assert [(i["InstanceId"], i["Status"]) for i in again.instances()] == [(item, "Running") for item in ids]
    assert again.call("CreateVpc", CidrBlock="10.0.0.0/16", ClientToken="t", Tag_1_Key="a")["VpcId"] == vpc
    again.call("DeleteInstances", InstanceId_1=ids[0], InstanceId_2=ids[1], Force=True)


def test_idle_exit() -> None:
    """It ends by itself when it holds nothing and nobody calls; not while something exists."""
    from provisioner.simulator.server import Simulator, serve

    ready: list[Simulator] = []
    thread = threading.Thread(
        target=serve, kwargs={"machines": "none", "pace": 0, "idle_exit_s": 0.5, "on_ready": ready.append}
    )
    thread.start()
    while not ready:
        time.sleep(0.01)
    client = Client(ready[0])
    vpc = client.call("CreateVpc")["VpcId"]
    thread.join(1.5)
    assert thread.is_alive()
    client.call("DeleteVpc", VpcId=vpc)
    thread.join(10)
    assert not thread.is_alive()


def test_shutdown_by_request() -> None:
    """POST /_simulator/shutdown is answered, then the server ends, kept connections included."""
    from provisioner.simulator.server import Simulator, serve

    ready: list[Simulator] = []
    thread = threading.Thread(target=serve, kwargs={"machines": "none", "on_ready": ready.append})
    thread.start()
    while not ready:
        time.sleep(0.01)
    kept = http.client.HTTPConnection("127.0.0.1", ready[0].port)
    kept.request("GET", "/_simulator/health")
    kept.getresponse().read()
    assert Client(ready[0]).http("POST", "/_simulator/shutdown")[0] == 200
    thread.join(10)
    assert not thread.is_alive()
    kept.close()


def test_own_key_pair_of_the_environment(monkeypatch: pytest.MonkeyPatch, simulate: Simulate) -> None:
    """It accepts the pair of the environment it is started in, the fixed one, and no other."""
    monkeypatch.setenv("ALIBABA_CLOUD_ACCESS_KEY_ID", "mine")
    monkeypatch.setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "secret")
    client = simulate()
    assert client.simulator.key_pair == ("mine", "secret")
    client.call("DescribeRegions")
    client.simulator.key_pair = ("simulator-access-key-id", "simulator-access-key-secret")
    client.call("DescribeRegions")
    client.simulator.key_pair = ("mine", "simulator-access-key-secret")
    with pytest.raises(Refused, match="400 SignatureDoesNotMatch"):
        client.call("DescribeRegions")
    client.simulator.key_pair = ("theirs", "secret")
    with pytest.raises(Refused, match=r"404 InvalidAccessKeyId\.NotFound"):
        client.call("DescribeRegions")
