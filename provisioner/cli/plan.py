"""`plan`: what `up` would do."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from provisioner.cli.options import Inventory, Json, Online

if TYPE_CHECKING:
    from provisioner.cli.console import Console
    from provisioner.operations.plan import PlanDocument, StepFinding
    from provisioner.operations.preflight import Preflight

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


def plan(inventory: Inventory, as_json: Json = False, online: Online = False) -> None:
    """Show what `up` would do: resources, steps for each host, every rendered file. Nothing is changed."""
    import provisioner
    from provisioner.cli.console import Console

    spec = provisioner.load(inventory)
    console = Console(as_json=as_json)
    document = provisioner.plan(spec, online=online)
    whole: dict[str, Any] = document.as_json()
    show_summary(document, console)
    _show_files(document, console)
    if online:
        preflight = provisioner.preflight(spec)
        show_preflight(preflight, console)
        findings = provisioner.existing(spec)
        _show_findings(findings, console)
        whole["online"] = {**(preflight.as_json() if preflight else {}), "steps": [each.as_json() for each in findings]}
    if as_json:
        console.result(whole)
    else:
        hint = "" if online else " `--online` also asks the cloud for permissions, quota, stock and price."
        console.say(f"\nNothing was changed.{hint}")


def show_summary(document: PlanDocument, console: Console) -> None:
    """Resources, steps and warnings."""
    console.say(f"Plan for {document.name}")
    if document.resources:
        console.say("\nResources to create")
        by_kind = _grouped(((r.kind, _attributes(r.attributes)), r.name) for r in document.resources)
        for (kind, attributes), names in by_kind.items():
            console.say(f"  + {kind:15} {_shortened(names)}{'  ' if attributes else ''}{attributes}")
    console.say("\nSteps")
    last = None
    for (phase, title), hosts in _grouped(((s.phase, s.title), s.host) for s in document.steps).items():
        if phase != last:
            console.say(f"  {phase}")
            last = phase
        where = _shortened([host for host in hosts if host])
        console.say(f"    {'[' + where + '] ' if where else ''}{title}")
    for warning in document.warnings:
        console.say(f"\nWarning: {warning}")


def _show_files(document: PlanDocument, console: Console) -> None:
    for (path, content), hosts in _grouped(((file.path, file.content), file.host) for file in document.files).items():
        console.say(f"\nFile {path} on {_shortened(hosts)}")
        for line in content.rstrip("\n").split("\n"):
            console.say(f"  | {line}".rstrip())


def show_preflight(preflight: Preflight | None, console: Console) -> None:
    """What the cloud said before anything is created."""
    if preflight is None:
        console.say("\nOnline: no cloud to ask")
        return
    console.say(f"\nOnline, as {preflight.identity}")
    for instance_type, zones in preflight.stock.items():
        console.say(f"  {instance_type}: {'in stock in ' + ', '.join(zones) if zones else 'no stock'}")
    free = "unknown" if preflight.free_vcpus is None else preflight.free_vcpus
    console.say(f"  quota: {preflight.vcpus} vCPUs needed, {free} free")
    console.say(f"  image {preflight.request.image_id}")
    if preflight.ssh_from:
        whose = " (this machine's address as the internet sees it)" if preflight.ssh_from_is_found else ""
        console.say(f"  SSH is let in from {', '.join(preflight.ssh_from)}{whose}")
    currency = preflight.price.currency
    console.say(
        f"  price {preflight.per_hour:.4g} {currency} an hour for {preflight.count} x {preflight.request.instance_type}"
    )
    if preflight.request.auto_release_at:
        local = preflight.request.auto_release_at.astimezone().strftime("%Y-%m-%d %H:%M %Z")
        console.say(
            f"  at most {preflight.most:.4g} {currency}: released by itself after {preflight.release_hours:g} h "
            f"({local} if started now)"
        )
    console.say(f"  RunInstances dry run: {preflight.dry_run_words}")


def _show_findings(findings: Sequence[StepFinding], console: Console) -> None:
    if findings:
        console.say("\nWhat is there already")
    for finding in findings:
        detail = f" ({finding.detail})" if finding.detail else ""
        console.say(f"  {finding.presence.value:8} {finding.step}{detail}")


def _grouped(pairs: Iterable[tuple[Key, Value]]) -> dict[Key, list[Value]]:
    groups: dict[Key, list[Value]] = {}
    for key, value in pairs:
        groups.setdefault(key, []).append(value)
    return groups


def _attributes(attributes: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{key}: {', '.join(map(str, value)) if isinstance(value, list) else value}"
        for key, value in attributes.items()
    )


def _shortened(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 4 else f"{names[0]} … {names[-1]} ({len(names)})"
