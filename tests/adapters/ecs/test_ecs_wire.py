"""The real SDK over loopback: what it sends, and what becomes of everything that can come back."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from provisioner.adapters.ecs import Credentials, EcsCloud, connect
from provisioner.adapters.ecs.sdk import STS_VERSION, VPC_ACTIONS, VPC_VERSION, Fault, Sdk
from provisioner.errors import CloudUnavailableError, CredentialsError, UsageError
from provisioner.inventory.spec import SpotSpec, SystemDiskSpec
from provisioner.resources import IngressRule, InstanceRequest
from provisioner.secret import Secret
from tests.adapters.ecs.wire import Asked, Reply, Wire, api
from tests.support.clock import FakeClock

KEYS = Credentials("key-id", Secret("key-secret"))
ERROR = {"RequestId": "R1", "HostId": "ecs", "Code": "Throttling.User", "Message": "Too fast.", "Recommend": ""}


def always(reply: Reply) -> Callable[[Asked], Reply]:
    return lambda _: reply


def sdk(endpoint: str) -> Sdk:
    return Sdk("cn-hangzhou", endpoint=endpoint, credentials=KEYS)


def cloud(endpoint: str, clock: FakeClock | None = None) -> EcsCloud:
    return connect(
        "cn-hangzhou", endpoint=endpoint, credentials=KEYS, clock=clock or FakeClock(), progress=lambda _: None
    )


# ---------------------------------------------------------------------------------------------- what comes back

BROKEN = {
    "error": (api(ERROR, 400), {"code": "Throttling.User", "status": 400, "message": "Too fast.", "request_id": "R1"}),
    "error with a time": (api(ERROR, 429, x_acs_retry_after="250"), {"code": "Throttling.User", "retry_after_s": 0.25}),
    "server's error": (api({**ERROR, "Code": "InternalError"}, 500), {"code": "InternalError", "status": 500}),
    "no permission": (
        api({**ERROR, "Code": "Forbidden.RAM", "AccessDeniedDetail": {"AuthAction": "ecs:DescribeZones"}}, 403),
        {"code": "Forbidden.RAM", "denied_action": "ecs:DescribeZones"},
    ),
    "error without a code": (api({"message": "no"}, 400), {"code": "", "status": 400}),
    "error that is a list": (api([1], 400), {"code": "", "status": None}),
    "a proxy's page": (
        Reply(b"<html>502 Bad Gateway</html>", 502, {"Content-Type": "text/html"}),
        {"code": "", "status": None, "message": "the answer is not JSON"},
    ),
    "a portal's page": (Reply(b"<html>Log in</html>"), {"code": "", "message": "the answer is not JSON"}),
    "half an answer": (
        Reply(b'{"RequestId": "R1", "Zo', promised=400),
        {"code": "", "message": "the answer breaks off"},
    ),
    "an empty answer": (Reply(b""), {"code": "", "status": None}),
    "a list": (api([1, 2]), {"code": ""}),
    "null": (api(None), {"code": ""}),
}


@pytest.mark.parametrize("action", ["DescribeZones", "DescribeVpcs"], ids=["typed", "generic"])
@pytest.mark.parametrize("case", BROKEN)
def test_everything_but_an_answer_is_a_fault(case: str, action: str) -> None:
    """One form for all of it, through the typed client and through the generic one."""
    reply, wanted = BROKEN[case]
    with Wire(always(reply)) as wire:
        with pytest.raises(Fault) as caught:
            sdk(wire.endpoint)(action, {"RegionId": "cn-hangzhou"})
        assert {name: getattr(caught.value, name) for name in wanted} == wanted
        assert len(wire.asked) == 1  # the SDK's own retries are off: they know no deadline


def test_a_refused_connection_is_a_fault_in_few_words() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        with pytest.raises(Fault) as caught:
            sdk(f"http://127.0.0.1:{closed.getsockname()[1]}")("DescribeZones", {})
    assert (caught.value.code, caught.value.message) == ("", "the connection is refused")


@pytest.mark.parametrize("body", [{}, {"RequestId": "R1"}, {"Zones": "none"}, {"Zones": ["z"]}], ids=str)
def test_an_answer_of_another_shape_is_never_an_empty_list(body: Any) -> None:
    with Wire(always(api(body))) as wire, pytest.raises(CloudUnavailableError):
        cloud(wire.endpoint).zones()


def test_the_time_that_the_service_asks_for_is_waited() -> None:
    replies = [api({"RequestId": "R", "Zones": {"Zone": [{"ZoneId": "z"}]}}), api(ERROR, 429, x_acs_retry_after="3000")]
    clock = FakeClock()
    with Wire(lambda _: replies.pop()) as wire:
        assert cloud(wire.endpoint, clock).zones() == ["z"]
    (slept,) = clock.slept
    assert 3 <= slept < 4


# ---------------------------------------------------------------------------------------------- what is sent


def answers(asked: Asked) -> Reply:
    """Enough of an answer for each action."""
    ids = {
        "CreateVpc": {"VpcId": "vpc-1"},
        "CreateVSwitch": {"VSwitchId": "vsw-1"},
        "CreateSecurityGroup": {"SecurityGroupId": "sg-1"},
        "ImportKeyPair": {"KeyPairName": "demo"},
        "RunInstances": {"InstanceIdSets": {"InstanceIdSet": ["i-1"]}},
        "RunCommand": {"InvokeId": "t-1"},
        "GetCallerIdentity": {"AccountId": "1", "Arn": "acs:ram::1:root"},
        "DescribePrice": {"PriceInfo": {"Price": {"TradePrice": 1.5, "Currency": "CNY"}}},
        "DescribeImages": {"Images": {"Image": [{"ImageId": "m-1", "CreationTime": "2026"}]}, "TotalCount": 1},
        "DescribeZones": {"Zones": {"Zone": []}},
        "DescribeInstanceTypes": {"InstanceTypes": {"InstanceType": []}},
        "DescribeSecurityGroupAttribute": {"Permissions": {"Permission": []}},
        "DescribeCloudAssistantStatus": {
            "InstanceCloudAssistantStatusSet": {
                "InstanceCloudAssistantStatus": [{"InstanceId": "i-1", "CloudAssistantStatus": "true"}]
            }
        },
        "DescribeInvocationResults": {
            "Invocation": {
                "InvocationResults": {"InvocationResult": [{"InstanceId": "i-1", "InvocationStatus": "Success"}]}
            }
        },
    }
    states = {
        "DescribeVpcs": ("Vpcs.Vpc", {"VpcId": "vpc-1", "Status": "Available"}),
        "DescribeVSwitches": ("VSwitches.VSwitch", {"VSwitchId": "vsw-1", "Status": "Available"}),
        "DescribeSecurityGroups": ("SecurityGroups.SecurityGroup", {"SecurityGroupId": "sg-1"}),
        "DescribeKeyPairs": ("KeyPairs.KeyPair", {"KeyPairName": "demo"}),
        "DescribeDisks": ("Disks.Disk", {"DiskId": "d-1"}),
        "DescribeEipAddresses": (
            "EipAddresses.EipAddress",
            {"AllocationId": "eip-1", "Status": "InUse", "InstanceId": "i-1", "InstanceType": "EcsInstance"},
        ),
        "DescribeInstances": ("Instances.Instance", {"InstanceId": "i-1", "DeletionProtection": True}),
    }
    body: dict[str, Any] = {"RequestId": "R", **ids.get(asked.action, {})}
    if asked.action in states:
        path, item = states[asked.action]
        outer, inner = path.split(".")
        body |= {outer: {inner: [item]}, "TotalCount": 1}
    return api(body)


REQUEST = InstanceRequest(
    names=["demo-001", "demo-002"],
    instance_type="ecs.hfc7.large",
    zone="cn-hangzhou-i",
    image_id="m-1",
    vswitch_id="vsw-1",
    security_group_id="sg-1",
    key_pair="demo",
    system_disk=SystemDiskSpec(),
    internet_bandwidth_mbps=100,
    spot=SpotSpec(price_limit_per_hour=1.5),
    auto_release_at=datetime(2026, 1, 1, 12, tzinfo=timezone.utc),
    ram_role="role",
    user_data="#!/bin/sh",
)
RULES = [
    IngressRule("tcp", "22/22", "203.0.113.7/32", "SSH"),
    IngressRule("tcp", "1/9", "2001:db8::/64"),
    IngressRule("tcp", "1/9", "sg-2"),
]
KINDS = ("vpc", "vswitch", "security-group", "key-pair", "instance", "disk", "eip")


def test_every_parameter_reaches_the_wire_with_the_version_of_its_service() -> None:
    """The SDK's models drop what they do not know; `Sdk` raises instead, and here each action goes through it."""
    tags = {"a": "b c"}
    with Wire(answers) as wire:
        it = cloud(wire.endpoint)
        it.create_vpc("demo", "172.16.0.0/16", tags, "t")
        it.create_vswitch("vpc-1", "cn-hangzhou-i", "172.16.0.0/24", "demo", tags, "t")
        it.create_security_group("vpc-1", "demo", tags, "t")
        it.authorize("sg-1", RULES)
        it.revoke("sg-1", RULES)
        it.ingress_rules("sg-1")
        it.import_key_pair("demo", "ssh-ed25519 AAAA", tags)
        it.newest_image("f", "ecs.hfc7.large")
        it.run_instances(REQUEST, tags, "t")
        it.check_run_instances(REQUEST, tags)
        it.run_command(["i-1"], "true")
        it.stock(["ecs.hfc7.large"], spot=True)
        it.zones()
        it.type_offers(["ecs.hfc7.large"])
        it.price(REQUEST)
        it.caller_identity()
        for kind in KINDS:
            it.find(kind, {})  # type: ignore[arg-type]
        it.instances({})
    for asked in wire.asked:
        version = VPC_VERSION if asked.action in VPC_ACTIONS else "2014-05-26"
        assert asked.headers["x-acs-version"] == (STS_VERSION if asked.action == "GetCallerIdentity" else version)
        assert asked.headers["authorization"].startswith("ACS3-HMAC-SHA256 Credential=key-id,")
    run = next(asked for asked in wire.asked if asked.action == "RunInstances").parameters
    wanted = {
        "Amount": "2",
        "InstanceName": "demo-[1,3]",
        "AutoReleaseTime": "2026-01-01T12:00:00Z",
        "SystemDisk.Category": "cloud_essd",
        "SystemDisk.PerformanceLevel": "PL1",
        "SystemDisk.Size": "100",
        "SpotPriceLimit": "1.5",
        "Tag.1.Key": "a",
        "Tag.1.Value": "b c",
        "ClientToken": "t",
    }
    assert wanted.items() <= run.items()


@pytest.mark.parametrize("kind", KINDS)
def test_every_deletion_reaches_the_wire(kind: Any) -> None:
    """Each kind's calls, to the point where the thing is no longer listed."""
    names = {"vpc": "vpc-1", "vswitch": "vsw-1", "security-group": "sg-1", "key-pair": "demo"}
    names |= {"instance": "i-1", "disk": "d-1", "eip": "eip-1"}
    deleted: list[str] = []

    def answer(asked: Asked) -> Reply:
        if asked.action.startswith(("Delete", "Release")):
            deleted.append(asked.action)
        elif deleted and asked.action.startswith("Describe"):
            empty = answers(asked).body
            return Reply(empty.replace(names[kind].encode(), b"another"))
        return answers(asked)

    with Wire(answer) as wire:
        cloud(wire.endpoint).delete(kind, [names[kind]])
    assert len(deleted) == 1


def test_a_parameter_that_the_sdk_would_drop_is_an_error() -> None:
    with Wire(answers) as wire, pytest.raises(TypeError, match="Zone"):
        sdk(wire.endpoint)("DescribeZones", {"RegionId": "cn-hangzhou", "Zone": "a"})


def test_one_client_serves_many_threads() -> None:
    """Every thread gets its own answer."""

    def echo(asked: Asked) -> Reply:
        value = asked.parameters["Tag.1.Value"]
        vpc = {"VpcId": f"vpc-{value}", "Tags": {"Tag": [{"Key": "k", "Value": value}]}}
        return api({"RequestId": "R", "Vpcs": {"Vpc": [vpc]}, "TotalCount": 1})

    with Wire(echo) as wire, ThreadPoolExecutor(8) as threads:
        it = cloud(wire.endpoint)
        found = list(threads.map(lambda number: it.find("vpc", {"k": str(number)})[0].id, range(64)))
        nonces = {asked.headers["x-acs-signature-nonce"] for asked in wire.asked}
    assert found == [f"vpc-{number}" for number in range(64)]
    assert len(nonces) == 64


# ---------------------------------------------------------------------------------------------- surroundings


def test_a_proxy_is_not_asked_for_a_loopback_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK knows no NO_PROXY: the user's proxy would get the simulator's calls."""
    proxied: list[str] = []

    def proxy(asked: Asked) -> Reply:
        proxied.append(asked.target)
        return Reply(b"", 503)

    with Wire(proxy) as other, Wire(answers) as wire:
        for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"):
            monkeypatch.setenv(name, other.endpoint)
        assert cloud(wire.endpoint).zones() == []
        assert os.environ["HTTP_PROXY"] == other.endpoint  # left for everybody else
    assert proxied == []


@pytest.mark.parametrize("endpoint", ["127.0.0.1:80", "ftp://127.0.0.1", "http://", "http://127.0.0.1/api"])
def test_an_endpoint_that_is_no_address_is_a_usage_error(endpoint: str) -> None:
    with pytest.raises(UsageError, match="PROVISIONER_ENDPOINT"):
        cloud(endpoint)


def run_python(code: str, home: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """In a process of its own: the SDK reads its environment when it is imported."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ALIBABA_CLOUD_")}
    quiet = {"ALIBABA_CLOUD_ECS_METADATA_DISABLED": "true", "HOME": str(home), "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**clean, **quiet, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


CONNECT = """
from provisioner.adapters.clock import SystemClock
from provisioner.adapters.ecs import connect
from provisioner.errors import CredentialsError
try:
    print(connect("cn-hangzhou", endpoint=ENDPOINT, credentials=None, clock=SystemClock(), progress=print).zones())
except CredentialsError as error:
    print(error)
"""


def test_no_credentials_are_told_in_one_sentence(tmp_path: Path) -> None:
    """And without the chain's tracebacks."""
    done = run_python(CONNECT.replace("ENDPOINT", "'http://127.0.0.1:9'"), tmp_path)
    assert done.stdout == (
        "no credentials were found for Alibaba Cloud: set ALIBABA_CLOUD_ACCESS_KEY_ID and "
        "ALIBABA_CLOUD_ACCESS_KEY_SECRET, or run `aliyun configure`\n"
    )
    assert done.stderr == ""


OWN_KEYS = {"ALIBABA_CLOUD_ACCESS_KEY_ID": "from-env", "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "s"}


def test_the_default_chain_is_used(tmp_path: Path) -> None:
    with Wire(answers) as wire:
        done = run_python(CONNECT.replace("ENDPOINT", repr(wire.endpoint)), tmp_path, **OWN_KEYS)
    assert done.stdout == "[]\n"
    assert "Credential=from-env," in wire.asked[0].headers["authorization"]


def test_nothing_secret_and_nothing_at_all_reaches_the_terminal(tmp_path: Path) -> None:
    """DEBUG=sdk makes the SDK print whole requests with their Authorization."""
    with Wire(answers) as wire:
        done = run_python(CONNECT.replace("ENDPOINT", repr(wire.endpoint)), tmp_path, DEBUG="sdk", **OWN_KEYS)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_importing_the_adapter_does_not_load_the_sdk(tmp_path: Path) -> None:
    """Nor does naming a region: it costs a third of a second."""
    code = "import sys, provisioner.adapters.ecs; print([m for m in sys.modules if 'alibaba' in m or m == 'requests'])"
    assert run_python(code, tmp_path).stdout == "[]\n"


def test_refused_keys_are_a_credentials_error() -> None:
    reply = api({**ERROR, "Code": "SignatureDoesNotMatch"}, 400)
    with Wire(always(reply)) as wire, pytest.raises(CredentialsError, match="secret does not belong"):
        cloud(wire.endpoint).zones()
