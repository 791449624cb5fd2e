"""YAML text to a Spec; every mistake is reported at once, each with file, line and field.

Besides types and ranges (spec.py) this checks what needs the catalog or more than one field: combinations of provider
and sections, instance types that cannot do bf16, a system disk smaller than the image, memory that is not there.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from provisioner import catalog
from provisioner.errors import InventoryError, UsageError
from provisioner.inventory import document
from provisioner.inventory.document import shown
from provisioner.inventory.mirrors import with_mirrors
from provisioner.inventory.names import Place, refused_by_the_service
from provisioner.inventory.spec import Spec

MAX_BYTES = 1024**2

_CLOUD_ONLY = "alibaba and simulator"


def load(path: Path | str) -> Spec:
    """Read an inventory file. Raises InventoryError with one line per mistake."""
    try:
        with open(path, "rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise UsageError(f"{path} is larger than {MAX_BYTES // 1024} KiB", "is it an inventory?")
        text = content.decode()
    except FileNotFoundError:
        raise UsageError(f"there is no inventory {path}", "`provisioner init` writes one to start from") from None
    except IsADirectoryError:
        raise UsageError(f"{path} is a folder", "name the YAML file in it") from None
    except PermissionError:
        raise UsageError(f"{path} may not be read", "check its permissions") from None
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{path} is not UTF-8 text: {error.reason} at byte {error.start}", "save it as UTF-8"
        ) from None
    return parse(text, str(path))


def parse(text: str, source: str = "inventory") -> Spec:
    """Read an inventory from text; `source` names it in messages. The mirrors of its region are filled in.

    Raises InventoryError.
    """
    try:
        given = document.read(text)
    except document.DocumentError as error:
        field = f"{_dotted(error.place)}: " if error.place else ""
        raise InventoryError([f"{source}:{error.line}: {field}{error.what}"]) from None
    if not given.lines:
        raise InventoryError([f"{source}:1: the file is empty: `provisioner init` writes an inventory to start from"])
    if not isinstance(given.data, dict):
        raise InventoryError([f"{source}:{given.lines[()]}: an inventory is a mapping of fields to values"])

    problems = [(line, f"{_dotted(place)}: given twice") for place, line in given.repeated]
    try:
        spec = Spec.model_validate(given.data)
    except ValidationError as error:
        mistakes = _mistakes(error, given.data)
    else:
        mistakes = _contradictions(spec)
    problems += [(_line(given.lines, place), f"{_dotted(place)}: {what}") for place, what in mistakes]
    if problems:
        raise InventoryError([f"{source}:{line}: {what}" for line, what in sorted(set(problems))])
    return with_mirrors(spec)


def check_workload(spec: Spec) -> None:
    """What `parse` checks of the workload, for one that was changed since. Raises UsageError with all that is wrong."""
    problems = [f"{_dotted(place)}: {what}" for place, what in _workload_contradictions(spec)]
    if problems:
        raise UsageError("; ".join(problems))


def _line(lines: dict[Place, int], place: Place) -> int:
    """The line of a field, or of the nearest thing around it that has one."""
    while place and place not in lines:
        place = place[:-1]
    return lines.get(place, 1)


def _dotted(place: Place) -> str:
    text = ""
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else "." * bool(text) + shown(part)
    return text or "inventory"


def _quoted(value: object) -> str:
    """A value of the inventory's as part of a message: numbers as they are, other text in quotes."""
    text = str(value)
    return shown(text if text.replace(".", "", 1).lstrip("-").isdecimal() else repr(text))


def _mistakes(error: ValidationError, data: Any) -> Iterator[tuple[Place, str]]:
    """pydantic's findings, in words; a union's branches give one line, not one each."""
    reported: set[Place] = set()
    for item in error.errors(include_url=False):
        # pydantic puts the branch of a union into the place ("zones", "tuple[str, ...]"): drop what is not in the data.
        place: Place = ()
        value: Any = data
        for part in item["loc"]:
            inside = part in value if isinstance(value, dict) else isinstance(value, list) and isinstance(part, int)
            if inside:
                value = value[part]
            elif item["type"] == "missing" and part == item["loc"][-1]:
                pass
            else:
                continue
            place = (*place, part)
        if place in reported and item["type"] != "missing":
            continue
        reported.add(place)
        yield place, _words(item, place)


def _words(item: Any, place: Place) -> str:
    kind, context, value = item["type"], item.get("ctx", {}), item.get("input")
    if kind == "extra_forbidden":
        return f"unknown field{_did_you_mean(place)}"
    if kind == "missing":
        return "this field is required"
    if kind == "value_error":
        return shown(str(context["error"]), 200)
    if kind == "literal_error" and place == ("cloud", "zones"):
        return "give the word auto, or a list of zones"
    if kind == "literal_error":
        return f"{_quoted(value)} is not one of {context['expected']}"
    if kind == "string_pattern_mismatch":
        return f"{_quoted(value)} does not look right: it must match {context['pattern']}"
    message = str(item["msg"]).replace("Input should be", "must be")
    message = message.replace("a valid integer", "a whole number").replace("a valid ", "a ")
    actual = f" (found {_quoted(value)})" if isinstance(value, (str, int, float)) else ""
    return message[0].lower() + message[1:] + actual


def _did_you_mean(place: Place) -> str:
    import difflib

    model: Any = Spec
    for part in place[:-1]:
        if isinstance(part, str) and part in model.model_fields:
            annotation = model.model_fields[part].annotation
            candidates = [annotation, *getattr(annotation, "__args__", ())]
            model = next((c for c in candidates if hasattr(c, "model_fields")), None)
        if model is None:
            return ""
    near = difflib.get_close_matches(str(place[-1]), list(model.model_fields), n=1)
    return f"; did you mean {near[0]}?" if near else f"; the fields here are {', '.join(model.model_fields)}"


def _contradictions(spec: Spec) -> Iterator[tuple[Place, str]]:
    """What is right field by field and wrong together."""
    given = spec.model_fields_set
    if not spec.creates_instances and "cloud" in given:
        yield ("cloud",), f"only providers {_CLOUD_ONLY} create instances; provider: {spec.provider} does not"
    if spec.provider == "static" and not spec.hosts:
        yield ("provider",), "provider: static needs hosts: a list of {name, address}"
    if spec.provider != "static" and spec.hosts:
        yield ("hosts",), f"hosts are for provider: static; provider: {spec.provider} has its own"
    if spec.provider == "local" and "ssh" in given:
        yield ("ssh",), "provider: local does not use SSH"
    if spec.provider == "local" and spec.runtime == "docker":
        yield ("runtime",), "provider: local runs on this machine itself: say runtime: host"
    if spec.runtime == "docker" and spec.image is None:
        build = f"{{build: {catalog.usual_recipe().name}}}"
        yield ("runtime",), f"runtime: docker needs an image: {{pull: TAG}} or {build}; or say runtime: host"
    if spec.runtime == "host" and spec.image is not None:
        yield ("image",), "runtime: host uses no container image"
    names = [host.name for host in spec.hosts]
    for index, name in enumerate(names):
        if name in names[:index]:
            yield ("hosts", index, "name"), f"two hosts are called {name}"
    yield from _workload_contradictions(spec)
    if spec.creates_instances:
        yield from refused_by_the_service(spec)
        yield from _cloud_contradictions(spec)


def _workload_contradictions(spec: Spec) -> Iterator[tuple[Place, str]]:
    work = spec.workload
    if work.engine == "tfpark" and spec.runtime == "host":
        yield ("workload", "engine"), "tfpark needs Analytics Zoo's own image: runtime: docker"
    if work.engine == "tfpark" and work.mode != "train":
        yield ("workload", "mode"), "tfpark trains only; inference needs engine: spark or local"
    model = catalog.models()[work.model]
    if work.engine not in model.engines:
        engines = " or ".join(model.engines)
        yield ("workload", "model"), f"{work.engine} does not run {work.model}, which needs engine: {engines}"
    if work.optimizer and work.optimizer not in model.optimizers:
        yield ("workload", "optimizer"), f"{work.model} is not trained with {work.optimizer}"
    if work.label_smoothing and not model.label_smoothing:
        yield ("workload", "label_smoothing"), f"{work.model} is trained without"
    if work.source and work.engine != "tfpark":
        yield ("workload", "source"), "the paper's sample runs on Analytics Zoo: engine: tfpark"
    name = (spec.image.pull or spec.image.build or "") if spec.image else ""
    image = catalog.container_image(name)
    if work.source and name and (image is None or image.zoo_home is None):
        yield ("workload", "source"), f"the sample is started by a script of Analytics Zoo's, which {name} lacks"
    if image and not image.bf16 and "bfloat16" in work.dtypes:
        able = next((f", or take image: {{pull: {tag}}}" for tag in catalog.bf16_tags(image.engine)), "")
        yield (
            ("workload", "dtypes"),
            f"the TensorFlow in {name} has no bfloat16 kernels: say dtypes: [float32]{able}",
        )
    if work.warmup_steps >= work.steps and work.epochs is None:
        yield (
            ("workload", "warmup_steps"),
            f"{work.warmup_steps} steps of warm-up leave none of {work.steps} to measure",
        )
    if work.resume and not work.model_dir:
        yield ("workload", "resume"), "to go on from a checkpoint needs model_dir, the folder that holds it"
    if len(set(work.dtypes)) != len(work.dtypes):
        yield ("workload", "dtypes"), "each dtype once"
    if work.epochs and not work.source and "steps" in work.model_fields_set:
        yield ("workload", "steps"), "steps and epochs exclude each other"
    if work.epochs and work.mode == "infer":
        yield ("workload", "epochs"), "inference counts steps"
    if work.epochs and not work.source and work.data == "synthetic":
        yield ("workload", "epochs"), "synthetic data has no epochs: say steps, or name a folder of data"
    hosts = spec.cloud.count if spec.creates_instances else max(1, len(spec.hosts))
    if hosts > 1 and work.engine == "local":
        yield ("workload", "engine"), f"engine: local trains in one process on one host, and there are {hosts}"


def _cloud_contradictions(spec: Spec) -> Iterator[tuple[Place, str]]:
    cloud = spec.cloud
    if spec.ssh.user not in ("root", "ecs-user") and cloud.image_id is None:
        yield ("ssh", "user"), f"new instances let in root or ecs-user, not {spec.ssh.user}"
    if spec.ssh.key_file and not cloud.key_pair and cloud.image_id is None:
        yield (
            ("ssh", "key_file"),
            "new instances let in the key that is generated for the deployment: take this out, or name the key pair it "
            "belongs to in cloud.key_pair",
        )
    architectures: set[str] = set()
    for index, name in enumerate(cloud.instance_types):
        place: Place = ("cloud", "instance_types", index)
        if not cloud.allow_any_type:
            try:
                catalog.check_name(name)
            except UsageError as error:
                yield place, f"{error} (allow_any_type: true overrides)"
                continue
        instance_type = catalog.lookup(name)
        if instance_type is None:
            continue
        architectures.add(instance_type.architecture)
        if instance_type.disks and cloud.system_disk.category not in instance_type.disks:
            yield (
                ("cloud", "system_disk", "category"),
                f"{name} takes {', '.join(instance_type.disks)}, not {cloud.system_disk.category}",
            )
        if isinstance(spec.spark.workers, int) and spec.spark.workers > instance_type.cores:
            yield (
                ("spark", "workers"),
                f"{spec.spark.workers} workers need as many whole cores; {name} has "
                f"{instance_type.cores} ({instance_type.vcpus} vCPUs)",
            )
    if cloud.zones != "auto":
        for index, zone in enumerate(cloud.zones):
            if not zone.startswith(cloud.region):
                yield ("cloud", "zones", index), f"{zone} is not a zone of region {cloud.region}"
    yield from _image_contradictions(spec, architectures)
    if len(architectures) > 1:
        yield ("cloud", "instance_types"), "x86_64 and arm64 types need different images: keep to one of them"
    if cloud.image_id is None:
        family = catalog.image_family(cloud.image_family)
        if family is None:
            if not cloud.image_family.startswith("acs:"):  # the service's own families begin so; it is asked for those
                yield (
                    ("cloud", "image_family"),
                    f"{cloud.image_family} is no image family of the service: give image_id, or one of "
                    f"{', '.join(catalog.image_families())}",
                )
            return
        if architectures and family.architecture not in architectures:
            yield (
                ("cloud", "image_family"),
                f"{cloud.image_family} is for {family.architecture}, {cloud.instance_types[0]} is not",
            )
        if spec.runtime == "host" and (reason := _cannot_host(family)):
            able = next(
                other.name
                for other in map(catalog.image_family, catalog.image_families())
                if other and other.architecture == family.architecture and not _cannot_host(other)
            )
            yield (
                ("cloud", "image_family"),
                f"{cloud.image_family} cannot do runtime: host, since {reason}: say runtime: docker, whose image "
                f"brings its own, or take {able}",
            )
        if cloud.system_disk.size_gib < family.size_gib:
            yield (
                ("cloud", "system_disk", "size_gib"),
                f"{cloud.image_family} needs {family.size_gib} GiB or more",
            )


def _image_contradictions(spec: Spec, architectures: set[str]) -> Iterator[tuple[Place, str]]:
    """A container image that does not run on the processors of the types."""
    name = (spec.image.pull or spec.image.build or "") if spec.image else ""
    image = catalog.container_image(name)
    if image and (lacking := architectures - {*image.architectures}):
        able = [recipe.name for recipe in catalog.image_recipes().values() if lacking <= {*recipe.architectures}]
        yield (
            ("image",),
            f"{name} is for {' and '.join(image.architectures)}, not for {' and '.join(sorted(lacking))}: "
            f"take build: {' or '.join(able)}, or other instance types",
        )


def _cannot_host(family: catalog.ImageFamily) -> str:
    programs = catalog.host_programs(family.distribution, family.version)
    return programs.cannot if programs else ""
