"""What `up` would do, as values: from the inventory alone, and what of it is there already."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from provisioner import steps
from provisioner.deployment import Session
from provisioner.hosts.expected import unlisted_types
from provisioner.inventory.spec import Spec
from provisioner.operations import opening, places
from provisioner.operations.wiring import local_home
from provisioner.step import Plan, PlannedResource, Presence, RenderedFile


class PlannedStep(NamedTuple):
    """One thing that `up` will see to, on a host or (None) for the whole deployment."""

    phase: str
    host: str | None
    title: str


class StepFinding(NamedTuple):
    """What a look at one step's part of the world said. `step` is its name, `detail` what was seen."""

    step: str
    presence: Presence
    detail: str

    def as_json(self) -> dict[str, str | None]:
        """It as `plan --online --json` shows it."""
        return {"step": self.step, "presence": self.presence.value, "detail": self.detail or None}


@dataclass(frozen=True)
class PlanDocument:
    """A plan as values: what will be created, the steps in order, every rendered file, and what to be warned of."""

    name: str
    resources: tuple[PlannedResource, ...]
    steps: tuple[PlannedStep, ...]
    files: tuple[RenderedFile, ...]
    warnings: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """It as `plan --json` shows it."""
        return {
            "name": self.name,
            "resources": [{"kind": r.kind, "name": r.name, **r.attributes} for r in self.resources],
            "steps": [step._asdict() for step in self.steps],
            "files": [{"host": file.host, "path": file.path, "content": file.content} for file in self.files],
            "warnings": list(self.warnings),
        }


def document(plan: Plan) -> PlanDocument:
    """An executable plan as values."""
    described = [(phase, step.host, step.describe()) for phase, step in plan.steps()]
    descriptions = [description for _, _, description in described]
    return PlanDocument(
        name=plan.name,
        resources=tuple(resource for each in descriptions for resource in each.resources),
        steps=tuple(PlannedStep(phase, host, description.title) for phase, host, description in described),
        files=tuple(file for each in descriptions for file in each.files),
        warnings=tuple(warning for each in descriptions for warning in each.warnings),
    )


def plan(spec: Spec, *, online: bool = False) -> PlanDocument:
    """What `up` of an inventory would do. Nothing is changed.

    For provider: local this machine is asked for its CPUs; with `online` the service about instance types that the
    catalog lacks. Raises UsageError for what cannot work.
    """
    return document(steps.plan(described(spec, online=online)))


def described(spec: Spec, *, online: bool = False) -> Session:
    """A deployment that can only be described. For provider: local this machine is asked for its CPUs.

    `online`: the service is asked about instance types that the catalog lacks.
    """
    if spec.provider != "local":
        described_types = None
        if online and spec.creates_instances and unlisted_types(spec.cloud):
            from provisioner.steps.instance_types import ask

            _, cloud = places.of_inventory(spec, lambda text: None)
            described_types = ask(cloud, spec.cloud)
        return Session(spec, described_types=described_types)
    from provisioner.adapters.local import LocalConnection
    from provisioner.adapters.store import state_root
    from provisioner.hosts.facts import FACTS_SCRIPT, parse_facts

    facts = parse_facts(LocalConnection("localhost", home=Path.home()).run(FACTS_SCRIPT).output, "localhost")
    return Session(spec, local_facts=replace(facts, home=str(local_home(state_root() / spec.name))))


def existing(spec: Spec) -> Sequence[StepFinding]:
    """What of the plan is there already: each step checked, nothing changed. Empty for a deployment never started.

    Raises DriftError when the deployment lives elsewhere than the inventory leads to, or left on its hosts what this
    inventory would not look for.
    """
    from provisioner.adapters.store import FolderStore, list_deployments
    from provisioner.runner import Runner

    if spec.name not in list_deployments():
        return ()
    state = FolderStore.open(spec.name, create=False).state
    if state.removed_at:
        return ()
    if spec.creates_instances:
        opening.check_place(spec.name, state.place, places.of_inventory(spec, lambda text: None)[0])
    opening.check_hosts(state, spec)
    with opening.looking(opening.hasty(spec)) as session:
        findings = Runner(session, steps.plan(session), lambda event: None).preview()
    return tuple(StepFinding(step.name, finding.presence, finding.detail) for _, step, finding in findings)
