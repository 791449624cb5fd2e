"""docs/adding.md, "A simulator resource": its module is all that a new kind of resource needs."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from provisioner.simulator import account, actions
from tests.simulator.client import Client, Refused

PAGE = Path(__file__).parents[2] / "docs/adding.md"
MODULE = re.compile(
    r"^As `(\w+)\.py` in `provisioner/simulator/state/`:\n\n```python\n(.*?)^```$", re.MULTILINE | re.DOTALL
)
VPC = "2016-04-28"


@pytest.fixture(autouse=True)
def _added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The page's module, imported as the package imports those that lie in it."""
    ((name, source),) = MODULE.findall(PAGE.read_text(encoding="utf-8"))
    (tmp_path / f"{name}.py").write_text(source, encoding="utf-8")
    kinds, quotas, registry = list(account.KINDS), dict(account.QUOTAS), dict(actions.REGISTRY)
    qualified = f"provisioner.simulator.state.{name}"
    spec = importlib.util.spec_from_file_location(qualified, tmp_path / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, qualified, module)
    spec.loader.exec_module(module)
    yield
    account.KINDS[:] = kinds
    for table, before in ((account.QUOTAS, quotas), (actions.REGISTRY, registry)):
        table.clear()
        table.update(before)


def test_it_is_created_listed_tagged_and_removed(client: Client) -> None:
    vpc = client.call("CreateVpc", CidrBlock="10.0.0.0/16")["VpcId"]
    made = client.call("CreateNatGateway", VPC, VpcId=vpc, Tag_1_Key="a", Tag_1_Value="b")["NatGatewayId"]
    rows = client.call("DescribeNatGateways", VPC, VpcId=vpc, Tag_1_Key="a")["NatGateways"]["NatGateway"]
    assert [row["NatGatewayId"] for row in rows] == [made]
    shown = {"kind": "nat-gateway", "id": made, "name": "", "tags": {"a": "b"}}
    assert shown in client.simulator.resources
    client.call("TagResources", VPC, ResourceType="natgateway", ResourceId_1=made, Tag_1_Key="c", Tag_1_Value="d")
    listed = client.call("ListTagResources", VPC, ResourceType="natgateway", ResourceId_1=made)
    assert {row["TagKey"] for row in listed["TagResources"]["TagResource"]} == {"a", "c"}
    with pytest.raises(Refused, match=r"DependencyViolation\.NatGateway"):
        client.call("DeleteVpc", VpcId=vpc)
    client.call("DeleteNatGateway", VPC, NatGatewayId=made)
    client.call("DeleteVpc", VpcId=vpc)
    assert client.simulator.resources == []


def test_its_quota_and_its_error_hold(simulate: Callable[..., Client]) -> None:
    client = simulate(quotas={"nat-gateways": 0})
    vpc = client.call("CreateVpc", CidrBlock="10.0.0.0/16")["VpcId"]
    with pytest.raises(Refused, match=r"QuotaExceeded\.NatGateway"):
        client.call("CreateNatGateway", VPC, VpcId=vpc)
    with pytest.raises(Refused, match=r"InvalidNatGatewayId\.NotFound"):
        client.call("DeleteNatGateway", VPC, NatGatewayId="ngw-none")


def test_it_outlives_a_restart(simulate: Callable[..., Client], tmp_path: Path) -> None:
    first = simulate(state_file=tmp_path / "state")
    vpc = first.call("CreateVpc", CidrBlock="10.0.0.0/16")["VpcId"]
    first.call("CreateNatGateway", VPC, VpcId=vpc)
    second = simulate(state_file=tmp_path / "state")
    assert second.simulator.resources == first.simulator.resources
