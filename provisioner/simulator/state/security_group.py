"""Security groups and their rules."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from ipaddress import ip_network

from provisioner.simulator.account import Resource
from provisioner.simulator.actions import Answer, Call, action, matches
from provisioner.simulator.answers import new_id, second, tag_list
from provisioner.simulator.errors import ApiError, missing
from provisioner.simulator.state.instance import Instance
from provisioner.simulator.state.vpc import Vpc

MAX_RULES = 200
MATCHED = ("Direction", "IpProtocol", "PortRange", "SourceCidrIp", "DestCidrIp", "SourceGroupId", "Policy", "Priority")


@dataclass
class SecurityGroup(
    Resource,
    kind="security-group",
    table="security_groups",
    not_found="InvalidSecurityGroupId.NotFound",
    quotas={"security-groups": 100},
):
    """A security group. `rules` hold the fields of the answer's Permission; `vpc_id` is "" in the classic network."""

    vpc_id: str
    description: str
    type: str
    rules: list[dict[str, str]] = field(default_factory=list)

    def blocks_removal(self, other: Resource) -> str:
        """Its VPC stays, and the groups that its rules name."""
        if other.id == self.vpc_id:
            return "DependencyViolation.SecurityGroup"
        named = any(rule.get("SourceGroupId") == other.id for rule in self.rules)
        return "DependencyViolation" if named else ""


@action("CreateSecurityGroup", idempotent=True)
def create_security_group(call: Call) -> Answer:
    """Make a group that lets nothing in."""
    account, params = call.account, call.params
    region = params.need("RegionId") and call.region
    vpc_id = params.text("VpcId")
    if vpc_id:
        vpc = call.get(Vpc, vpc_id)
        if vpc.status(call.now) != "Available":
            raise ApiError("IncorrectVpcStatus")
    name = params.text("SecurityGroupName")
    _check_name(name)
    tags = params.tags()
    if len(call.existing(SecurityGroup)) >= account.quotas["security-groups"]:
        raise ApiError("QuotaExceed.SecurityGroup")
    call.checked()
    group = SecurityGroup(
        id=new_id("sg"),
        serial=account.next_serial(),
        region=region,
        name=name,
        created=call.now,
        tags=tags,
        vpc_id=vpc_id,
        description=params.text("Description"),
        type=params.text("SecurityGroupType", "normal"),
    )
    account.add(group)
    return {"SecurityGroupId": group.id}


@action("DeleteSecurityGroup")
def delete_security_group(call: Call) -> Answer:
    """Remove a group that no instance is in and no other group's rule names."""
    group = _group(call)
    call.check_removable(group)
    call.checked()
    group.released_at = call.now
    return {}


@action("DescribeSecurityGroups")
def describe_security_groups(call: Call) -> Answer:
    """Groups by id, name, VPC, tag."""
    params = call.params
    ids = params.json_list("SecurityGroupIds")
    if "SecurityGroupId" in params:
        ids = [params.text("SecurityGroupId")]
    matching = [
        group
        for group in call.seen(SecurityGroup)
        if (ids is None or group.id in ids)
        and params.text("VpcId") in ("", group.vpc_id)
        and matches(params.text("SecurityGroupName"), group.name)
    ]
    page, paging = call.page(matching)
    groups = [
        {
            "SecurityGroupId": group.id,
            "SecurityGroupName": group.name,
            "Description": group.description,
            "SecurityGroupType": group.type,
            "VpcId": group.vpc_id,
            "CreationTime": second(group.created),
            "RuleCount": len(group.rules),
            "Tags": tag_list(group.tags),
        }
        for group in page
    ]
    return {"SecurityGroups": {"SecurityGroup": groups}, "RegionId": call.region, **paging}


@action("DescribeSecurityGroupAttribute")
def describe_security_group_attribute(call: Call) -> Answer:
    """A group's rules, of one direction or both."""
    group = _group(call)
    direction = call.params.text("Direction", "all")
    rules = [rule for rule in group.rules if direction in ("all", rule["Direction"])]
    return {
        "SecurityGroupId": group.id,
        "SecurityGroupName": group.name,
        "Description": group.description,
        "RegionId": group.region,
        "VpcId": group.vpc_id,
        "InnerAccessPolicy": "Accept",
        "Permissions": {"Permission": rules},
        "NextToken": "",
    }


@action("ModifySecurityGroupAttribute")
def modify_security_group_attribute(call: Call) -> Answer:
    """Change a group's name and description."""
    group = _group(call)
    name = call.params.text("SecurityGroupName", group.name)
    _check_name(name)
    call.checked()
    group.name = name
    group.description = call.params.text("Description", group.description)
    return {}


@action("JoinSecurityGroup")
def join_security_group(call: Call) -> Answer:
    """Put an instance into one more group of its VPC."""
    group = _group(call)
    instance = call.need(Instance, "InstanceId")
    if group.vpc_id != instance.vpc_id:
        raise ApiError("InvalidParameter.Mismatch", "The group and the instance are in different VPCs.")
    if group.id in instance.security_group_ids:
        raise ApiError("InvalidInstanceId.AlreadyExists")
    call.checked()
    instance.security_group_ids = [*instance.security_group_ids, group.id]
    return {}


@action("LeaveSecurityGroup")
def leave_security_group(call: Call) -> Answer:
    """Take an instance out of a group; never out of its last."""
    group = _group(call)
    instance = call.need(Instance, "InstanceId")
    if group.id not in instance.security_group_ids:
        raise ApiError("InvalidInstanceId.NotFound")
    if len(instance.security_group_ids) == 1:
        raise ApiError("InstanceLastSecurityGroup")
    call.checked()
    instance.security_group_ids = [item for item in instance.security_group_ids if item != group.id]
    return {}


@action("AuthorizeSecurityGroup", idempotent=True)
def authorize_security_group(call: Call) -> Answer:
    """Let traffic in. A rule that is there already is left as it is."""
    return _authorize(call, "ingress")


@action("AuthorizeSecurityGroupEgress", idempotent=True)
def authorize_security_group_egress(call: Call) -> Answer:
    """Let traffic out."""
    return _authorize(call, "egress")


@action("RevokeSecurityGroup", idempotent=True)
def revoke_security_group(call: Call) -> Answer:
    """Take rules away, by what they say or by their ids. One that is not there is fine."""
    return _revoke(call, "ingress")


@action("RevokeSecurityGroupEgress", idempotent=True)
def revoke_security_group_egress(call: Call) -> Answer:
    """Take rules for outgoing traffic away."""
    return _revoke(call, "egress")


def _revoke(call: Call, direction: str) -> Answer:
    group = _group(call)
    ids = call.params.numbered("SecurityGroupRuleId")
    gone = [] if ids else [_read_rule(call, rule, direction) for rule in _given_rules(call)]
    call.checked()
    group.rules = [
        rule
        for rule in group.rules
        if rule["SecurityGroupRuleId"] not in ids and not any(_same(rule, other) for other in gone)
    ]
    return {}


def _check_name(name: str) -> None:
    if name and (not 2 <= len(name) <= 128 or not name[0].isalpha() or name.startswith(("http://", "https://"))):
        raise ApiError("InvalidSecurityGroupName.Malformed")


def _group(call: Call) -> SecurityGroup:
    return call.need(SecurityGroup, "SecurityGroupId")


def _authorize(call: Call, direction: str) -> Answer:
    group = _group(call)
    rules = [_read_rule(call, rule, direction) for rule in _given_rules(call)]
    added = [rule for rule in rules if not any(_same(rule, other) for other in group.rules)]
    if len(group.rules) + len(added) > MAX_RULES:
        raise ApiError("AuthorizationLimitExceed")
    call.checked()
    for rule in added:
        group.rules.append({**rule, "SecurityGroupRuleId": new_id("sgr"), "CreateTime": second(call.now)})
    return {}


def _given_rules(call: Call) -> list[dict[str, str]]:
    """The rules of a call in either form: Permissions.N.FIELD, or the fields themselves (deprecated, still works)."""
    given = call.params.structures("Permissions")
    if given:
        return given
    flat = {name: call.params.text(name) for name in (*MATCHED, "Description", "NicType") if name in call.params}
    if not flat:
        raise missing("Permissions")
    return [flat]


def _read_rule(call: Call, given: dict[str, str], direction: str) -> dict[str, str]:
    for name in ("IpProtocol", "PortRange"):
        if not given.get(name):
            raise missing(name)
    protocol = given["IpProtocol"].upper()
    if protocol not in ("TCP", "UDP", "ICMP", "ICMPV6", "GRE", "ALL"):
        raise ApiError("InvalidIpProtocol.ValueNotSupported")
    _check_ports(protocol, given["PortRange"])
    policy = given.get("Policy", "accept").lower()
    if policy not in ("accept", "drop"):
        raise ApiError("InvalidPolicy.Malformed")
    priority = given.get("Priority", "1")
    if not priority.isdigit() or not 1 <= int(priority) <= 100:
        raise ApiError("InvalidPriority.ValueNotSupported")
    peer = "SourceCidrIp" if direction == "ingress" else "DestCidrIp"
    cidr, group_id = given.get(peer, ""), given.get("SourceGroupId", "")
    if not cidr and not group_id:
        raise ApiError("MissingParameter.Source")
    if group_id:
        call.get(SecurityGroup, group_id, "InvalidSourceGroupId.NotFound")
    return {
        "Direction": direction,
        "IpProtocol": protocol,
        "PortRange": given["PortRange"],
        "SourceCidrIp": _read_cidr(cidr) if direction == "ingress" else "",
        "DestCidrIp": _read_cidr(cidr) if direction == "egress" else "",
        "SourceGroupId": group_id,
        "Policy": policy.capitalize(),
        "Priority": priority,
        "NicType": "intranet",
        "Description": given.get("Description", ""),
    }


def _check_ports(protocol: str, ports: str) -> None:
    match = re.fullmatch(r"(\d{1,5})/(\d{1,5})", ports)
    numbered = protocol in ("TCP", "UDP")
    if numbered and match and 1 <= int(match[1]) <= int(match[2]) <= 65535:
        return
    if not numbered and ports == "-1/-1":
        return
    raise ApiError("InvalidPortRange.Malformed")


def _read_cidr(text: str) -> str:
    if not text:
        return ""
    try:
        ip_network(text)
    except ValueError:
        raise ApiError("InvalidSourceCidrIp.Malformed") from None
    return text


def _same(one: dict[str, str], other: dict[str, str]) -> bool:
    return all(one[name] == other[name] for name in MATCHED)
