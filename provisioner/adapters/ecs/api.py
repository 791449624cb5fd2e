"""What every call has in common: retries with a deadline, errors in the program's own classes, pages, and waiting."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, Final

from provisioner.adapters.ecs.codes import Verdict, verdict
from provisioner.adapters.ecs.sdk import Fault
from provisioner.errors import (
    CloudError,
    CloudRefusedError,
    CloudUnavailableError,
    CredentialsError,
    DeadlineError,
    NoCapacityError,
    TypeRefusedError,
)
from provisioner.ports import Clock
from provisioner.render import counted
from provisioner.waiting import wait_until

Send = Callable[[str, Mapping[str, Any]], dict[str, Any]]
"""Call an action once: its parameters in, the body of the answer out. Raises Fault."""

READ_S: Final = 60.0
CREATE_S: Final = 180.0
DELETE_S: Final = 600.0
FIRST_ANSWER_S: Final = 15.0  # nothing has ever answered: rather a wrong address than a passing trouble

BACKOFF_S: Final = 0.5
LONGEST_BACKOFF_S: Final = 10.0
POLL_S: Final = 0.5
LONGEST_POLL_S: Final = 10.0

UNREACHED = "check the network, HTTPS_PROXY and, if it is set, PROVISIONER_ENDPOINT"
REGIONLESS = frozenset(
    {"DeleteDisk", "DescribeInstanceTypes", "GetCallerIdentity", "ModifyInstanceAttribute", "ModifyInstanceNetworkSpec"}
)


@dataclass(frozen=True)
class Listing:
    """Where an action that lists puts its list, and how it is paged: by token, or by number up to the total."""

    path: str
    page_size: int
    numbered: bool = False
    next_at: str = "NextToken"


LISTINGS = {
    "DescribeCloudAssistantStatus": Listing("InstanceCloudAssistantStatusSet.InstanceCloudAssistantStatus", 50),
    "DescribeDisks": Listing("Disks.Disk", 100),
    "DescribeEipAddresses": Listing("EipAddresses.EipAddress", 100, numbered=True),
    "DescribeImages": Listing("Images.Image", 100, numbered=True),
    "DescribeInstanceTypes": Listing("InstanceTypes.InstanceType", 100),
    "DescribeInstances": Listing("Instances.Instance", 100),
    "DescribeInvocationResults": Listing(
        "Invocation.InvocationResults.InvocationResult", 50, next_at="Invocation.NextToken"
    ),
    "DescribeKeyPairs": Listing("KeyPairs.KeyPair", 50, numbered=True),
    "DescribeSecurityGroupAttribute": Listing("Permissions.Permission", 1000),
    "DescribeSecurityGroups": Listing("SecurityGroups.SecurityGroup", 100),
    "DescribeVpcs": Listing("Vpcs.Vpc", 50, numbered=True),
    "DescribeVSwitches": Listing("VSwitches.VSwitch", 50, numbered=True),
}


class Api:
    """The service's actions in one region, each retried as its answers deserve.

    Args:
        send: calls an action once.
        region: goes into every call that takes it.
        clock: the time.
        progress: is told what is being waited for.
        chance: a number from 0 to 1, for the jitter.
        endpoint: the host that is called, to be told.
    """

    def __init__(
        self,
        send: Send,
        region: str,
        clock: Clock,
        progress: Callable[[str], None],
        chance: Callable[[], float] = random.random,
        *,
        endpoint: str = "",
    ) -> None:
        self._send = send
        self.region = region
        self.endpoint = endpoint
        self.clock = clock
        self.progress = progress
        self._chance = chance
        self._answered = False

    def call(
        self, action: str, parameters: Mapping[str, Any], *, expect: str = "RequestId", patience_s: float = READ_S
    ) -> dict[str, Any]:
        """The body of the answer to `action`.

        A retry sends the very same parameters, so that a ClientToken keeps a creating call single. An answer without
        the field `expect` (`A.B`) counts as lost. {} means that what the call was for is so already.

        Raises CloudError's children: CloudUnavailableError when retrying for `patience_s` did not help.
        """
        region = {} if action in REGIONLESS else {"RegionId": self.region}
        parameters = {**region, **parameters}
        start, last_words = self.clock.monotonic(), ""
        for attempt in count():
            answer = self._try(action, parameters, expect)
            if not isinstance(answer, Fault):
                return answer
            meaning = judge(action, answer)
            if meaning.kind == "gone":
                return {}
            if meaning.kind != "retry":
                raise _refusal(action, parameters, answer, meaning) from answer
            pause = self._pause(attempt, answer)
            waited = self.clock.monotonic() - start
            # Once more in any case: the first call's answer may have been slower than its time-out, which is longer.
            patient_s = patience_s if self._answered or attempt == 0 else min(patience_s, FIRST_ANSWER_S)
            if waited + pause > patient_s:
                raise _unavailable(action, parameters, answer, meaning, waited) from answer
            words = f"trying {_called(action, parameters)} again: {answer.code or answer.message}"
            if attempt and words != last_words:
                self.progress(words)
                last_words = words
            self.clock.sleep(pause)
        raise AssertionError("the loop above has no end of its own")

    def _try(self, action: str, parameters: Mapping[str, Any], expect: str) -> dict[str, Any] | Fault:
        try:
            body = self._send(action, parameters)
            dig(body, expect)
        except Fault as fault:
            self._answered = self._answered or fault.status is not None
            return fault
        self._answered = True
        return body

    def _pause(self, attempt: int, fault: Fault) -> float:
        """Full jitter: anything up to a bound that doubles each time, on top of what the service asks for."""
        bound = min(LONGEST_BACKOFF_S, BACKOFF_S * 2.0 ** min(attempt, 10))
        return (fault.retry_after_s or 0.0) + self._chance() * bound

    def items(self, action: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Everything that a listing action lists, every page of it."""
        listing = LISTINGS[action]
        container = listing.path.rpartition(".")[0]
        items: list[dict[str, Any]] = []
        size = "PageSize" if listing.numbered else "MaxResults"
        page: dict[str, Any] = {"PageNumber": 1} if listing.numbered else {}
        while True:
            body = self.call(action, {**parameters, **page, size: listing.page_size}, expect=container)
            part = dig(body, listing.path, []) or []
            items += part
            if listing.numbered:
                if not part or len(items) >= int(body.get("TotalCount") or 0):
                    return items
                page = {"PageNumber": page["PageNumber"] + 1}
            else:
                token = dig(body, listing.next_at, "")
                if not token:
                    return items
                if page.get("NextToken") == token:
                    raise CloudUnavailableError(f"{action} gives the same page again and again", action=action)
                page = {"NextToken": token}

    def wait(
        self, noun: str, aim: str, ids: Sequence[str], look: Callable[[], Mapping[str, str]], *, deadline_s: float
    ) -> None:
        """Look until nothing is left to wait for, telling what is.

        Args:
            noun: what the ids are, in the singular.
            aim: what they are waited for to do ("to be gone").
            ids: all of them.
            look: those that are still waited for, each with its state.
            deadline_s: from now on, in seconds.

        Raises DeadlineError with what is still waited for.
        """
        last_line = ""

        def words(left: Mapping[str, str]) -> str:
            what = next(iter(left)) if len(ids) == 1 else f"{len(left)} of {counted(len(ids), noun)}"
            return f"waiting for {what} {aim}"

        def tell(left: Mapping[str, str]) -> None:
            nonlocal last_line
            states = ", ".join(sorted({state for state in left.values() if state}))
            line = words(left) + (f": {states}" if states else "")
            if line != last_line:
                self.progress(line)
                last_line = line

        left = wait_until(
            self.clock,
            look,
            lambda left: not left,
            deadline_s=deadline_s,
            pause_s=POLL_S,
            longest_pause_s=LONGEST_POLL_S,
            vary=lambda pause_s: pause_s * (0.75 + self._chance() / 2),
            meanwhile=tell,
        )
        if left:
            names = ", ".join(f"{id_} ({state})" if state else id_ for id_, state in left.items())
            raise DeadlineError(
                f"gave up {words(left)} after {deadline_s:.0f} s: {names}",
                "run the command again: it goes on from here; the console shows the state",
            )


_MISSING: Final = object()


def dig(body: Any, path: str, default: Any = _MISSING) -> Any:
    """The field `A.B.C` of an answer. One that is not there is a Fault, as if there were no answer, or the default."""
    for key in path.split("."):
        if not isinstance(body, dict) or body.get(key) is None:
            if default is not _MISSING:
                return default
            raise Fault("", f"the answer has no {path}")
        body = body[key]
    return body


def judge(action: str, fault: Fault) -> Verdict:
    """What to do about a fault: by its code, and its message where the code has several meanings.

    The HTTP status counts only for a code that nobody knows.
    """
    documented = verdict(action, fault.code, fault.message) if fault.code else None
    if documented:
        return documented
    lost = not fault.code and fault.status is None
    return Verdict("retry" if lost or (fault.status or 0) >= 500 or fault.retry_after_s else "give-up", "")


def tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Tags as a parameter."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def _called(action: str, parameters: Mapping[str, Any]) -> str:
    """The call in words: the action, and what it was about."""
    subjects = ("InstanceType", "InstanceId", "SecurityGroupId", "VSwitchId", "VpcId", "KeyPairName", "KeyPairNames")
    others = ("DiskId", "AllocationId", "ImageFamily", "ResourceId")
    about = next((parameters[key] for key in (*subjects, *others) if parameters.get(key)), "")
    if isinstance(about, list):
        about = about[0] if len(about) == 1 else f"{about[0]} and {len(about) - 1} more"
    zone = parameters.get("ZoneId", "")
    words = ", ".join(str(word) for word in (about, zone) if word)
    return f"{action} ({words})" if words else action


def _refusal(action: str, parameters: Mapping[str, Any], fault: Fault, meaning: Verdict) -> CloudError:
    kinds: dict[str, type[CloudError]] = {
        "next": NoCapacityError,
        "next-type": TypeRefusedError,
        "credentials": CredentialsError,
    }
    request = f" (request {fault.request_id})" if fault.request_id else ""
    remedy = meaning.remedy
    if fault.denied_action:
        remedy = f"have the account's administrator allow {fault.denied_action} for this RAM user or role"
    return kinds.get(meaning.kind, CloudRefusedError)(
        f"{_called(action, parameters)} was refused, {_told(fault)}{request}",
        remedy,
        code=fault.code,
        action=action,
        request_id=fault.request_id,
        reason=_told(fault),
    )


def _unavailable(
    action: str, parameters: Mapping[str, Any], fault: Fault, meaning: Verdict, waited_s: float
) -> CloudUnavailableError:
    return CloudUnavailableError(
        f"{_called(action, parameters)} did not succeed in {waited_s:.0f} s, {_told(fault)}",
        meaning.remedy or ("" if fault.code else UNREACHED),
        code=fault.code,
        action=action,
        request_id=fault.request_id,
    )


def _told(fault: Fault) -> str:
    return ": ".join(part for part in (fault.code, fault.message.rstrip(". ")) if part)
