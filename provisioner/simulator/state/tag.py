"""Tags of all resources, the account's limits, and who is calling."""

from __future__ import annotations

from provisioner.simulator.actions import ECS, STS, VPC, Answer, Call, action
from provisioner.simulator.errors import ApiError, missing
from provisioner.simulator.parameters import MAX_TAGS
from provisioner.simulator.state.key_pair import KeyPair
from provisioner.simulator.state.resource import Resource

TYPES = {
    "instance": "instances",
    "disk": "disks",
    "securitygroup": "security_groups",
    "keypair": "key_pairs",
    "vpc": "vpcs",
    "vswitch": "vswitches",
    "eip": "eips",
}


@action("TagResources", versions=(ECS, VPC))
def tag_resources(call: Call) -> Answer:
    """Set tags on up to 50 resources of one type."""
    found = _named(call)
    tags = call.params.tags()
    if not tags:
        raise ApiError("MissingParameter.Tags")
    if any(len({**resource.tags, **tags}) > MAX_TAGS for resource in found):
        raise ApiError("QuotaExceed.Tags")
    call.checked()
    for resource in found:
        resource.tags.update(tags)
    return {}


@action("UntagResources", versions=(ECS, VPC))
def untag_resources(call: Call) -> Answer:
    """Take tags from resources: those named by TagKey.N, or with All every one."""
    found = _named(call)
    keys = call.params.numbered("TagKey")
    every = call.params.flag("All") and not keys
    call.checked()
    for resource in found:
        resource.tags = {key: value for key, value in resource.tags.items() if not every and key not in keys}
    return {}


@action("ListTagResources", versions=(ECS, VPC))
def list_tag_resources(call: Call) -> Answer:
    """Tags by resource, or resources by tag."""
    table = _table(call)
    ids = call.params.numbered("ResourceId")
    if len(ids) > 50:
        raise ApiError("NumberExceed.ResourceIds")
    if not ids and not call.params.tag_filter():
        raise ApiError("MissingParameter.Tags")
    found = [resource for resource in call.seen(table) if not ids or _id(resource) in ids]
    page, paging = call.page(found)
    rows = [
        {
            "ResourceId": _id(resource),
            "ResourceType": call.params.text("ResourceType"),
            "TagKey": key,
            "TagValue": value,
        }
        for resource in page
        for key, value in resource.tags.items()
    ]
    return {"TagResources": {"TagResource": rows}, "NextToken": paging.get("NextToken", "")}


@action("DescribeAccountAttributes")
def describe_account_attributes(call: Call) -> Answer:
    """The account's limits."""
    quotas = call.account.quotas
    values = {
        "max-postpaid-instance-vcpu-count": quotas["vcpus"],
        "used-postpaid-instance-vcpu-count": sum(
            call.account.catalog.types[instance.instance_type].vcpus for instance in call.seen(call.account.instances)
        ),
        "instances": quotas["instances"],
        "max-security-groups": quotas["security-groups"],
        "max-key-pairs": quotas["key-pairs"],
    }
    wanted = call.params.numbered("AttributeName")
    items = [
        {"AttributeName": name, "AttributeValues": {"ValueItem": [{"Value": str(value)}]}}
        for name, value in values.items()
        if not wanted or name in wanted
    ]
    return {"AccountAttributeItems": {"AccountAttributeItem": items}}


@action("GetCallerIdentity", versions=(STS,))
def get_caller_identity(call: Call) -> Answer:  # noqa: ARG001
    """Whose key it is."""
    account = "1000000000000001"
    return {
        "AccountId": account,
        "UserId": account,
        "PrincipalId": account,
        "IdentityType": "Account",
        "Arn": f"acs:ram::{account}:root",
    }


def _table(call: Call) -> dict[str, Resource]:
    if "ResourceType" not in call.params:
        raise ApiError("MissingParameter.ResourceType")
    name = TYPES.get(call.params.text("ResourceType").lower())
    if name is None:
        raise ApiError("InvalidResourceType.NotFound")
    table: dict[str, Resource] = getattr(call.account, name)
    return table


def _id(resource: Resource) -> str:
    """A key pair is called by its name."""
    return resource.name if isinstance(resource, KeyPair) else resource.id


def _named(call: Call) -> list[Resource]:
    call.params.need("RegionId")
    table = _table(call)
    ids = call.params.numbered("ResourceId")
    if not ids:
        raise missing("ResourceId")
    if len(ids) > 50:
        raise ApiError("NumberExceed.ResourceIds")
    here = [resource for resource in table.values() if resource.region == call.region and resource.exists(call.now)]
    known = {_id(resource): resource for resource in here}
    if not set(ids) <= known.keys():
        raise ApiError("InvalidResourceId.NotFound")
    return [known[item] for item in ids]
