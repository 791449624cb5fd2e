"""What a plan, a report and a status look like: values in, text or JSON documents out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from provisioner.errors import StateError, UsageError

if TYPE_CHECKING:
    from provisioner.cli.console import Console
    from provisioner.deployment.store import Store
    from provisioner.reporting.report import Report
    from provisioner.step import Plan

Value = TypeVar("Value")


def plan_document(plan: Plan) -> dict[str, Any]:
    """The plan as `plan --json` prints it (design: name, resources, steps, files, warnings)."""
    resources: list[dict[str, Any]] = []
    steps: list[dict[str, Any]] = []
    files: list[dict[str, Any]] = []
    warnings: list[str] = []
    for phase, step in plan.steps():
        description = step.describe()
        steps.append({"phase": phase, "host": step.host, "title": description.title})
        resources += [{"kind": r.kind, "name": r.name, **r.attributes} for r in description.resources]
        files += [{"host": file.host, "path": file.path, "content": file.content} for file in description.files]
        warnings += description.warnings
    return {"name": plan.name, "resources": resources, "steps": steps, "files": files, "warnings": warnings}


def plan_summary(document: Mapping[str, Any], console: Console) -> None:
    """Resources, steps and warnings."""
    console.say(f"Plan for {document['name']}")
    if document["resources"]:
        console.say("\nResources to create")
        for (kind, attributes), names in _grouped(
            ((r["kind"], _attributes(r)), r["name"]) for r in document["resources"]
        ).items():
            console.say(f"  + {kind:15} {_shortened(names)}{'  ' if attributes else ''}{attributes}")
    console.say("\nSteps")
    last = None
    for (phase, title), hosts in _grouped(((s["phase"], s["title"]), s["host"]) for s in document["steps"]).items():
        if phase != last:
            console.say(f"  {phase}")
            last = phase
        where = _shortened([host for host in hosts if host])
        console.say(f"    {'[' + where + '] ' if where else ''}{title}")
    for warning in document["warnings"]:
        console.say(f"\nWarning: {warning}")


def plan_text(document: Mapping[str, Any], console: Console) -> None:
    """The whole plan, rendered files included."""
    plan_summary(document, console)
    for (path, content), hosts in _grouped(((f["path"], f["content"]), f["host"]) for f in document["files"]).items():
        console.say(f"\nFile {path} on {_shortened(hosts)}")
        for line in content.rstrip("\n").split("\n"):
            console.say(f"  | {line}".rstrip())


def _grouped(pairs: Any) -> dict[Any, list[Any]]:
    found: dict[Any, list[Any]] = {}
    for key, value in pairs:
        found.setdefault(key, []).append(value)
    return found


def _attributes(resource: Mapping[str, Any]) -> str:
    shown = {key: value for key, value in resource.items() if key not in ("kind", "name")}
    return ", ".join(
        f"{key}: {', '.join(map(str, value)) if isinstance(value, list) else value}" for key, value in shown.items()
    )


def _shortened(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 4 else f"{names[0]} … {names[-1]} ({len(names)})"


def report_text(name: str, store: Store, format_: str) -> str:
    """The measurements of a deployment in one of the formats. Raises UsageError, StateError when there are none."""
    from provisioner.reporting import report

    return _format(report.FORMATS, format_)(_measured(name, store))


def comparison_text(first: str, second: str, format_: str) -> str:
    """Two deployments, or two runs (NAME/RUN), side by side. Raises UsageError, StateError when there are none."""
    from provisioner.adapters.store import FolderStore
    from provisioner.reporting import compare

    write = _format(compare.FORMATS, format_)
    found = []
    for wanted in (first, second):
        name, _, run = wanted.partition("/")
        whole = _measured(name, FolderStore.open(name, create=False))
        found.append(_one_run(whole, run) if run else whole)
    return write(compare.compare(*found))


def _format(formats: Mapping[str, Callable[[Value], str]], wanted: str) -> Callable[[Value], str]:
    if wanted not in formats:
        raise UsageError(f"--format {wanted} is not known", f"it is one of {', '.join(formats)}")
    return formats[wanted]


def _measured(name: str, store: Store) -> Report:
    from provisioner.reporting import report

    results = store.state.latest_results
    if not results:
        raise StateError(f"{name} has no measurements yet", f"`provisioner run {name}` makes them")
    return report.build(name, [report.measurement(result, _output(store, result)) for result in results])


def _output(store: Store, result: Mapping[str, Any]) -> list[str]:
    """What that run printed; nothing when its log was removed or it is from before runs had logs of their own."""
    path = store.folder / f"logs/{result.get('run')}.log"
    return path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []


def _one_run(whole: Report, run: str) -> Report:
    from provisioner.reporting import report

    found = [one for one in whole.measurements if one.run == run]
    if not found:
        runs = ", ".join(one.run for one in whole.measurements if one.run)
        raise UsageError(f"{whole.name} has no run {run}", f"its runs are {runs or 'not numbered'}")
    return report.build(f"{whole.name}/{run}", found)


def report(name: str, store: Store, console: Console) -> None:
    """The paper's table at the end of a run; with --json the report's object."""
    if not store.state.measured:
        return
    if console.as_json:
        import json

        console.result(json.loads(report_text(name, store, "json")))
    else:
        console.say()
        console.say(report_text(name, store, "table").rstrip("\n"))


def status(found: Sequence[Mapping[str, Any]], console: Console) -> None:
    """A table of hosts, one block a deployment; then what runs on them, where they were asked."""
    from provisioner.cli.inside import words

    rows = [
        (
            deployment["name"],
            deployment["provider"],
            host["name"],
            host["address"],
            host["state"],
            _duration(deployment["age_s"]),
            _money(deployment),
            _release(deployment),
        )
        for deployment in found
        for host in deployment["hosts"] or [{"name": "-", "address": "-", "state": deployment["state"]}]
    ]
    console.table(("NAME", "PROVIDER", "HOST", "ADDRESS", "STATE", "AGE", "COST SO FAR", "RELEASES ITSELF"), rows)
    asked = [(host["name"], words(host["inside"])) for each in found for host in each["hosts"] if "inside" in host]
    if asked:
        console.say("")
        console.table(("HOST", "RUNS"), asked)


def _money(deployment: Mapping[str, Any]) -> str:
    cost = deployment["cost"]
    return f"{cost['so_far']:.2f} {cost['currency']} ({cost['per_hour']:g}/h)" if cost else "-"


def _release(deployment: Mapping[str, Any]) -> str:
    if deployment["release_in_s"] is None:
        return "-"
    return f"in {_duration(deployment['release_in_s'])}" if deployment["release_in_s"] > 0 else "now"


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    minutes = int(seconds // 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"
