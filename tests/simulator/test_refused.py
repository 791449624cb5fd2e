"""What the service refuses, with which code and status: cases in refused.yaml."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from provisioner.simulator.errors import CODES
from provisioner.simulator.server import Simulator
from tests.simulator.client import Client, Refused

HERE = Path(__file__).parent
CASES = yaml.safe_load((HERE / "refused.yaml").read_text())


@pytest.fixture(name="world", scope="module")
def _world() -> Iterator[tuple[Client, dict[str, str]]]:
    """One simulator for all cases, none of which changes it: a running instance, its network, and another VPC."""
    with Simulator(pace=0) as simulator:
        client = Client(simulator)
        network = client.network()
        (instance,) = client.launch(network)
        other = client.call("CreateVpc", CidrBlock="10.0.0.0/16")["VpcId"]
        group = client.call("CreateSecurityGroup", VpcId=other)["SecurityGroupId"]
        yield client, {**network, "instance": instance, "other_vpc": other, "other_group": group}


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['action']}-{case['code']}-{len(str(case['params']))}")
def test_refused(world: tuple[Client, dict[str, str]], case: dict[str, Any]) -> None:
    """The call is refused as documented, and nothing is changed."""
    client, names = world
    before = client.simulator.resources
    base = client.request(names) if case["action"] == "RunInstances" else {}
    params = {name: str(value).format(**names) for name, value in {**base, **case["params"]}.items()}
    with pytest.raises(Refused) as caught:
        client.call(case["action"], **params)
    assert (caught.value.code, caught.value.status) == (case["code"], case["status"])
    assert client.simulator.resources == before


def test_statuses_are_the_documented_ones() -> None:
    """Every code that the official error tables have is answered with a status that they give it."""
    documented: dict[str, set[int]] = {}
    for line in (HERE / "documented_statuses.tsv").read_text().splitlines()[1:]:
        code, statuses = line.split("\t")
        documented[code] = {int(status) for status in statuses.split(",")}
    wrong = {code: status for code, (status, _) in CODES.items() if status not in documented.get(code, {status})}
    assert wrong == {}
    assert len(documented.keys() & CODES.keys()) > 50


@pytest.mark.parametrize(
    ("options", "params", "code"),
    [
        ({"quotas": {"instances": 1}}, {"Amount": 2}, "QuotaExceed.AfterpayInstance"),
        ({"quotas": {"vcpus": 3}}, {"Amount": 2}, "QuotaExceed.ElasticQuota"),
        ({"balance": 99.0}, {}, "InvalidAccountStatus.NotEnoughBalance"),
        ({"faults": [{"kind": "no-stock"}]}, {}, "OperationDenied.NoStock"),
        ({"faults": [{"kind": "no-stock", "left": 1}]}, {"Amount": 2}, "OperationDenied.NoStock"),
        ({"quotas": {"vpcs": 0}}, {}, "QuotaExceeded.Vpc"),
        ({"quotas": {"vswitches-per-vpc": 0}}, {}, "QuotaExceeded.VSwitch"),
        ({"quotas": {"security-groups": 0}}, {}, "QuotaExceed.SecurityGroup"),
    ],
)
def test_limits(simulate: Any, options: dict[str, Any], params: dict[str, Any], code: str) -> None:
    """Quotas, balance and stock are enforced."""
    client = simulate(**options)
    with pytest.raises(Refused, match=code):
        client.launch(**params)
    assert not [resource for resource in client.simulator.resources if resource["kind"] == "instance"]


def test_dry_run_validates_everything(simulate: Any) -> None:
    """A dry run answers DryRunOperation only when the real call would pass, and makes nothing."""
    client = simulate(faults=[{"kind": "no-stock", "zone": "cn-hangzhou-j"}], quotas={"vcpus": 1000})
    network = client.network()
    with pytest.raises(Refused, match="400 DryRunOperation"):
        client.launch(network, DryRun=True)
    with pytest.raises(Refused, match="QuotaExceed"):
        client.launch(network, DryRun=True, Amount=100, InstanceType="ecs.ebmhfc7.48xlarge")
    with pytest.raises(Refused, match=r"OperationDenied\.NoStock"):
        client.launch(client.network("cn-hangzhou-j"), DryRun=True)
    assert client.instances() == []
    (instance,) = client.launch(network)
    with pytest.raises(Refused, match=r"DRYRUN\.SUCCESS"):
        client.call("DeleteInstances", InstanceId_1=instance, Force=True, DryRun=True)
    assert len(client.instances()) == 1
