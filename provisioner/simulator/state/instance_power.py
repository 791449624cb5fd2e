"""Starting, stopping, rebooting, releasing and changing instances."""

from __future__ import annotations

from provisioner.simulator.actions import Answer, Call, action
from provisioner.simulator.errors import ApiError, missing
from provisioner.simulator.state.eip import Eip
from provisioner.simulator.state.instance import Instance
from provisioner.simulator.state.launch import auto_release
from provisioner.simulator.state.security_group import SecurityGroup

DRY_RUN_MANY = "DRYRUN.SUCCESS"


@action("StartInstance")
def start_instance(call: Call) -> Answer:
    """Start a stopped instance."""
    _start(call, [_one(call)], "DryRunOperation")
    return {}


@action("StartInstances")
def start_instances(call: Call) -> Answer:
    """Start stopped instances."""
    return _start(call, _many(call), DRY_RUN_MANY)


@action("StopInstance")
def stop_instance(call: Call) -> Answer:
    """Stop a running instance."""
    _stop(call, [_one(call)], "DryRunOperation")
    return {}


@action("StopInstances")
def stop_instances(call: Call) -> Answer:
    """Stop running instances."""
    return _stop(call, _many(call), DRY_RUN_MANY)


@action("RebootInstance")
def reboot_instance(call: Call) -> Answer:
    """Stop and start a running instance."""
    _reboot(call, [_one(call)], "DryRunOperation")
    return {}


@action("RebootInstances")
def reboot_instances(call: Call) -> Answer:
    """Stop and start running instances."""
    return _reboot(call, _many(call), DRY_RUN_MANY)


@action("DeleteInstance")
def delete_instance(call: Call) -> Answer:
    """Release an instance: a stopped one, or with Force a running one too."""
    _delete(call, [_one(call)], "DryRunOperation")
    return {}


@action("DeleteInstances", idempotent=True)
def delete_instances(call: Call) -> Answer:
    """Release up to 100 instances, all or none."""
    _delete(call, _many(call), DRY_RUN_MANY)
    return {}


@action("ModifyInstanceAttribute")
def modify_instance_attribute(call: Call) -> Answer:
    """Change name, description, host name or deletion protection."""
    instance = _one(call)
    params = call.params
    protection = params.flag("DeletionProtection", instance.deletion_protection)
    groups = params.numbered("SecurityGroupIds")
    for item in groups:
        group = call.get(SecurityGroup, item)
        if group.vpc_id != instance.vpc_id:
            raise ApiError("InvalidParameter.Mismatch", "The group and the instance are in different VPCs.")
    call.checked()
    instance.deletion_protection = protection
    instance.name = params.text("InstanceName", instance.name)
    instance.description = params.text("Description", instance.description)
    instance.hostname = params.text("HostName", instance.hostname)
    instance.security_group_ids = groups or instance.security_group_ids
    return {}


@action("ModifyInstanceAutoReleaseTime")
def modify_instance_auto_release_time(call: Call) -> Answer:
    """Set when an instance is released by itself; without a time, it no longer is."""
    instance = _one(call)
    at = auto_release(call, "AutoReleaseTime")
    call.checked()
    instance.auto_release_at = at
    return {}


@action("ModifyInstanceNetworkSpec", idempotent=True)
def modify_instance_network_spec(call: Call) -> Answer:
    """Change the bandwidth of a running or stopped instance, how it is paid, and whether there is a public address."""
    instance = _one(call)
    params = call.params
    mbps = params.number(
        "InternetMaxBandwidthOut",
        instance.bandwidth_mbps,
        least=0,
        most=100,
        code="InvalidInternetMaxBandwidthOut.ValueNotSupported",
    )
    charge_by = params.text("NetworkChargeType", instance.charge_by)
    if charge_by not in ("PayByTraffic", "PayByBandwidth"):
        raise ApiError("InvalidInternetChargeType.ValueNotSupported")
    _need_status([instance], "Running", "Stopped")
    call.checked()
    instance.bandwidth_mbps, instance.charge_by = mbps, charge_by
    if mbps and params.flag("AllocatePublicIp"):
        instance.public_ip = instance.machine_ip
    return {"OrderId": ""}


@action("AllocatePublicIpAddress")
def allocate_public_ip_address(call: Call) -> Answer:
    """Give an instance its public address."""
    instance = _one(call)
    if instance.status not in ("Running", "Stopped"):
        raise ApiError("IncorrectInstanceStatus")
    if instance.public_ip or any(eip.instance_id == instance.id for eip in call.account.table(Eip).values()):
        raise ApiError("AllocatedAlready")
    if instance.bandwidth_mbps == 0:
        raise ApiError("AllocateIpInvalidInstanceBandwidth")
    call.checked()
    instance.public_ip = instance.machine_ip
    return {"IpAddress": instance.public_ip}


def _one(call: Call) -> Instance:
    return call.need(Instance, "InstanceId")


def _many(call: Call) -> list[Instance]:
    call.params.need("RegionId")
    ids = call.params.numbered("InstanceId")
    if not ids:
        raise missing("InstanceId")
    if len(ids) > 100:
        raise ApiError("InvalidParameter", 'The specified parameter "InstanceId" has over 100 elements.')
    return [call.get(Instance, item) for item in ids]


def _need_status(instances: list[Instance], *statuses: str) -> None:
    if any(instance.status not in statuses or instance.schedule for instance in instances):
        raise ApiError("IncorrectInstanceStatus")


def _move(call: Call, instances: list[Instance], *changes: tuple[float, str]) -> Answer:
    """Set instances on their way through states; the answer says where each came from and went."""
    rows = []
    for instance in instances:
        before = instance.status
        instance.plan(call.now, *changes)
        rows.append(
            {
                "InstanceId": instance.id,
                "Code": "200",
                "Message": "success",
                "PreviousStatus": before,
                "CurrentStatus": changes[0][1],
            }
        )
    return {"InstanceResponses": {"InstanceResponse": rows}}


def _start(call: Call, instances: list[Instance], dry_run: str) -> Answer:
    _need_status(instances, "Stopped")
    call.checked(dry_run)
    return _move(call, instances, (0, "Starting"), (call.account.durations.starting, "Running"))


def _stop(call: Call, instances: list[Instance], dry_run: str) -> Answer:
    _need_status(instances, "Running")
    mode = call.params.text("StoppedMode", "KeepCharging")
    call.checked(dry_run)
    for instance in instances:
        instance.stopped_mode = mode
    return _move(call, instances, (0, "Stopping"), (call.account.durations.stopping, "Stopped"))


def _reboot(call: Call, instances: list[Instance], dry_run: str) -> Answer:
    _need_status(instances, "Running")
    call.checked(dry_run)
    durations = call.account.durations
    return _move(call, instances, (0, "Stopping"), (durations.stopping, "Starting"), (durations.starting, "Running"))


def _delete(call: Call, instances: list[Instance], dry_run: str) -> None:
    force = call.params.flag("Force")
    for instance in instances:
        if instance.deletion_protection:
            raise ApiError("InvalidOperation.DeletionProtection")
        if instance.fresh and instance.schedule:
            raise ApiError("IncorrectInstanceStatus.Initializing")
        if instance.status != "Stopped" and not (force and instance.status == "Running"):
            raise ApiError("IncorrectInstanceStatus")
    call.checked(dry_run)
    for instance in instances:
        instance.release(call.account, call.now)
