"""The service as a list of answers: a Send that needs no SDK and no socket."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from provisioner.adapters.ecs.api import Api
from provisioner.adapters.ecs.cloud import EcsCloud
from provisioner.adapters.ecs.sdk import Fault
from tests.support.clock import FakeClock

Answer = dict[str, Any] | Fault
Answers = list[Answer] | Callable[[Mapping[str, Any]], Answer]


class Script:
    """Answers each action from its own list, in order (the last one again and again), or by a function.

    `calls` holds what was asked: (action, parameters).
    """

    def __init__(self, **answers: Answers) -> None:
        self.answers = answers
        self.calls: list[tuple[str, dict[str, Any]]] = []

    def __call__(self, action: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        self.calls.append((action, dict(parameters)))
        answer = self._next(action, parameters)
        if isinstance(answer, Fault):
            raise answer
        return {"RequestId": "request", **answer}

    def _next(self, action: str, parameters: Mapping[str, Any]) -> Answer:
        answers = self.answers[action]
        if callable(answers):
            return answers(parameters)
        return answers.pop(0) if len(answers) > 1 else answers[0]

    def asked(self, action: str) -> list[dict[str, Any]]:
        return [parameters for name, parameters in self.calls if name == action]


class Bench:
    """An EcsCloud over a script, with its clock and what it told."""

    def __init__(self, script: Script, chance: float = 1.0) -> None:
        self.script = script
        self.clock = FakeClock()
        self.told: list[str] = []
        self.api = Api(script, "cn-hangzhou", self.clock, self.told.append, chance=lambda: chance)
        self.cloud = EcsCloud(self.api)
