"""Carries a plan out: preview, up, down. Hosts side by side, every failure kept, events out.

`up` checks each step and applies what is absent; `down` undoes what does not go by itself, in reverse, then looks
again by tag. Neither keeps state of its own: what is there is asked of the world each time, which makes resuming the
same call.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Literal

from provisioner.deployment import Session
from provisioner.errors import (
    ConnectError,
    DeadlineError,
    DriftError,
    HostError,
    HostKeyError,
    InterruptedRun,
    LeftoverError,
    PartialFailureError,
    ProvisionerError,
    StateError,
)
from provisioner.fan_out import fan_out
from provisioner.render import counted
from provisioner.resources import KINDS, Kind, Resource
from provisioner.step import Finding, Phase, Plan, Presence, Step
from provisioner.waiting import wait_until

SHOWS_S = 30.0
"""How long what was made may take to show: what the cloud lists lags behind what it did."""


@dataclass(frozen=True)
class Event:
    """Something that happened, for the console, for `--json` and for events.jsonl.

    An error is something that could not be noted down, or told, without stopping the rest; a notice a sentence for the
    person.
    """

    kind: Literal["phase", "start", "present", "done", "failed", "undone", "progress", "notice", "error"]
    text: str = ""
    phase: str = ""
    host: str | None = None
    step: str = ""
    seconds: float | None = None

    def as_json(self) -> dict[str, Any]:
        """The fields that say something."""
        return {key: value for key, value in asdict(self).items() if value not in ("", None)}


@dataclass(frozen=True)
class Outcome:
    """What an `up` did: how many steps it changed, how many were there already."""

    changed: int
    present: int


@dataclass(frozen=True)
class Failure:
    """A step that could not be undone, and why."""

    step: Step
    error: ProvisionerError


class Runner:
    """Carries out one plan of one deployment. `emit` is called from several threads."""

    def __init__(self, session: Session, plan: Plan, emit: Callable[[Event], None]) -> None:
        self.session = session
        self.plan = plan
        self.emit = emit
        self.forgotten: list[Failure] = []
        self._stop = threading.Event()

    # ------------------------------------------------------------------------------------------------- preview

    def preview(self) -> list[tuple[str, Step, Finding]]:
        """Check every step, change nothing; hosts side by side. What cannot be looked at is unknown, with the reason.

        That is what is behind something absent, and everything on a host that cannot be reached. An error of the cloud
        is raised.
        """
        findings: list[tuple[str, Step, Finding]] = []
        blocked: set[str | None] = set()
        for phase in self.plan.phases:
            by_host: dict[str | None, list[Step]] = {None: []}
            for step in phase.steps:
                by_host.setdefault(step.host, []).append(step)
            by_name = self._looked_at(phase.name, blocked, by_host.pop(None))
            look = partial(self._looked_at, phase.name, blocked)
            for each in fan_out(look, list(by_host.values()), on_interrupt=self.session.close):
                by_name |= each
            findings += [(phase.name, step, by_name[step.name]) for step in phase.steps]
        return findings

    def _looked_at(self, phase: str, blocked: set[str | None], steps: Sequence[Step]) -> dict[str, Finding]:
        """The findings of the steps of one host (or of none), in order; adds to what is blocked."""
        findings: dict[str, Finding] = {}
        for step in steps:
            if None in blocked or step.host in blocked:
                finding = Finding(Presence.UNKNOWN)
            else:
                try:
                    finding = step.check()
                except DriftError as error:
                    finding = Finding(Presence.DRIFTED, error.message)
                except (StateError, HostError) as error:
                    # Something is asked for that an absent step would have made; or the host does not answer.
                    finding = Finding(Presence.UNKNOWN, error.message)
            # The network's parts can be looked for one by one; without instances there is nothing to look at.
            if finding.presence is not Presence.PRESENT and phase != "network":
                blocked.add(step.host)
            findings[step.name] = finding
        return findings

    # ------------------------------------------------------------------------------------------------- up

    def up(self) -> Outcome:
        """Make everything present.

        Raises DriftError before anything is changed in a step that differs, PartialFailureError at the end of a phase
        in which hosts failed, InterruptedRun on Ctrl-C.
        """
        outcomes = [self._phase(phase) for phase in self.plan.phases]
        return Outcome(sum(o.changed for o in outcomes), sum(o.present for o in outcomes))

    def _phase(self, phase: Phase) -> Outcome:
        self.emit(Event("phase", phase.name, phase=phase.name))
        changed = [self._ensure(phase.name, step) for step in phase.steps if step.host is None]
        by_host: dict[str, list[Step]] = {}
        for step in phase.steps:
            if step.host is not None:
                by_host.setdefault(step.host, []).append(step)
        if by_host:
            changed += self._hosts(phase.name, by_host)
        return Outcome(sum(changed), len(changed) - sum(changed))

    def _hosts(self, phase: str, by_host: Mapping[str, Sequence[Step]]) -> list[bool]:
        """Each host's steps in order, up to the first that fails; what they changed."""
        failures: list[tuple[str, ProvisionerError]] = []

        def work(steps: Sequence[Step]) -> list[bool]:
            changed: list[bool] = []
            step = steps[0]
            try:
                for step in steps:
                    changed.append(self._ensure(phase, step))
            except ProvisionerError as error:
                if not self._stop.is_set():
                    failures.append((step.name, error))
                    self.emit(Event("failed", str(error), phase, step.host, step.name))
            return changed

        outcomes = fan_out(work, list(by_host.values()), on_interrupt=partial(self._interrupt, self._stop))
        if len(failures) == 1 and len(by_host) == 1:
            raise failures[0][1]
        if failures:
            raise PartialFailureError(f"{len(failures)} of {len(by_host)} hosts failed", failures)
        return [done for changed in outcomes for done in changed]

    def _interrupt(self, stop: threading.Event) -> None:
        """Ctrl-C: no further step is begun, and what the hosts are at ends with its connection."""
        stop.set()
        self.session.close()

    def _ensure(self, phase: str, step: Step) -> bool:
        """Make one step present; whether anything had to be changed."""
        clock = self.session.ports.clock
        begin = clock.monotonic()
        title = step.describe().title
        self.emit(Event("start", title, phase, step.host, step.name))
        finding = self._checked(step)
        self._go_on()
        if finding.presence is Presence.PRESENT:
            detail = f"{title} ({finding.detail})" if finding.detail else title
            self.emit(Event("present", detail, phase, step.host, step.name))
            return False
        try:
            self._apply(step, title)
        except HostKeyError:
            raise
        except ConnectError as error:
            # The line was cut: what the command did is not known. Look (which connects anew); repeat only if absent.
            self._go_on()
            self.emit(Event("progress", f"{error}; connecting again"))
            if self._checked(step).presence is not Presence.PRESENT:
                self._apply(step, title)
        finding = wait_until(clock, partial(self._checked, step), _is_present, deadline_s=SHOWS_S)
        if finding.presence is not Presence.PRESENT:
            raise DeadlineError(
                f"{title}: done, and yet not there ({finding.detail or 'absent'})",
                f"`provisioner up` tries again; events.jsonl in {self.session.store.folder} has the details",
            )
        detail = f"{title} ({finding.detail})" if finding.detail else title
        seconds = round(clock.monotonic() - begin, 1)
        self.emit(Event("done", detail, phase, step.host, step.name, seconds))
        return True

    def _apply(self, step: Step, title: str) -> None:
        with step.recorded(title):
            step.apply()

    def _go_on(self) -> None:
        """Raises InterruptedRun in the hosts' threads once Ctrl-C was pressed: nothing is begun any more."""
        if self._stop.is_set():
            raise InterruptedRun("interrupted")

    def _checked(self, step: Step) -> Finding:
        self._go_on()
        finding = step.check()
        if finding.observed:
            self.session.journal.observe(finding.observed)
        if finding.presence is Presence.DRIFTED:
            name = self.session.deployment.name
            raise DriftError(
                f"{step.describe().title}: what exists differs from the inventory: {finding.detail}",
                f"change the inventory back, or `provisioner down {name}` and `up` again",
            )
        return finding

    # ------------------------------------------------------------------------------------------------- down

    def down(self, *, forget_hosts: bool = False) -> list[Resource]:
        """Undo what is `undone`, in reverse order, hosts side by side, then look again by tag; what was removed.

        One failure does not stop the rest, nor does a disk on which nothing can be noted any more. Raises LeftoverError
        that lists what is still there, or the failures; with `forget_hosts` those of hosts are kept in `forgotten`
        alone.
        """
        self.session.begin_removal()
        has_cloud = self.session.has_cloud
        failures: list[Failure] = []
        if has_cloud:
            _ = self.session.cloud  # verified to be the one it lives in, before anything is looked up
            self.session.journal.await_lost_replies(self._of_ours)
        for phase in reversed(self.plan.phases):
            failures += self._undo_phase(phase)
        if forget_hosts:
            self.forgotten = [failure for failure in failures if failure.step.host is not None]
            failures = [failure for failure in failures if failure.step.host is None]
        name = self.session.deployment.name
        if has_cloud:
            left = self._found()
            if left:
                listing = "\n".join(f"  {resource.kind} {resource.id} {resource.name}" for resource in left)
                reasons = "".join(f"\n  {failure.step.name}: {failure.error}" for failure in failures)
                raise LeftoverError(
                    f"removing {name} left {counted(len(left), 'resource')} behind:\n{listing}{reasons}\n",
                    f"run `provisioner down {name}` again",
                )
        if failures:
            on_hosts = any(failure.step.host is not None for failure in failures)
            raise PartialFailureError(
                f"{counted(len(failures), 'step')} could not be undone",
                [(failure.step.name, failure.error) for failure in failures],
                f"`provisioner down {name}` tries again; with --forget-hosts it leaves hosts that are gone for good as "
                "they are"
                if on_hosts
                else "",
            )
        return self.session.journal.removed

    def _undo_phase(self, phase: Phase) -> list[Failure]:
        """The steps of hosts first, side by side; a host's own, and those of none, in reverse order."""
        by_host: dict[str | None, list[Step]] = {}
        for step in reversed(phase.steps):
            if step.undone:
                by_host.setdefault(step.host, []).append(step)
        hostless = by_host.pop(None, [])
        stop = threading.Event()

        def work(steps: Sequence[Step]) -> list[Failure]:
            outcomes = [self._undo(phase.name, step) for step in steps if not stop.is_set()]
            return [failure for failure in outcomes if failure is not None]

        on_hosts = fan_out(work, list(by_host.values()), on_interrupt=partial(self._interrupt, stop))
        return [failure for failures in (*on_hosts, work(hostless)) for failure in failures]

    def _undo(self, phase: str, step: Step) -> Failure | None:
        title = f"Remove: {step.describe().title}"
        self.emit(Event("start", title, phase, step.host, step.name))
        try:
            with step.recorded(title):
                step.undo()
        except ProvisionerError as error:
            self.emit(Event("failed", str(error), phase, step.host, step.name))
            return Failure(step, error)
        self.emit(Event("undone", step.name, phase, step.host, step.name))
        return None

    def _found(self) -> list[Resource]:
        """Everything that carries the deployment's tag. An error is raised, never taken for an empty answer."""
        return [resource for kind in KINDS for resource in self._of_ours(kind)]

    def _of_ours(self, kind: Kind) -> list[Resource]:
        return self.session.cloud.find(kind, self.session.deployment.own_tags)


def _is_present(finding: Finding) -> bool:
    return finding.presence is Presence.PRESENT


__all__ = ["KINDS", "Event", "Failure", "InterruptedRun", "Outcome", "Runner"]
