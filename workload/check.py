"""The one look at training data that everybody believes: is it there, whole, and what the model expects?

``check`` opens what ``layouts`` finds and returns a Verdict; a training begins with it (``required``), ``python -m
workload check`` prints it. Without a reader of everything it looks at a sample: every file of records, a thousand
records of a split; names, classes and JSON always whole. It needs no TensorFlow.
"""

import hashlib
import itertools
import os
from typing import Any, Dict, List, NamedTuple, Optional

from workload import layouts, records, texts, tokens
from workload.config import SYNTHETIC, Config
from workload.entries import named, shown
from workload.errors import UsageError
from workload.layouts import IMAGES, RECORDS, TEXTS
from workload.models import MODELS

SAMPLE = 1000
_PROBLEMS = 5  # of a split that are told one by one
_TITLES = {RECORDS: "TFRecords in ImageNet's layout", IMAGES: "a folder of images by class", TEXTS: "SQuAD's JSON"}


class Expected(NamedTuple):
    """What the data is for; a model of None is whatever the data suits, classes of None are as many as usual."""

    model: Optional[str] = None
    classes: Optional[int] = None
    evaluate: bool = False

    @property
    def most_classes(self):
        """How many there may be."""
        return self.classes or Config().classes


class Verdict(NamedTuple):
    """What was found. ``problems`` are sentences that forbid a training, ``warnings`` are worth knowing.

    Attributes:
        path: where.
        kind: of ``layouts``; None when nothing was recognised.
        splits: for each split what was looked at: ``images, files, sampled, labels`` (from 0; lowest and highest),
            ``corrupt`` and ``examples`` (images that cannot be decoded; None when none was), or for texts ``questions,
            answered, unanswerable, found_again, left_out``.
        classes: of a folder of images.
        skipped: paths of hidden and companion entries.
        digest: of the names and sizes of the files (of images the names alone).
    """

    path: str
    kind: Optional[str]
    splits: Dict[str, Dict[str, Any]]
    classes: Optional[int]
    skipped: List[str]
    problems: List[str]
    warnings: List[str]
    digest: str

    def notes(self):
        """What people should know although it forbids nothing."""
        noun = "entry" if len(self.skipped) == 1 else "entries"
        skipped = ["%d hidden or companion %s skipped: %s" % (len(self.skipped), noun, named(self.skipped))]
        return self.warnings + (skipped if self.skipped else [])

    def found(self):
        """One line for people."""
        parts = ["%s: %s" % (split, _split_words(self.kind, seen)) for split, seen in self.splits.items()]
        return "; ".join([_title(self.kind)] + parts)

    def described(self):
        """As an object for JSON."""
        fields = dict(self._asdict(), title=_title(self.kind), found=self.found(), notes=self.notes())
        fields.update(skipped=len(self.skipped))
        return dict(fields, path=shown(self.path))


def _title(kind):
    return _TITLES[kind] if kind else "no training data"


def _split_words(kind, seen):
    if kind == TEXTS:
        left_out = ", %d left out" % seen["left_out"] if seen["left_out"] else ""
        return "%d questions, %d with an answer%s" % (seen["questions"], seen["answered"], left_out)
    amount = "%d files" % seen["files"] if seen["sampled"] else "%d images" % seen["images"]
    return amount + ("" if seen["labels"] is None else ", labels {} to {}".format(*seen["labels"]))


def of_run(config):
    """What is worth knowing of the data that a run with this Config will read; nothing of synthetic data.

    Raises:
        UsageError: it is not what the model expects.
    """
    if config.data == SYNTHETIC:
        return []
    evaluate = config.evaluate and config.mode == "train"
    return required(config.data, Expected(config.model, config.classes, evaluate)).notes()


def required(path, expected):
    """The Verdict of a sample of what a training or an evaluation will read.

    Raises:
        UsageError: there are problems.
    """
    verdict = check(path, expected, ("train", "validation") if expected.evaluate else ("train",))
    if verdict.problems:
        more = len(verdict.problems) - 1
        rest = "; %d more problems: python -m workload check %s names them" % (more, shown(path)) if more else ""
        raise UsageError(verdict.problems[0] + rest)
    return verdict


def check(path, expected, splits=layouts.SPLITS, reader=None, limit=None):
    """The Verdict on the data at a path.

    Args:
        path: a folder, or a file of JSON.
        expected: what it is for.
        splits: which to look at; one that is not needed may be missing, but not broken.
        reader: reads everything (``data.Decoder``); None looks at a sample and decodes nothing.
        limit: with a reader: so many images of a split only.

    Raises:
        UsageError: nothing is there.
    """
    if not os.path.exists(path):
        raise UsageError("%s is no folder on this host" % shown(path))
    model = MODELS[expected.model] if expected.model else None
    try:
        source = layouts.opened(path, texts=bool(model and model.sequence_length))
    except UsageError as error:
        return Verdict(path, None, {}, None, [], [str(error)], [], "")
    verdict = Verdict(
        path=path,
        kind=source.kind,
        splits={},
        classes=len(source.classes) if source.classes is not None else None,
        skipped=source.skipped,
        problems=_unfit(source, model, expected.most_classes),
        warnings=_surplus(source, expected),
        digest=_digest(source),
    )
    if model and bool(model.sequence_length) != (source.kind == TEXTS):
        return verdict
    for name in splits:
        if name in source.splits:
            _look(source, name, expected, verdict, reader, limit)
        elif name == "train" or expected.evaluate:
            verdict.problems.append(layouts.missing(source, name))
        else:
            verdict.warnings.append(layouts.missing(source, name) + ", which an evaluation needs")
    return verdict


def _unfit(source, model, classes):
    if model and bool(model.sequence_length) != (source.kind == TEXTS):
        fitting = [name for name, one in MODELS.items() if bool(one.sequence_length) != bool(model.sequence_length)]
        holds = _TITLES[source.kind]
        return [
            "%s is %s, which %s does not read; say --model %s" % (shown(source.path), holds, model.name, fitting[0])
        ]
    if source.classes is not None and len(source.classes) > classes:
        return ["%s has %d classes; add --classes %d" % ((shown(source.path),) + (len(source.classes),) * 2)]
    return []


def _surplus(source, expected):
    if source.classes is not None and len(source.classes) == 1:
        return ["%s has one class alone: %s" % (shown(source.path), shown(source.classes[0]))]
    if source.classes is None or not expected.classes or len(source.classes) >= expected.classes:
        return []
    return ["%s has %d classes, and the model %d" % (shown(source.path), len(source.classes), expected.classes)]


def _look(source, name, expected, verdict, reader, limit):
    """Add one split to the verdict."""
    split = source.splits[name]
    problems = list(split.problems)
    verdict.warnings.extend(split.warnings)
    if source.kind == TEXTS:
        verdict.splits[name] = _look_at_texts(split, expected, verdict, problems)
    elif source.kind == IMAGES:
        verdict.splits[name] = _look_at_images(split, problems, reader, limit)
    else:
        verdict.splits[name] = _look_at_records(source, name, expected, problems, reader, limit)
    verdict.problems.extend(problems[:_PROBLEMS])
    if len(problems) > _PROBLEMS:
        verdict.problems.append("%d more problems in %s" % (len(problems) - _PROBLEMS, name))


def _look_at_texts(split, expected, verdict, problems):
    counts = texts.Counts()
    try:
        passages, counts = texts.read(split.files[0])
        verdict.warnings.extend("%s: %s" % (shown(split.files[0]), warning) for warning in counts.warnings())
        if not passages:
            problems.append(
                "%s has no question%s" % (shown(split.files[0]), " that can be used" * bool(counts.questions))
            )
        model = MODELS[expected.model or next(name for name, one in MODELS.items() if one.sequence_length)]
        tokens.opened(os.path.dirname(split.files[0]), model.network["vocabulary"])
    except UsageError as error:
        problems.append(str(error))
    return {field: value for field, value in vars(counts).items() if field != "examples"}


def _look_at_images(split, problems, reader, limit):
    labelled = split.labelled[:limit]
    for path, _ in labelled if reader else ():
        try:
            with open(path, "rb") as file:
                reader.decode(shown(path), file.read())
        except OSError as error:
            problems.append("%s cannot be read: %s" % (shown(path), error.strerror))
    numbers = [label for _, label in labelled if label >= 0]
    return _seen(len(labelled), len(labelled), False, numbers, problems, reader)


def _look_at_records(source, name, expected, problems, reader, limit):
    files = source.splits[name].files
    numbers, sampled, left = [], False, limit
    for path in files:
        most = left if reader else max(1, SAMPLE // len(files))
        before = len(numbers)
        try:
            contents = reader.records(path) if reader else records.each(path)
            for number, content in enumerate(contents):
                if number == most:
                    sampled = True
                    break
                record = "%s record %d" % (shown(path), number)
                example = _example(content, record)
                numbers.append(example.label - 1)
                if reader:
                    reader.decode(record, example.image)
        except UsageError as error:
            problems.append(str(error))
        left = left and left - (len(numbers) - before)
        if left == 0:
            sampled = True
            break
    problems.extend(_unfit_labels("%s of %s" % (name, shown(source.path)), numbers, expected.most_classes))
    return _seen(len(numbers), len(files), sampled, numbers, problems, reader)


def _example(content, name):
    try:
        example = records.example(content)
    except ValueError as error:
        raise UsageError("%s is no tf.Example" % name) from error
    for feature, value in ((records.IMAGE, example.image), (records.LABEL, example.label)):
        if value is None:
            has = ", ".join(itertools.islice(example.features, 10)) or "nothing"
            raise UsageError("%s has not one %s; it has %s" % (name, feature, has))
    return example


def _unfit_labels(where, numbers, classes):
    """The labels as the files have them are from 1 to the number of classes."""
    if numbers and min(numbers) < 0:
        return [
            "%s: the labels in the files are %d to %d and must be from 1; write them with 1 added"
            % (where, min(numbers) + 1, max(numbers) + 1)
        ]
    if numbers and max(numbers) >= classes:
        highest = max(numbers) + 1
        return ["%s: the labels in the files go up to %d; add --classes %d" % (where, highest, highest)]
    return []


def _seen(images, files, sampled, numbers, problems, reader):
    if not images and not problems:
        problems.append("there is no image in it")
    damaged = reader.damaged() if reader else None
    return {
        "images": images,
        "files": files,
        "sampled": sampled,
        "labels": [min(numbers), max(numbers)] if numbers else None,
        "corrupt": None if damaged is None else len(damaged),
        "examples": (damaged or [])[:5],
    }


def _digest(source):
    lines = []
    for split in source.splits.values():
        for path in split.files:
            size = os.path.getsize(path) if os.path.exists(path) else -1
            lines.append(b"%s %d" % (os.fsencode(os.path.relpath(path, source.path)), size))
        lines.extend(os.fsencode(os.path.relpath(path, source.path)) for path, _ in split.labelled)
    return hashlib.sha256(b"\n".join(sorted(lines))).hexdigest()
