"""Cloud Assistant: commands on instances without logging into them."""

from __future__ import annotations

import base64
import binascii
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from provisioner.adapters.ecs.action_group import LONGEST_BATCH, ActionGroup, batches
from provisioner.adapters.ecs.api import CREATE_S
from provisioner.adapters.ecs.codes import verdict
from provisioner.errors import DeadlineError
from provisioner.resources import CommandResult
from provisioner.waiting import wait_until

AGENT_S = 300.0
LEAST_TIMEOUT_S = 10  # the service takes no less
MARGIN_S = 60.0
RUN_AGAIN_S = 5.0
UNFINISHED = frozenset({"", "Pending", "Scheduled", "Running", "Stopping"})
HAS_EXIT_CODE = frozenset({"Success", "Failed"})
STATUS_BATCH = 50  # the most that DescribeCloudAssistantStatus gives at once


class Assistant(ActionGroup):
    """RunCommand, and waiting for its results."""

    def run_command(self, instance_ids: Sequence[str], script: str, *, timeout_s: int = 60) -> dict[str, CommandResult]:
        """RunCommand on up to 100 instances at once, as root; waits for the agent and for all results.

        Raises DeadlineError when an agent does not start, or a result does not come, in time.
        """
        ids = list(dict.fromkeys(instance_ids))
        if not 1 <= len(ids) <= LONGEST_BATCH:
            raise ValueError(f"RunCommand takes 1 to {LONGEST_BATCH} instances, not {len(ids)}")
        self._wait_for_agents(ids)
        results: dict[str, CommandResult] = {}

        def run() -> list[str]:
            """Those that it has not run on yet."""
            left = [id_ for id_ in ids if id_ not in results or _away(results[id_])]
            results.update(self._run(left, script, max(timeout_s, LEAST_TIMEOUT_S)))
            return [id_ for id_ in left if _away(results[id_])]

        left = wait_until(
            self._api.clock,
            run,
            lambda left: not left,
            deadline_s=AGENT_S,
            pause_s=RUN_AGAIN_S,
            longest_pause_s=RUN_AGAIN_S,
        )
        if left:
            first = results[left[0]]
            raise DeadlineError(
                f"Cloud Assistant did not run on {', '.join(left)} in {AGENT_S:.0f} s: {first.error_code}",
                _away(first),
            )
        return results

    def _wait_for_agents(self, ids: Sequence[str]) -> None:
        ready: set[str] = set()

        def without_agent() -> dict[str, str]:
            ready.update(self._with_agent([id_ for id_ in ids if id_ not in ready]))
            return {id_: "" for id_ in ids if id_ not in ready}

        self._api.wait("instance", "to start the Cloud Assistant agent", ids, without_agent, deadline_s=AGENT_S)

    def _with_agent(self, ids: Sequence[str]) -> set[str]:
        return {
            str(item["InstanceId"])
            for batch in batches(ids, STATUS_BATCH)
            for item in self._api.items("DescribeCloudAssistantStatus", {"InstanceId": batch})
            if str(item.get("CloudAssistantStatus")).lower() == "true"
        }

    def _run(self, ids: Sequence[str], script: str, timeout_s: int) -> dict[str, CommandResult]:
        asked = {
            "Type": "RunShellScript",
            "Name": "provisioner",
            "CommandContent": base64.b64encode(script.encode()).decode(),
            "ContentEncoding": "Base64",
            "RepeatMode": "Once",
            "Timeout": timeout_s,
            "InstanceId": list(ids),
            "ClientToken": str(uuid.uuid4()),
        }
        invocation = self._api.call("RunCommand", asked, expect="InvokeId", patience_s=CREATE_S)["InvokeId"]
        results: dict[str, CommandResult] = {}

        def unfinished() -> dict[str, str]:
            for item in self._api.items("DescribeInvocationResults", {"InvokeId": invocation}):
                results[str(item.get("InstanceId"))] = _result(item)
            states = {id_: results[id_].state if id_ in results else "" for id_ in ids}
            return {id_: state for id_, state in states.items() if state in UNFINISHED}

        self._api.wait("instance", "to run a command", ids, unfinished, deadline_s=timeout_s + MARGIN_S)
        return {id_: results[id_] for id_ in ids}


def _away(result: CommandResult) -> str:
    """What to do about an agent that could not run the command, but may soon; "" for any other result."""
    documented = verdict("RunCommand", result.error_code) if result.error_code else None
    return documented.remedy if documented and documented.kind == "retry" else ""


def _result(item: Mapping[str, Any]) -> CommandResult:
    state = str(item.get("InvocationStatus") or item.get("InvokeRecordStatus") or "")
    exit_code = item.get("ExitCode")
    return CommandResult(
        instance_id=str(item.get("InstanceId")),
        state=state,
        exit_code=int(exit_code) if exit_code is not None and state in HAS_EXIT_CODE else None,
        output=_decoded(str(item.get("Output") or "")),
        error_code=str(item.get("ErrorCode") or ""),
    )


def _decoded(output: str) -> str:
    try:
        return base64.b64decode(output, validate=True).decode(errors="replace")
    except binascii.Error:
        return output
