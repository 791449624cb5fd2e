"""Looking at instances."""

from __future__ import annotations

import base64

from provisioner.simulator.actions import Answer, Call, action, matches
from provisioner.simulator.answers import minute, second, tag_list
from provisioner.simulator.errors import ApiError
from provisioner.simulator.state.eip import Eip
from provisioner.simulator.state.instance import STATES, Instance


@action("DescribeInstances")
def describe_instances(call: Call) -> Answer:
    """Instances by id, name, state, place, group, key, address, tag. An unknown id is no error."""
    params = call.params
    ids = params.json_list("InstanceIds", code="InvalidInstanceIds.Malformed")
    if params.text("Status") not in ("", *STATES):
        raise ApiError("InvalidStatus.NotFound")
    addresses = {
        name: params.json_list(name) for name in ("PrivateIpAddresses", "PublicIpAddresses", "InnerIpAddresses")
    }
    instances = [
        instance
        for instance in call.seen(Instance)
        if (ids is None or instance.id in ids)
        and params.text("Status") in ("", instance.status)
        and matches(params.text("InstanceName"), instance.name)
        and params.text("InstanceType") in ("", instance.instance_type)
        and params.text("InstanceTypeFamily") in ("", instance.instance_type.rpartition(".")[0])
        and params.text("VpcId") in ("", instance.vpc_id)
        and params.text("VSwitchId") in ("", instance.vswitch_id)
        and params.text("ZoneId") in ("", instance.zone)
        and params.text("KeyPairName") in ("", instance.key_pair)
        and params.text("SecurityGroupId") in ("", *instance.security_group_ids)
        and (addresses["PrivateIpAddresses"] is None or instance.private_ip in addresses["PrivateIpAddresses"])
        and (addresses["PublicIpAddresses"] is None or instance.public_ip in addresses["PublicIpAddresses"])
    ]
    page, paging = call.page(instances)
    call.checked()
    return {"Instances": {"Instance": [_answer(call, instance) for instance in page]}, **paging}


@action("DescribeInstanceStatus")
def describe_instance_status(call: Call) -> Answer:
    """Ids and states only."""
    ids = call.params.numbered("InstanceId")
    zone = call.params.text("ZoneId")
    instances = [
        instance for instance in call.seen(Instance) if (not ids or instance.id in ids) and zone in ("", instance.zone)
    ]
    page, paging = call.page(instances)
    rows = [{"InstanceId": instance.id, "Status": instance.status} for instance in page]
    return {"InstanceStatuses": {"InstanceStatus": rows}, **paging}


@action("DescribeInstanceAttribute")
def describe_instance_attribute(call: Call) -> Answer:
    """One instance; an unknown id is an error here."""
    instance = call.need(Instance, "InstanceId")
    return _answer(call, instance)


@action("DescribeUserData")
def describe_user_data(call: Call) -> Answer:
    """An instance's user data, in Base64."""
    instance = call.need(Instance, "InstanceId")
    return {"InstanceId": instance.id, "RegionId": instance.region, "UserData": instance.user_data}


@action("GetInstanceConsoleOutput")
def get_instance_console_output(call: Call) -> Answer:
    """What an instance's machine has printed."""
    instance = call.need(Instance, "InstanceId")
    output = base64.b64encode(call.account.fleet.console(instance.id).encode()).decode()
    return {"InstanceId": instance.id, "ConsoleOutput": output, "LastUpdateTime": second(call.now)}


def _answer(call: Call, instance: Instance) -> Answer:
    kind = call.account.catalog.types[instance.instance_type]
    image = call.account.catalog.images[instance.image_id]
    eip = next((eip for eip in call.account.table(Eip).values() if eip.instance_id == instance.id), None)
    in_vpc = bool(instance.vpc_id)
    public = [instance.public_ip] if instance.public_ip else []
    locks = [{"LockReason": "Recycling"}] if instance.reclaim_due is not None else []
    return {
        "InstanceId": instance.id,
        "InstanceName": instance.name,
        "Description": instance.description,
        "HostName": instance.hostname,
        "Status": instance.status,
        "StoppedMode": instance.stopped_mode,
        "RegionId": instance.region,
        "ZoneId": instance.zone,
        "ClusterId": "",
        "InstanceType": instance.instance_type,
        "InstanceTypeFamily": kind.family,
        "Cpu": instance.cores * instance.threads_per_core,
        "Memory": int(kind.memory_gib * 1024),
        "CpuOptions": {"CoreCount": instance.cores, "ThreadsPerCore": instance.threads_per_core, "Numa": "ON"},
        "GPUAmount": 0,
        "GPUSpec": "",
        "ImageId": image.id,
        "OSName": image.os_name,
        "OSNameEn": image.os_name,
        "OSType": "linux",
        "KeyPairName": instance.key_pair,
        "SerialNumber": instance.id,
        "CreationTime": minute(instance.created),
        "StartTime": minute(instance.started_at) if instance.started_at is not None else "",
        "ExpiredTime": "2099-12-31T15:59Z",
        "AutoReleaseTime": minute(instance.auto_release_at) if instance.auto_release_at is not None else "",
        "InstanceChargeType": "PostPaid",
        "SpotStrategy": instance.spot_strategy,
        "SpotPriceLimit": instance.spot_price_limit,
        "SpotInterruptionBehavior": instance.spot_interruption,
        "DeletionProtection": instance.deletion_protection,
        "DeviceAvailable": True,
        "IoOptimized": True,
        "Recyclable": False,
        "ResourceGroupId": "",
        "VlanId": "",
        "InstanceNetworkType": "vpc" if in_vpc else "classic",
        "InternetChargeType": instance.charge_by,
        "InternetMaxBandwidthIn": 100,
        "InternetMaxBandwidthOut": instance.bandwidth_mbps,
        "PublicIpAddress": {"IpAddress": public},
        "InnerIpAddress": {"IpAddress": [] if in_vpc else [instance.private_ip]},
        "EipAddress": {
            "AllocationId": eip.id if eip else "",
            "IpAddress": eip.address if eip else "",
            "Bandwidth": eip.bandwidth_mbps if eip else 0,
            "InternetChargeType": eip.charge_type if eip else "",
        },
        "VpcAttributes": {
            "VpcId": instance.vpc_id,
            "VSwitchId": instance.vswitch_id,
            "NatIpAddress": "",
            "PrivateIpAddress": {"IpAddress": [instance.private_ip] if in_vpc else []},
        },
        "NetworkInterfaces": {
            "NetworkInterface": [
                {
                    "NetworkInterfaceId": "eni" + instance.id[1:],
                    "PrimaryIpAddress": instance.private_ip,
                    "Type": "Primary",
                }
            ]
        },
        "SecurityGroupIds": {"SecurityGroupId": instance.security_group_ids},
        "OperationLocks": {"LockReason": locks},
        "Tags": tag_list(instance.tags),
    }
