"""Retries, deadlines, pages and waiting, on a clock that nobody waits for."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from provisioner.adapters.ecs.api import BACKOFF_S, FIRST_ANSWER_S, LONGEST_BACKOFF_S, READ_S
from provisioner.adapters.ecs.sdk import Fault
from provisioner.errors import (
    CloudError,
    CloudRefusedError,
    CloudUnavailableError,
    CredentialsError,
    DeadlineError,
    NoCapacityError,
)
from tests.adapters.ecs.script import Bench, Script

LOST = Fault("", "the answer takes too long")
THROTTLED = Fault("Throttling.User", "Request was denied due to user flow control.", status=400, request_id="R1")


def refused(code: str, status: int = 403) -> Fault:
    return Fault(code, "No.", status=status, request_id="R2")


# ------------------------------------------------------------------------------------------------------- retries


@pytest.mark.parametrize(
    "fault",
    [
        LOST,
        THROTTLED,
        Fault("Throttling.Api", "", status=429),
        Fault("InternalError", "", status=500),
        Fault("ServiceUnavailable", "", status=503),
        Fault("Some.NewCode", "", status=502),
        Fault("Some.NewCode", "", status=400, retry_after_s=1),
        Fault("SignatureNonceUsed", "", status=400),
    ],
    ids=str,
)
def test_what_time_can_mend_is_tried_again_with_the_same_parameters(fault: Fault) -> None:
    """The very same parameters, so the same ClientToken: a retry after a lost answer makes nothing twice."""
    bench = Bench(Script(CreateVpc=[fault, fault, {"VpcId": "vpc-1"}]))
    body = bench.api.call("CreateVpc", {"VpcName": "demo", "ClientToken": "t"}, expect="VpcId")
    assert body["VpcId"] == "vpc-1"
    assert bench.script.calls == [("CreateVpc", {"RegionId": "cn-hangzhou", "VpcName": "demo", "ClientToken": "t"})] * 3


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (refused("OperationDenied.NoStock"), NoCapacityError),
        (refused("QuotaExceed.ElasticQuota"), CloudRefusedError),
        (refused("InvalidAccessKeyId.NotFound", 404), CredentialsError),
        (refused("Some.NewCode"), CloudRefusedError),
        (Fault("", "not JSON of the API", status=404), CloudRefusedError),
        # By code: the status of these says "retry", or "gone", and must not be believed.
        (refused("QuotaExceed.ElasticQuota", 500), CloudRefusedError),
        (refused("OperationDenied.NoStock", 503), NoCapacityError),
    ],
    ids=str,
)
def test_what_time_cannot_mend_ends_at_once(fault: Fault, kind: type[CloudError]) -> None:
    bench = Bench(Script(RunInstances=[fault]))
    with pytest.raises(kind):
        bench.api.call("RunInstances", {})
    assert len(bench.script.calls) == 1
    assert bench.clock.slept == []


def test_a_refusal_says_what_was_asked_the_code_the_message_and_the_request() -> None:
    """Also for a code that the program has never heard of."""
    bench = Bench(Script(RunInstances=[Fault("Some.NewCode", "It cannot be.", status=403, request_id="4711")]))
    with pytest.raises(CloudRefusedError) as caught:
        bench.api.call("RunInstances", {"InstanceType": "ecs.hfc7.large", "ZoneId": "cn-hangzhou-i"})
    assert str(caught.value) == (
        "RunInstances (ecs.hfc7.large, cn-hangzhou-i) was refused, Some.NewCode: It cannot be (request 4711)"
    )
    assert (caught.value.code, caught.value.action, caught.value.request_id) == ("Some.NewCode", "RunInstances", "4711")


def test_a_missing_permission_is_named() -> None:
    fault = Fault("Forbidden.RAM", "Not authorized.", status=403, denied_action="ecs:RunInstances")
    bench = Bench(Script(RunInstances=[fault]))
    with pytest.raises(CloudRefusedError, match="allow ecs:RunInstances"):
        bench.api.call("RunInstances", {})


def test_the_pauses_grow_to_a_bound_and_end_at_the_deadline() -> None:
    bench = Bench(Script(DescribeZones=[THROTTLED]), chance=1.0)
    with pytest.raises(CloudUnavailableError) as caught:
        bench.api.call("DescribeZones", {})
    slept = bench.clock.slept
    assert slept[0] == BACKOFF_S
    assert all(later == min(2 * sooner, LONGEST_BACKOFF_S) for sooner, later in pairwise(slept))
    assert READ_S - LONGEST_BACKOFF_S <= bench.clock.monotonic() <= READ_S
    assert caught.value.code == "Throttling.User"
    assert caught.value.remedy


def test_the_pauses_are_jittered_over_their_whole_length() -> None:
    """Full jitter: machines that failed together do not come back together."""
    bench = Bench(Script(DescribeZones=[THROTTLED, THROTTLED, THROTTLED, {}]), chance=0.25)
    bench.api.call("DescribeZones", {})
    assert bench.clock.slept == [0.125, 0.25, 0.5]


def test_the_service_is_given_the_time_it_asks_for() -> None:
    """x-acs-retry-after, in the Fault as seconds."""
    fault = Fault("Throttling.User", "", status=429, retry_after_s=7.0)
    bench = Bench(Script(DescribeZones=[fault, {}]), chance=0.0)
    bench.api.call("DescribeZones", {})
    assert bench.clock.slept == [7.0]


def test_a_first_answer_slower_than_its_time_out_is_waited_for_once_more() -> None:
    """The SDK's time-out for reading is longer than the patience with an endpoint that has never answered."""
    bench = Bench(Script())
    answers = iter([LOST, {"VpcId": "vpc-1"}])

    def slow(parameters: Any) -> Any:
        bench.clock.sleep(FIRST_ANSWER_S + 15)
        return next(answers)

    bench.script.answers["CreateVpc"] = slow
    assert bench.api.call("CreateVpc", {}, expect="VpcId")["VpcId"] == "vpc-1"


def test_an_endpoint_that_never_answers_is_given_up_early() -> None:
    """A wrong address is not worth a minute, but an answer once heard is."""
    bench = Bench(Script(DescribeZones=[LOST]))
    with pytest.raises(CloudUnavailableError, match="PROVISIONER_ENDPOINT"):
        bench.api.call("DescribeZones", {})
    assert bench.clock.monotonic() <= FIRST_ANSWER_S

    bench = Bench(Script(DescribeVpcs=[{"Vpcs": {}}], DescribeZones=[LOST]))
    bench.api.call("DescribeVpcs", {}, expect="Vpcs")
    with pytest.raises(CloudUnavailableError):
        bench.api.call("DescribeZones", {})
    assert bench.clock.monotonic() > FIRST_ANSWER_S


def test_an_answer_without_the_field_that_counts_is_a_lost_one() -> None:
    """A 200 of the wrong shape must not pass for a VPC without an id."""
    bench = Bench(Script(CreateVpc=[{}, {"VpcId": "vpc-1"}]))
    assert bench.api.call("CreateVpc", {}, expect="VpcId")["VpcId"] == "vpc-1"
    assert len(bench.script.calls) == 2


def test_gone_already_is_as_good_as_deleted() -> None:
    bench = Bench(Script(DeleteVpc=[refused("InvalidVpcId.NotFound", 404)]))
    assert bench.api.call("DeleteVpc", {"VpcId": "vpc-1"}) == {}


def test_a_second_retry_is_told_once() -> None:
    """One passing trouble is not worth a line; one that lasts is worth one, not ten."""
    bench = Bench(Script(DescribeZones=[THROTTLED, {}]))
    bench.api.call("DescribeZones", {})
    assert bench.told == []
    bench = Bench(Script(DescribeZones=[THROTTLED, THROTTLED, THROTTLED, THROTTLED, {}]))
    bench.api.call("DescribeZones", {})
    assert bench.told == ["trying DescribeZones again: Throttling.User"]


# --------------------------------------------------------------------------------------------------------- pages


def by_token(parameters: Any) -> dict[str, Any]:
    number = int(parameters.get("NextToken", "0"))
    return {
        "Instances": {"Instance": [{"InstanceId": f"i-{number}-{i}"} for i in range(100)]},
        "NextToken": str(number + 1) if number < 2 else "",
    }


def by_number(parameters: Any) -> dict[str, Any]:
    start = (parameters["PageNumber"] - 1) * parameters["PageSize"]
    return {
        "Vpcs": {"Vpc": [{"VpcId": f"vpc-{i}"} for i in range(start, min(start + parameters["PageSize"], 120))]},
        "TotalCount": 120,
    }


def test_every_page_is_read_by_token() -> None:
    bench = Bench(Script(DescribeInstances=by_token))
    assert len({item["InstanceId"] for item in bench.api.items("DescribeInstances", {})}) == 300
    assert [call.get("NextToken") for call in bench.script.asked("DescribeInstances")] == [None, "1", "2"]
    assert {call["MaxResults"] for call in bench.script.asked("DescribeInstances")} == {100}


def test_every_page_is_read_by_number() -> None:
    bench = Bench(Script(DescribeVpcs=by_number))
    assert len({item["VpcId"] for item in bench.api.items("DescribeVpcs", {})}) == 120
    assert [call["PageNumber"] for call in bench.script.asked("DescribeVpcs")] == [1, 2, 3]


def test_a_token_that_does_not_move_on_is_an_error() -> None:
    page = {"Instances": {"Instance": [{"InstanceId": "i-1"}]}, "NextToken": "same"}
    with pytest.raises(CloudUnavailableError, match="same page"):
        Bench(Script(DescribeInstances=[page])).api.items("DescribeInstances", {})


def test_an_error_is_never_an_empty_list() -> None:
    """Neither a refusal on the second page nor an answer without a list."""
    first = {"Instances": {"Instance": [{"InstanceId": "i-1"}]}, "NextToken": "2"}
    with pytest.raises(CloudRefusedError):
        Bench(Script(DescribeInstances=[first, refused("Forbidden.RAM")])).api.items("DescribeInstances", {})
    with pytest.raises(CloudUnavailableError):
        Bench(Script(DescribeInstances=[{}])).api.items("DescribeInstances", {})
    assert Bench(Script(DescribeInstances=[{"Instances": {}}])).api.items("DescribeInstances", {}) == []


# ------------------------------------------------------------------------------------------------------- waiting


def test_waiting_says_what_for_and_only_what_is_new() -> None:
    bench = Bench(Script())
    looks = iter([{"i-1": "Pending", "i-2": "Pending"}, {"i-1": "Starting", "i-2": "Pending"}, {"i-2": "Pending"}] * 1)
    states = [*looks, {"i-2": "Pending"}, {}]
    bench.api.wait("instance", "to run", ["i-1", "i-2", "i-3"], lambda: states.pop(0), deadline_s=60)
    assert bench.told == [
        "waiting for 2 of 3 instances to run: Pending",
        "waiting for 2 of 3 instances to run: Pending, Starting",
        "waiting for 1 of 3 instances to run: Pending",
    ]


def test_nothing_to_wait_for_takes_no_time() -> None:
    bench = Bench(Script())
    bench.api.wait("instance", "to run", ["i-1"], dict, deadline_s=60)
    assert (bench.clock.slept, bench.told) == ([], [])


def test_a_wait_ends_at_its_deadline_and_names_what_is_left() -> None:
    bench = Bench(Script())
    with pytest.raises(DeadlineError) as caught:
        bench.api.wait("instance", "to be gone", ["i-1", "i-2"], lambda: {"i-2": "Stopping"}, deadline_s=60)
    assert "i-2 (Stopping)" in caught.value.message
    assert "i-1" not in caught.value.message
    assert 60 <= bench.clock.monotonic() < 60 + 13
    assert caught.value.remedy
