"""Instances: one RunInstances call for all of a request."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from decimal import ROUND_DOWN, Decimal
from typing import Any

from provisioner.adapters.ecs.action_group import ActionGroup
from provisioner.adapters.ecs.api import CREATE_S, tag_list
from provisioner.inventory.spec import SpotSpec, SystemDiskSpec
from provisioner.resources import InstanceRequest

MOST_INSTANCES = 100


class Instances(ActionGroup):
    """RunInstances, and what can be changed of instances in place."""

    def run_instances(self, request: InstanceRequest, tags: Mapping[str, str], token: str) -> list[str]:
        """RunInstances, all or none. Raises NoCapacityError when another type or zone may do. Does not wait.

        Several names must be one prefix with consecutive numbers of one width (`demo-001`, `demo-002`), or it is a
        ValueError: that is what one call can give. The tags go to the instances, their disks and their interfaces.
        """
        asked = {**_parameters(request, tags), "ClientToken": token}
        answer = "InstanceIdSets.InstanceIdSet"
        body = self._api.call("RunInstances", asked, expect=answer, patience_s=CREATE_S)
        return [str(id_) for id_ in body["InstanceIdSets"]["InstanceIdSet"]]

    def check_run_instances(self, request: InstanceRequest, tags: Mapping[str, str]) -> None:
        """RunInstances with DryRun: returns when the real call would pass, raises what it would raise."""
        self._api.call("RunInstances", {**_parameters(request, tags), "DryRun": True})

    def set_deletion_protection(self, instance_ids: Sequence[str], on: bool) -> None:
        """ModifyInstanceAttribute, for one after the other."""
        for id_ in instance_ids:
            self._api.call("ModifyInstanceAttribute", {"InstanceId": id_, "DeletionProtection": on})

    def set_name(self, instance_id: str, name: str) -> None:
        """ModifyInstanceAttribute; the host name stays as it is."""
        self._api.call("ModifyInstanceAttribute", {"InstanceId": instance_id, "InstanceName": name})

    def set_auto_release(self, instance_ids: Sequence[str], at: datetime | None) -> None:
        """ModifyInstanceAutoReleaseTime, for one after the other; without a time the release is called off."""
        time = {"AutoReleaseTime": _utc(at)} if at else {}
        for id_ in instance_ids:
            self._api.call("ModifyInstanceAutoReleaseTime", {"InstanceId": id_, **time})

    def set_bandwidth(self, instance_ids: Sequence[str], mbps: int) -> None:
        """ModifyInstanceNetworkSpec, for one after the other."""
        for id_ in instance_ids:
            asked = {"InstanceId": id_, "InternetMaxBandwidthOut": mbps, "NetworkChargeType": "PayByTraffic"}
            self._api.call("ModifyInstanceNetworkSpec", asked)


def _parameters(request: InstanceRequest, tags: Mapping[str, str]) -> dict[str, Any]:
    """Amount without MinAmount: all or none. What has a default that changed or may change is always given."""
    name = sequence(request.names)
    parameters: dict[str, Any] = {
        "Amount": len(request.names),
        "InstanceName": name,
        "HostName": name,
        "UniqueSuffix": False,
        "InstanceChargeType": "PostPaid",
        "InstanceType": request.instance_type,
        "ZoneId": request.zone,
        "ImageId": request.image_id,
        "VSwitchId": request.vswitch_id,
        "SecurityGroupId": request.security_group_id,
        "SystemDisk": system_disk(request.system_disk),
        "InternetMaxBandwidthOut": request.internet_bandwidth_mbps,
        "InternetChargeType": "PayByTraffic",
        "DeletionProtection": request.deletion_protection,
        # The security agent of the public images would share the CPUs that are measured.
        "SecurityEnhancementStrategy": "Deactive",
        "Tag": tag_list(tags),
        **spot(request.spot),
    }
    if request.auto_release_at:
        parameters["AutoReleaseTime"] = _utc(request.auto_release_at)
    if request.key_pair:  # none before it was imported, in a dry run
        parameters["KeyPairName"] = request.key_pair
    if request.login_as_non_root:
        parameters["ImageOptions"] = {"LoginAsNonRoot": True}
    if request.ram_role:
        parameters["RamRoleName"] = request.ram_role
    if request.user_data:
        parameters["UserData"] = base64.b64encode(request.user_data.encode()).decode()
    return parameters


def _utc(moment: datetime) -> str:
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def system_disk(disk: SystemDiskSpec) -> dict[str, Any]:
    """SystemDisk of RunInstances and DescribePrice; only ESSDs have performance levels."""
    level = {"PerformanceLevel": disk.performance_level} if disk.category == "cloud_essd" else {}
    return {"Category": disk.category, "Size": disk.size_gib, **level}


def spot(wish: SpotSpec | None) -> dict[str, Any]:
    """What RunInstances is told of spot. SpotDuration keeps its default: the first hour is safe."""
    if wish is None:
        return {"SpotStrategy": "NoSpot"}
    if wish.price_limit_per_hour is None:
        return {"SpotStrategy": "SpotAsPriceGo"}
    return {"SpotStrategy": "SpotWithPriceLimit", "SpotPriceLimit": _three_decimals(wish.price_limit_per_hour)}


def _three_decimals(price: float) -> float:
    """As many as the service takes, and never above the limit that was given."""
    return float(Decimal(str(price)).quantize(Decimal("0.001"), ROUND_DOWN))


def sequence(names: Sequence[str]) -> str:
    """The InstanceName that gives these names: `demo-001` for one, `demo-[1,3]` for demo-001, demo-002, …

    Source: "Batch configure sequential names": PREFIX[BEGIN,DIGITS], to 6 digits; BEGIN must not have more than DIGITS.
    """
    if not 1 <= len(names) <= MOST_INSTANCES:
        raise ValueError(f"RunInstances makes 1 to {MOST_INSTANCES} instances, not {len(names)}")
    if len(names) == 1:
        return names[0]
    numbered = re.fullmatch(r"(.+?)(\d{1,6})", names[0])
    if numbered:
        prefix, digits = numbered.groups()
        counted_on = [f"{prefix}{int(digits) + i:0{len(digits)}d}" for i in range(len(names))]
        if counted_on == list(names) and len(counted_on[-1]) == len(counted_on[0]):
            return f"{prefix}[{int(digits)},{len(digits)}]"
    raise ValueError(f"one RunInstances call cannot give the names {', '.join(names)}")
