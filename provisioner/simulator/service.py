"""The service itself: one request in, one response out, under one lock."""

from __future__ import annotations

import hashlib
import json
import logging
import threading
import uuid
from collections import deque
from pathlib import Path
from typing import Any

import provisioner.simulator.state  # noqa: F401  (its modules register resources and actions)
from provisioner.simulator import actions
from provisioner.simulator.account import Account
from provisioner.simulator.actions import Action, Answer, Call
from provisioner.simulator.errors import ApiError
from provisioner.simulator.faults import Fault, Faults
from provisioner.simulator.parameters import Params
from provisioner.simulator.signature import Gate
from provisioner.simulator.wire import Request, Response, render

log = logging.getLogger(__name__)

REMEMBERED_CALLS = 100_000
BAD_GATEWAY = b"<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"
LOST = Response(0)
REFUSALS = {
    "throttle": "Throttling.User",
    "error": "ServiceUnavailable",
    "clock-skew": "InvalidTimeStamp.Expired",
    "expired-token": "InvalidSecurityToken.Expired",
}
UNTOUCHED = {"html", "lost-before", *REFUSALS}
"""Kinds of faults whose calls change nothing."""


class Service:
    """Verifies, logs, disturbs and answers calls on an account.

    Args:
        account: what the calls are about.
        gate: lets genuine requests through.
        faults: what goes wrong.
        lock: held while a request is worked on.
        state_file: where the account is kept after each change, if anywhere.
        stopping: cuts slow answers short.
    """

    def __init__(
        self,
        account: Account,
        gate: Gate,
        faults: Faults,
        lock: threading.RLock,
        *,
        state_file: Path | None = None,
        stopping: threading.Event,
    ) -> None:
        self.account = account
        self.faults = faults
        self.calls: deque[dict[str, Any]] = deque(maxlen=REMEMBERED_CALLS)
        self._gate = gate
        self._lock = lock
        self._state_file = state_file
        self._stopping = stopping

    def handle(self, request: Request) -> Response:
        """Answer a request. The response's `status` 0 means that none goes out."""
        request_id = str(uuid.uuid4()).upper()
        with self._lock:
            now = self.account.clock()
            entry = {
                "action": request.action,
                "version": request.version,
                "params": request.params,
                "status": 0,
                "code": "",
                "at": now,
                "request_id": request_id,
            }
            self.calls.append(entry)
            fault = None
            try:
                self._gate.admit(request)
                declared = actions.find(request.version, request.action)
                fault = self.faults.take(request.action)
                answer = self._answer(request, declared, fault, now)
                response = self._render(request, {"RequestId": request_id, **answer}, request_id)
            except _NoAnswer as no_answer:
                response = no_answer.response
            except ApiError as error:
                entry["code"] = error.code
                response = self._refuse(request, error, request_id)
            except Exception:  # a slip of the simulator's own: the client is told as the real service would tell it
                log.exception("%s failed", request.action)
                entry["code"] = "InternalError"
                response = self._refuse(request, ApiError("InternalError"), request_id)
            if fault and fault.kind == "lost-after":
                response = LOST
            entry["status"] = response.status
        if fault and fault.kind == "slow":
            self._stopping.wait(fault.delay_s)
        return response

    def settle(self) -> None:
        """Let time pass over the account also when nobody calls."""
        with self._lock:
            self.account.settle(self.account.clock())

    def save(self) -> None:
        """Keep the account in its file, if it has one."""
        if self._state_file is not None:
            self.account.save(self._state_file)

    def _answer(self, request: Request, declared: Action, fault: Fault | None, now: float) -> Answer:
        if fault and fault.kind in UNTOUCHED:
            raise _disturbance(fault)
        self.account.settle(now)
        call = Call(request.action, Params(request.params), self.account, self.faults, now, fault)
        answer = self._once(call, declared) if declared.idempotent else declared.handler(call)
        if declared.changes:
            self.account.settle(now)
            self.save()
        return answer

    def _once(self, call: Call, declared: Action) -> Answer:
        """Honour a ClientToken: the same call again gets the same answer, another one with that token is refused."""
        token = call.params.text("ClientToken")
        if not token or call.params.flag("DryRun"):
            return declared.handler(call)
        if len(token) > 64 or not token.isascii():
            raise ApiError("InvalidClientToken.ValueNotSupported")
        key = f"{call.action} {token}"
        digest = hashlib.sha256(json.dumps(call.params.compared(), sort_keys=True).encode()).hexdigest()
        seen = self.account.tokens.setdefault(key, {"digest": digest, "answer": None})
        if seen["digest"] != digest:
            raise ApiError("IdempotentParameterMismatch")
        if seen["answer"] is None:
            seen["answer"] = declared.handler(call)
        answer: Answer = seen["answer"]
        return answer

    def _refuse(self, request: Request, error: ApiError, request_id: str) -> Response:
        body = {
            "RequestId": request_id,
            "HostId": request.headers.get("host", ""),
            "Code": error.code,
            "Message": error.message,
            "Recommend": f"https://api.aliyun.com/troubleshoot?q={error.code}",
        }
        headers = {"x-acs-request-id": request_id, **error.headers}
        return render(body, root="Error", xml=request.xml, status=error.status, headers=headers)

    def _render(self, request: Request, answer: Answer, request_id: str) -> Response:
        return render(
            answer, root=f"{request.action}Response", xml=request.xml, headers={"x-acs-request-id": request_id}
        )


class _NoAnswer(Exception):
    """The call gets something that is not an answer of the service."""

    def __init__(self, response: Response) -> None:
        super().__init__(response.status)
        self.response = response


def _disturbance(fault: Fault) -> Exception:
    if fault.kind == "lost-before":
        return _NoAnswer(LOST)
    if fault.kind == "html":
        return _NoAnswer(Response(fault.status or 502, BAD_GATEWAY, "text/html"))
    headers = {"x-acs-retry-after": str(fault.retry_after_ms)} if fault.retry_after_ms else {}
    return ApiError(fault.code or REFUSALS[fault.kind], fault.message, fault.status, headers)
