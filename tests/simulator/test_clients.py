"""Clients that nobody here wrote, unmodified: what they need of the service works."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.simulator.client import Client


def test_libcloud_makes_and_destroys_a_node(simulate: Callable[..., Client]) -> None:
    """apache-libcloud (V1 signatures, GET, XML) lists, creates, stops, starts and destroys."""
    from libcloud.compute.providers import get_driver
    from libcloud.compute.types import NodeState, Provider

    client = simulate()
    key_id, secret = client.simulator.key_pair
    driver = get_driver(Provider.ALIYUN_ECS)(
        key_id, secret, region="cn-hangzhou", secure=False, host="127.0.0.1", port=client.simulator.port
    )

    assert "cn-hangzhou" in [location.id for location in driver.list_locations()]
    sizes = {size.id: size for size in driver.list_sizes()}
    assert sizes["ecs.hfc7.24xlarge"].ram == 192
    images = driver.list_images()
    image = next(image for image in images if image.extra["os_type"] == "linux" and "aliyun_3_x64" in image.id)
    group = driver.ex_create_security_group("from libcloud", client_token="one")
    assert group == driver.ex_create_security_group("from libcloud", client_token="one")

    node = driver.create_node(
        image=image,
        size=sizes["ecs.hfc7.large"],
        name="node",
        ex_security_group_id=group,
        ex_internet_charge_type=driver.internet_charge_types.BY_TRAFFIC,
        ex_internet_max_bandwidth_out=1,
    )
    assert [(found.id, found.state) for found in driver.list_nodes()] == [(node.id, NodeState.RUNNING)]
    assert node.public_ips == []
    address = driver.create_public_ip(node.id)
    assert driver.list_nodes()[0].public_ips == [address]
    assert [row.id for row in driver.ex_list_security_groups()] == [group]
    assert driver.ex_modify_security_group_by_id(group, name="renamed")
    assert driver.ex_list_security_groups()[0].name == "renamed"
    other = driver.ex_create_security_group("other")
    assert driver.ex_join_security_group(driver.list_nodes()[0], other)
    assert driver.ex_leave_security_group(driver.list_nodes()[0], other)
    assert driver.ex_delete_security_group_by_id(other)
    assert driver.ex_list_security_group_attributes(group) == []
    assert driver.ex_stop_node(node)
    assert driver.list_nodes(ex_node_ids=[node.id])[0].state == NodeState.STOPPED
    assert driver.ex_start_node(node)
    assert driver.reboot_node(node)
    assert driver.ex_stop_node(node)
    assert driver.destroy_node(node)
    assert driver.list_nodes() == []
    assert driver.ex_delete_security_group_by_id(group)
    assert client.simulator.resources == []


def test_libcloud_is_told_what_went_wrong(simulate: Callable[..., Client]) -> None:
    """An XML error answer reaches libcloud's exception with code and message."""
    from libcloud.common.exceptions import BaseHTTPError
    from libcloud.compute.providers import get_driver
    from libcloud.compute.types import Provider

    client = simulate()
    key_id, _ = client.simulator.key_pair
    driver = get_driver(Provider.ALIYUN_ECS)(
        key_id, "wrong", region="cn-hangzhou", secure=False, host="127.0.0.1", port=client.simulator.port
    )
    with pytest.raises(BaseHTTPError, match="SignatureDoesNotMatch"):
        driver.list_locations()


def test_older_sdk_runs_an_instance(simulate: Callable[..., Client]) -> None:
    """aliyun-python-sdk-ecs (V1 signatures, POST, JSON)."""
    from aliyunsdkcore.client import AcsClient
    from aliyunsdkecs.request.v20140526 import (
        DeleteInstancesRequest,
        DescribeInstancesRequest,
        DescribeRegionsRequest,
        RunInstancesRequest,
    )

    client = simulate()
    network = client.network()
    sdk = AcsClient(*client.simulator.key_pair, "cn-hangzhou", port=client.simulator.port)

    def do(request: Any, **values: Any) -> dict[str, Any]:
        request.set_endpoint("127.0.0.1")
        request.set_protocol_type("http")
        request.set_accept_format("json")
        for name, value in values.items():
            getattr(request, f"set_{name}")(value)
        answer: dict[str, Any] = json.loads(sdk.do_action_with_exception(request))
        return answer

    assert "cn-hangzhou" in str(do(DescribeRegionsRequest.DescribeRegionsRequest()))
    answer = do(
        RunInstancesRequest.RunInstancesRequest(),
        InstanceType="ecs.hfc7.large",
        ImageFamily="acs:alibaba_cloud_linux_3_2104_lts_x64",
        VSwitchId=network["switch"],
        SecurityGroupId=network["group"],
        InstanceName="a b*~é",
        Tags=[{"Key": "one", "Value": "b c"}],
    )
    ids = answer["InstanceIdSets"]["InstanceIdSet"]
    (found,) = do(DescribeInstancesRequest.DescribeInstancesRequest(), InstanceIds=json.dumps(ids))["Instances"][
        "Instance"
    ]
    assert found["InstanceName"] == "a b*~é"
    assert found["Tags"]["Tag"] == [{"TagKey": "one", "TagValue": "b c"}]
    do(DeleteInstancesRequest.DeleteInstancesRequest(), InstanceIds=ids, Force=True)
    assert client.instances() == []


def test_older_sdk_is_told_what_went_wrong(simulate: Callable[..., Client]) -> None:
    """An error answer reaches the older SDK's exception."""
    from aliyunsdkcore.acs_exception.exceptions import ServerException
    from aliyunsdkcore.client import AcsClient
    from aliyunsdkecs.request.v20140526.DeleteInstanceRequest import DeleteInstanceRequest

    client = simulate()
    sdk = AcsClient(*client.simulator.key_pair, "cn-hangzhou", port=client.simulator.port)
    request = DeleteInstanceRequest()
    request.set_endpoint("127.0.0.1")
    request.set_protocol_type("http")
    request.set_InstanceId("i-none")
    with pytest.raises(ServerException) as caught:
        sdk.do_action_with_exception(request)
    assert (caught.value.error_code, caught.value.http_status) == ("InvalidInstanceId.NotFound", 404)


def _official(client: Client, **more: Any) -> Any:
    from alibabacloud_tea_openapi.utils_models import Config

    key_id, secret = client.simulator.key_pair
    values = {"access_key_id": key_id, "access_key_secret": secret, "region_id": "cn-hangzhou"}
    return Config(**{**values, "endpoint": f"127.0.0.1:{client.simulator.port}", "protocol": "http", **more})


def test_official_sdk_runs_an_instance(simulate: Callable[..., Client]) -> None:
    """alibabacloud-ecs20140526 (V3 signatures), and the generic call that makes its VPC."""
    from alibabacloud_ecs20140526 import models
    from alibabacloud_ecs20140526.client import Client as Ecs
    from alibabacloud_tea_openapi.client import Client as Generic
    from alibabacloud_tea_openapi.utils import Utils
    from alibabacloud_tea_openapi.utils_models import OpenApiRequest, Params
    from darabonba.runtime import RuntimeOptions

    client = simulate()
    generic = Generic(_official(client))

    def vpc(action: str, **values: Any) -> dict[str, Any]:
        params = Params(
            action=action,
            version="2016-04-28",
            protocol="HTTPS",
            pathname="/",
            method="POST",
            auth_type="AK",
            style="RPC",
            req_body_type="formData",
            body_type="json",
        )
        query = Utils.query({"RegionId": "cn-hangzhou", **values})
        body: dict[str, Any] = generic.call_api(params, OpenApiRequest(query=query), RuntimeOptions())["body"]
        return body

    tags = [{"Key": "run", "Value": "a b*~é"}]
    vpc_id = vpc("CreateVpc", CidrBlock="10.0.0.0/16", Tag=tags)["VpcId"]
    switch = vpc("CreateVSwitch", VpcId=vpc_id, ZoneId="cn-hangzhou-i", CidrBlock="10.0.1.0/24", Tag=tags)["VSwitchId"]
    assert vpc("DescribeVpcs", Tag=tags)["Vpcs"]["Vpc"][0]["VpcId"] == vpc_id

    ecs = Ecs(_official(client))
    tag = models.CreateSecurityGroupRequestTag(key="run", value="a b*~é")
    group = ecs.create_security_group(
        models.CreateSecurityGroupRequest(region_id="cn-hangzhou", vpc_id=vpc_id, tag=[tag])
    ).body.security_group_id
    made = ecs.run_instances(
        models.RunInstancesRequest(
            region_id="cn-hangzhou",
            instance_type="ecs.hfc7.24xlarge",
            image_family="acs:alibaba_cloud_linux_3_2104_lts_x64",
            v_switch_id=switch,
            security_group_ids=[group],
            amount=2,
            deletion_protection=False,
            system_disk=models.RunInstancesRequestSystemDisk(category="cloud_essd", size="40", performance_level="PL1"),
            internet_max_bandwidth_out=5,
            instance_name="bench[001,3]",
            tag=[models.RunInstancesRequestTag(key="run", value="a b*~é")],
        )
    ).body.instance_id_sets.instance_id_set
    found = ecs.describe_instances(
        models.DescribeInstancesRequest(
            region_id="cn-hangzhou", tag=[models.DescribeInstancesRequestTag(key="run")], max_results=100
        )
    ).body.instances.instance
    assert [instance.instance_name for instance in found] == ["bench001", "bench002"]
    assert {instance.status for instance in found} == {"Running"}
    assert found[0].cpu_options.core_count == 48
    ecs.delete_instances(models.DeleteInstancesRequest(region_id="cn-hangzhou", instance_id=made, force=True))
    ecs.delete_security_group(models.DeleteSecurityGroupRequest(region_id="cn-hangzhou", security_group_id=group))
    vpc("DeleteVSwitch", VSwitchId=switch)
    vpc("DeleteVpc", VpcId=vpc_id)
    assert client.simulator.resources == []


def test_official_sdk_with_older_signatures(simulate: Callable[..., Client]) -> None:
    """The official SDK's V1 mode."""
    from alibabacloud_ecs20140526 import models
    from alibabacloud_ecs20140526.client import Client as Ecs

    client = simulate()
    zones = Ecs(_official(client, signature_algorithm="v2")).describe_zones(
        models.DescribeZonesRequest(region_id="cn-hangzhou")
    )
    assert "cn-hangzhou-i" in [zone.zone_id for zone in zones.body.zones.zone]


@pytest.mark.parametrize(
    ("fault", "exception", "code"),
    [
        ({"kind": "throttle"}, "ClientException", "Throttling.User"),
        ({"kind": "throttle", "retry_after_ms": 250}, "ThrottlingException", "Throttling.User"),
        ({"kind": "error"}, "ServerException", "ServiceUnavailable"),
        ({"kind": "error", "code": "Forbidden.RAM"}, "ClientException", "Forbidden.RAM"),
        ({"kind": "html"}, "UnretryableException", None),
        ({"kind": "lost-before"}, "UnretryableException", None),
        ({"kind": "lost-after"}, "UnretryableException", None),
    ],
)
def test_official_sdk_sees_each_fault(
    simulate: Callable[..., Client], fault: dict[str, Any], exception: str, code: str | None
) -> None:
    """Faults look to the official SDK as the real service's failures do."""
    from alibabacloud_ecs20140526 import models
    from alibabacloud_ecs20140526.client import Client as Ecs
    from Tea.exceptions import TeaException

    client = simulate(faults=[fault])
    ecs = Ecs(_official(client))
    with pytest.raises(TeaException) as caught:
        ecs.describe_regions(models.DescribeRegionsRequest())
    assert (type(caught.value).__name__, caught.value.code) == (exception, code)
    assert ecs.describe_regions(models.DescribeRegionsRequest()).body.regions.region
