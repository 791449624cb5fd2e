"""Cloud Assistant: shell commands inside instances, and their results."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from typing import Any

from provisioner.simulator import paging
from provisioner.simulator.account import Resource
from provisioner.simulator.actions import Answer, Call, action
from provisioner.simulator.answers import new_id, second
from provisioner.simulator.errors import ApiError, invalid, missing
from provisioner.simulator.state.instance import Instance

MAX_SCRIPT = 24 * 1024
MAX_OUTPUT = 24 * 1024


@dataclass
class Invocation(Resource, kind="invocation", table="invocations", not_found="InvalidInvokeId.NotFound", listed=False):
    """One command on some instances. `results` holds for each instance its status, exit code, output and times."""

    command_id: str
    script: str
    timeout_s: int
    folder: str
    user: str
    results: dict[str, dict[str, Any]] = field(default_factory=dict)

    def finish(self, instance_id: str, exit_code: int | None, output: str, now: float) -> None:
        """A command ended, or ran out of time (no exit code)."""
        raw = output.encode()
        result = self.results[instance_id]
        result["status"] = "Timeout" if exit_code is None else "Failed" if exit_code else "Success"
        result["exit_code"] = exit_code
        result["output"] = base64.b64encode(raw[:MAX_OUTPUT]).decode()
        result["dropped"] = max(0, len(raw) - MAX_OUTPUT)
        result["stopped"] = now


@action("DescribeCloudAssistantStatus")
def describe_cloud_assistant_status(call: Call) -> Answer:
    """Which instances' agents answer."""
    ids = call.params.numbered("InstanceId")
    instances = [instance for instance in call.seen(Instance) if not ids or instance.id in ids]
    page, paging = call.page(instances)
    rows = [
        {
            "InstanceId": instance.id,
            "CloudAssistantStatus": str(_answers(call, instance.id)).lower(),
            "CloudAssistantVersion": "2.2.4.1000",
            "OSType": "Linux",
            "SupportSessionManager": False,
        }
        for instance in page
    ]
    return {"InstanceCloudAssistantStatusSet": {"InstanceCloudAssistantStatus": rows}, **paging}


@action("RunCommand", idempotent=True)
def run_command(call: Call) -> Answer:
    """Run a shell script in up to 100 running instances; DescribeInvocationResults has what came of it."""
    account, params = call.account, call.params
    params.need("RegionId")
    if params.need("Type") != "RunShellScript":
        raise ApiError("InvalidCmdType.NotFound")
    script = _script(call)
    ids = params.numbered("InstanceId")
    if not ids:
        raise missing("InstanceId")
    if len(ids) > 100:
        raise ApiError("InstanceIds.ExceedLimit")
    instances = [call.get(Instance, item, "InvalidInstance.NotFound") for item in ids]
    if any(instance.status != "Running" for instance in instances):
        raise ApiError("InvalidInstance.NotMatch")
    timeout_s = params.number("Timeout", 60, least=1, most=86_400)
    if params.text("RepeatMode", "Once") != "Once":
        raise invalid("RepeatMode", "is not supported by the simulator")
    call.checked()
    invocation = Invocation(
        id=new_id("t"),
        serial=account.next_serial(),
        region=call.region,
        name=params.text("Name"),
        created=call.now,
        command_id=new_id("c"),
        script=script,
        timeout_s=timeout_s,
        folder=params.text("WorkingDir"),
        user=params.text("Username"),
    )
    account.add(invocation)
    for instance in instances:
        _begin(call, invocation, instance.id)
    return {"InvokeId": invocation.id, "CommandId": invocation.command_id}


@action("DescribeInvocationResults")
def describe_invocation_results(call: Call) -> Answer:
    """The results of a command, one for each instance."""
    params = call.params
    plain = params.text("ContentEncoding") == "PlainText"
    results = [
        (invocation, instance_id, result)
        for invocation in call.seen(Invocation)
        if params.text("InvokeId") in ("", invocation.id) and params.text("CommandId") in ("", invocation.command_id)
        for instance_id, result in invocation.results.items()
        if params.text("InstanceId") in ("", instance_id)
    ]
    page, about = paging.cut(params, results, least=1)
    rows = [_result_answer(*row, plain=plain) for row in page]
    return {"Invocation": {"InvocationResults": {"InvocationResult": rows}, **about}}


@action("DescribeInvocations")
def describe_invocations(call: Call) -> Answer:
    """Commands and how far they are."""
    params = call.params
    invocations = [
        invocation
        for invocation in call.seen(Invocation)
        if params.text("InvokeId") in ("", invocation.id)
        and params.text("CommandId") in ("", invocation.command_id)
        and params.text("InstanceId") in ("", *invocation.results)
    ]
    page, paging = call.page(invocations)
    with_output = params.flag("IncludeOutput")
    rows = [_invocation_answer(invocation, with_output) for invocation in page]
    return {"Invocations": {"Invocation": rows}, **paging}


def _answers(call: Call, instance_id: str) -> bool:
    return call.account.table(Instance)[instance_id].status == "Running" and call.account.fleet.ready(instance_id)


def _script(call: Call) -> str:
    text = call.params.need("CommandContent")
    if call.params.text("ContentEncoding", "Base64") == "Base64":
        try:
            text = base64.b64decode(text, validate=True).decode()
        except (ValueError, binascii.Error):
            raise ApiError("InvalidCmdContent.DecodeError") from None
    if len(text.encode()) > MAX_SCRIPT:
        raise ApiError("CmdContent.ExceedLimit")
    return text


def _begin(call: Call, invocation: Invocation, instance_id: str) -> None:
    account = call.account
    result = {"status": "Running", "exit_code": None, "output": "", "dropped": 0, "started": call.now, "stopped": None}
    invocation.results[instance_id] = result
    if not _answers(call, instance_id):
        invocation.results[instance_id] = {
            **result,
            "status": "Error",
            "error": "ClientNotRunning",
            "stopped": call.now,
        }
        return
    account.fleet.run_command(
        instance_id,
        invocation.script,
        invocation.timeout_s,
        lambda exit_code, output: invocation.finish(instance_id, exit_code, output, account.clock()),
        folder=invocation.folder,
        user=invocation.user,
    )


def _record_status(status: str) -> str:
    """How the service sums a status up."""
    return {"Running": "Running", "Success": "Finished", "Failed": "Finished"}.get(status, "Failed")


def _result_answer(invocation: Invocation, instance_id: str, result: dict[str, Any], *, plain: bool) -> Answer:
    output = result["output"]
    return {
        "InvokeId": invocation.id,
        "CommandId": invocation.command_id,
        "InstanceId": instance_id,
        "InvocationStatus": result["status"],
        "InvokeRecordStatus": _record_status(result["status"]),
        "ExitCode": result["exit_code"],
        "Output": base64.b64decode(output).decode("utf-8", "replace") if plain else output,
        "Dropped": result["dropped"],
        "ErrorCode": result.get("error", ""),
        "ErrorInfo": "the Cloud Assistant agent is not running" if "error" in result else "",
        "Repeats": 1,
        "Username": invocation.user or "root",
        "StartTime": second(result["started"]),
        "FinishedTime": second(result["stopped"]) if result["stopped"] is not None else "",
        "StopTime": "",
    }


def _invocation_answer(invocation: Invocation, with_output: bool) -> Answer:
    rows = [_result_answer(invocation, item, result, plain=False) for item, result in invocation.results.items()]
    statuses = {row["InvokeRecordStatus"] for row in rows}
    overall = "Running" if "Running" in statuses else statuses.pop() if len(statuses) == 1 else "PartialFailed"
    instances = [
        {
            "InstanceId": row["InstanceId"],
            "InvocationStatus": row["InvocationStatus"],
            "InstanceInvokeStatus": row["InvokeRecordStatus"],
            "ExitCode": row["ExitCode"],
            "Output": row["Output"] if with_output else None,
            "StartTime": row["StartTime"],
            "FinishTime": row["FinishedTime"],
            "ErrorCode": row["ErrorCode"],
        }
        for row in rows
    ]
    return {
        "InvokeId": invocation.id,
        "CommandId": invocation.command_id,
        "CommandName": invocation.name,
        "CommandType": "RunShellScript",
        "CommandContent": base64.b64encode(invocation.script.encode()).decode(),
        "CreationTime": second(invocation.created),
        "InvokeStatus": overall,
        "InvocationStatus": overall,
        "Timeout": invocation.timeout_s,
        "RepeatMode": "Once",
        "Timed": False,
        "InvokeInstances": {"InvokeInstance": instances},
    }
