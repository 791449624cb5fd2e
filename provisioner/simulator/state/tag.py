"""Tags of all resources, the account's limits, and who is calling."""

from __future__ import annotations

from provisioner.simulator.account import KINDS, Resource
from provisioner.simulator.actions import STS, VPC, Answer, Call, action
from provisioner.simulator.errors import ApiError, missing
from provisioner.simulator.parameters import MAX_TAGS
from provisioner.simulator.state.instance import Instance

MOST_IDS = {False: 50, True: 20}
"""How many resources the tag actions take in one call: ECS's, and VPC's."""


@action("TagResources")
def tag_resources(call: Call) -> Answer:
    """Set tags on resources of one type."""
    return _tag(call, of_vpc=False)


@action("TagResources", versions=(VPC,))
def tag_vpc_resources(call: Call) -> Answer:
    """Set tags on resources of one type, of those that belong to VPC."""
    return _tag(call, of_vpc=True)


def _tag(call: Call, *, of_vpc: bool) -> Answer:
    resources = _named(call, of_vpc=of_vpc)
    tags = call.params.tags()
    if not tags:
        raise ApiError("MissingParameter.Tags")
    if any(len({**resource.tags, **tags}) > MAX_TAGS for resource in resources):
        raise ApiError("QuotaExceed.Tags")
    call.checked()
    for resource in resources:
        resource.tags.update(tags)
    return {}


@action("UntagResources")
def untag_resources(call: Call) -> Answer:
    """Take tags from resources: those named by TagKey.N, or with All every one."""
    return _untag(call, of_vpc=False)


@action("UnTagResources", versions=(VPC,))
def untag_vpc_resources(call: Call) -> Answer:
    """The same of VPC, which spells it so."""
    return _untag(call, of_vpc=True)


def _untag(call: Call, *, of_vpc: bool) -> Answer:
    resources = _named(call, of_vpc=of_vpc)
    keys = call.params.numbered("TagKey")
    if len(keys) > MAX_TAGS:
        raise ApiError("NumberExceed.Tags")
    every = call.params.flag("All") and not keys
    call.checked()
    for resource in resources:
        resource.tags = {key: value for key, value in resource.tags.items() if not every and key not in keys}
    return {}


@action("ListTagResources")
def list_tag_resources(call: Call) -> Answer:
    """Tags by resource, or resources by tag."""
    return _list(call, of_vpc=False)


@action("ListTagResources", versions=(VPC,))
def list_tag_vpc_resources(call: Call) -> Answer:
    """Tags by resource, or resources by tag, of what belongs to VPC."""
    return _list(call, of_vpc=True)


def _list(call: Call, *, of_vpc: bool) -> Answer:
    kind = _kind(call, of_vpc=of_vpc)
    ids = call.params.numbered("ResourceId")
    if len(ids) > MOST_IDS[of_vpc]:
        raise ApiError("NumberExceed.ResourceIds")
    if not ids and not call.params.tag_filter():
        raise ApiError("MissingParameter.Tags")
    resources = [resource for resource in call.seen(kind) if not ids or resource.api_id in ids]
    page, paging = call.page(resources)
    rows = [
        {
            "ResourceId": resource.api_id,
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
            call.account.catalog.types[instance.instance_type].vcpus for instance in call.seen(Instance)
        ),
        "instances": quotas["instances"],
        "max-security-groups": quotas["security-groups"],
        "max-key-pairs": quotas["key-pairs"],
    }
    names = call.params.numbered("AttributeName")
    items = [
        {"AttributeName": name, "AttributeValues": {"ValueItem": [{"Value": str(value)}]}}
        for name, value in values.items()
        if not names or name in names
    ]
    return {"AccountAttributeItems": {"AccountAttributeItem": items}}


@action("GetCallerIdentity", versions=(STS,))
def get_caller_identity(call: Call) -> Answer:
    """Whose key it is."""
    account = call.account.id
    return {
        "AccountId": account,
        "UserId": account,
        "PrincipalId": account,
        "IdentityType": "Account",
        "Arn": f"acs:ram::{account}:root",
    }


def _kind(call: Call, *, of_vpc: bool) -> type[Resource]:
    if "ResourceType" not in call.params:
        raise ApiError("MissingParameter.ResourceType")
    name = call.params.text("ResourceType").lower()
    for kind in KINDS:
        if kind.listed and kind.of_vpc == of_vpc and kind.kind.replace("-", "") == name:
            return kind
    raise ApiError("InvalidResourceType.NotFound")


def _named(call: Call, *, of_vpc: bool) -> list[Resource]:
    call.params.need("RegionId")
    kind = _kind(call, of_vpc=of_vpc)
    ids = call.params.numbered("ResourceId")
    if not ids:
        raise missing("ResourceId")
    if len(ids) > MOST_IDS[of_vpc]:
        raise ApiError("NumberExceed.ResourceIds")
    resources = {resource.api_id: resource for resource in call.existing(kind)}
    if not set(ids) <= resources.keys():
        raise ApiError("InvalidResourceId.NotFound")
    return [resources[item] for item in ids]
