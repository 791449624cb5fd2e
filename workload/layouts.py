"""What lies in a folder of training data: ImageNet-layout TFRecords, images in class folders, or SQuAD's JSON.

TFRecords: files named ``train-00000-of-01024``, ``validation-00000-of-00128`` and the like, in the folder itself or in
``train/`` and ``validation/`` (or ``val/``); GZIP and ZLIB are read. Images: ``train/CLASS/*.jpg`` and
``validation/CLASS/*.jpg``, or the class folders alone, which are the training split then; a validation folder of images
without class folders needs a list of their classes (see ``labels``). Texts: ``train*.json`` and ``dev*.json``.

Nothing here opens an image or a record: names alone tell the layout. Hidden and companion entries count nowhere.
"""

import os
import re
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

from workload import labels
from workload.entries import listed, named, shown
from workload.errors import UsageError

SPLITS = ("train", "validation")
RECORDS, IMAGES, TEXTS = "tfrecords", "folder", "squad"
EXTENSIONS = (".jpg", ".jpeg", ".png")
_FOLDERS = {"train": ("train",), "validation": ("validation", "val", "valid")}
_TEXTS = {"train": ("train",), "validation": ("dev", "val")}  # what the names begin with
_SHARD = re.compile(r"(?P<name>.+)-(?P<index>\d{1,6})-of-(?P<total>\d{1,6})(?P<suffix>(\.\w+)*)", re.DOTALL)
_WHOLE = re.compile(r"(?P<name>.+)\.tfrecords?(\.\w+)*", re.DOTALL)


class Split(NamedTuple):
    """One split: shards, or the one JSON file, or ``(image, class number)`` pairs; problems, where it is not whole."""

    files: Sequence[str] = ()
    labelled: Sequence[Tuple[str, int]] = ()
    problems: Sequence[str] = ()
    warnings: Sequence[str] = ()


class Source(NamedTuple):
    """What was found; a split that is not there is not in ``splits``."""

    path: str
    kind: str
    splits: Dict[str, Split]
    classes: Optional[List[str]]
    skipped: List[str]

    def split(self, name):
        """A split that is there and whole.

        Raises:
            UsageError: it is not.
        """
        if name not in self.splits:
            raise UsageError(missing(self, name))
        if self.splits[name].problems:
            raise UsageError(self.splits[name].problems[0])
        return self.splits[name]


def missing(source, name):
    """The sentence for a split that is not there."""
    if os.path.isfile(source.path):
        return "--evaluate needs a folder with train*.json and dev*.json, and %s is one file" % shown(source.path)
    if source.kind == TEXTS:
        return "%s has no %s*.json" % (shown(source.path), _TEXTS[name][0])
    return "%s has neither %s-00000-of-N files nor a folder %s/" % (shown(source.path), name, name)


def opened(path, texts=False):
    """The Source at a path: a folder, or one JSON file. ``texts``: JSON is looked for first.

    Raises:
        UsageError: there is nothing, or nothing that is known.
    """
    if os.path.isfile(path):
        if not texts and not path.endswith(".json"):
            raise UsageError("%s is a file; name the folder it is in" % shown(path))
        return Source(path, TEXTS, {"train": Split(files=[path])}, None, [])
    if not os.path.isdir(path):
        raise UsageError("%s is no folder on this host" % shown(path))
    top = listed(path)
    inside = {
        split: {name: listed(os.path.join(path, name)) for name in top.folders if name in names}
        for split, names in _FOLDERS.items()
    }
    readers = [_texts, _records, _images] if texts else [_records, _images, _texts]
    for reader in readers:
        source = reader(path, top, inside)
        if source:
            return source
    raise UsageError(
        "%s has neither train-00000-of-N files nor train/CLASS folders of images (%s) nor train*.json; it has %s"
        % (shown(path), ", ".join(EXTENSIONS), named(top.folders + top.files) or "nothing")
    )


def _texts(path, top, _):
    splits = {}
    for split, words in _TEXTS.items():
        names = [name for name in top.files if name.startswith(words) and name.endswith((".json", ".jsonl"))]
        if names:
            more = "%s: of %s the first is read" % (shown(path), named(names))
            splits[split] = Split(files=[os.path.join(path, names[0])], warnings=[more] if len(names) > 1 else [])
    return Source(path, TEXTS, splits, None, top.skipped) if splits else None


def _records(path, top, inside):
    """Shards whose names tell the split, and those in a folder of that name."""
    splits, skipped = {}, list(top.skipped)
    for split in SPLITS:
        sets = _shards(path, [name for name in top.files if _split_of(name) == split])
        for folder, listing in inside[split].items():
            if _shards("", listing.files):
                sets.update(_shards(os.path.join(path, folder), listing.files))
                skipped += listing.skipped
        if sets:
            splits[split] = _whole(path, sets)
    return Source(path, RECORDS, splits, None, skipped) if splits else None


def _split_of(name):
    match = _SHARD.fullmatch(name) or _WHOLE.fullmatch(name)
    parts = re.split(r"[^A-Za-z]+", match.group("name")) if match else []
    return next((split for split, words in _FOLDERS.items() if set(words) & set(parts)), None)


def _shards(folder, names):
    """``{(pattern, promised number of files): {number: path}}``."""
    sets = {}  # type: Dict[Tuple[str, int], Dict[int, str]]
    for name in names:
        match = _SHARD.fullmatch(name)
        if match:
            pattern = "%s-*-of-%s%s" % (match.group("name"), match.group("total"), match.group("suffix"))
            key = os.path.join(folder, pattern), int(match.group("total"))
            sets.setdefault(key, {})[int(match.group("index"))] = os.path.join(folder, name)
        elif _WHOLE.fullmatch(name):
            files = sets.setdefault((os.path.join(folder, "*.tfrecord"), 0), {})
            files[len(files)] = os.path.join(folder, name)
    return sets


def _whole(path, sets):
    problems = []
    for (pattern, promised), files in sets.items():
        absent = sorted(set(range(promised)) - set(files))
        if absent or (promised and len(files) != promised):
            problems.append(
                "%s: %d files where the names promise %d; copy number %s anew"
                % (shown(pattern), len(files), promised, ", ".join(map(str, absent[:5])) or "0 and up")
            )
    if len(sets) > 1:
        patterns = [pattern for pattern, _ in sets]
        problems.insert(
            0, "%s has %d sets of files for one split: %s; leave one" % (shown(path), len(sets), named(patterns))
        )
    return Split(files=[file for files in sets.values() for _, file in sorted(files.items())], problems=problems)


def _images(path, top, inside):
    """Class folders in split folders, or, without those, in the folder itself."""
    folders = {split: listings for split, listings in inside.items() if listings}
    if not folders:
        content = _class_folders(path, top)
        if not any(content.classes.values()):
            return None
        split = _labelled(path, content, list(content.classes))
        return Source(path, IMAGES, {"train": split}, list(content.classes), top.skipped + content.skipped)
    splits, names, skipped = {}, [], list(top.skipped)  # type: Dict[str, Split], List[str], List[str]
    for name in [name for name in SPLITS if name in folders]:
        folder = next(iter(folders[name]))
        content = _class_folders(os.path.join(path, folder), folders[name][folder])
        names = names if name == "validation" and "train" in folders else list(content.classes)
        skipped += folders[name][folder].skipped + content.skipped
        if len(folders[name]) > 1:
            splits[name] = Split(problems=["%s has %s; leave one" % (shown(path), named(list(folders[name])))])
        elif _unsorted(content):
            splits[name] = _by_list(path, os.path.join(path, folder), _unsorted(content), names)
        else:
            splits[name] = _labelled(os.path.join(path, folder), content, names)
    return Source(path, IMAGES, splits, names, skipped)


class _Content(NamedTuple):
    """Images by class; beside the class folders images and other files; the number of files in them that are none."""

    classes: Dict[str, List[str]]
    stray: List[str]
    files: List[str]
    others: int
    skipped: List[str]


def _class_folders(folder, listing):
    """What a split's folder holds: images in class folders, or in the one folder ``images`` in each."""
    classes, skipped, others = {}, [], 0
    for name in listing.folders:
        inside = os.path.join(folder, name)
        entries = listed(inside)
        skipped += entries.skipped
        if entries.folders == ["images"] and not any(map(_is_image, entries.files)):
            inside = os.path.join(inside, "images")
            entries = listed(inside)
            skipped += entries.skipped
        classes[name] = [os.path.join(inside, file) for file in entries.files if _is_image(file)]
        others += len(entries.files) - len(classes[name])
    stray = [os.path.join(folder, file) for file in listing.files if _is_image(file)]
    return _Content(classes, stray, [file for file in listing.files if not _is_image(file)], others, skipped)


def _unsorted(content):
    """The images of a split without class folders: in its own folder, or all in ``images``, which is no class."""
    if list(content.classes) == ["images"]:
        return content.classes["images"]
    return [] if any(content.classes.values()) else content.stray


def _by_list(path, folder, images, names):
    """The split of those images, whose classes a list tells."""
    try:
        numbers = labels.numbers(path, folder, [os.path.basename(image) for image in images], names)
    except UsageError as error:
        return Split(problems=[str(error)])
    return Split(labelled=list(zip(images, numbers)))


def _labelled(folder, content, names):
    """The split of class folders, with the numbers that the training split's classes have."""
    numbers = {name: number for number, name in enumerate(names)}
    problems = [
        "class %s is in %s but not in the training split" % (shown(name), shown(folder))
        for name in content.classes
        if name not in numbers
    ]
    empty = [name for name, images in content.classes.items() if not images]
    if len(empty) == len(content.classes):
        there = named(list(content.classes) + content.files) or "nothing"
        classes = shown(os.path.join(folder, "CLASS"))
        problems.append("no images (%s) in %s; there is %s" % (", ".join(EXTENSIONS), classes, there))
    warnings = []
    if empty and not problems:
        warnings.append("%s has no image of %s" % (shown(folder), named(empty)))
    if content.stray:
        warnings.append("%s: %d images outside class folders are not read" % (shown(folder), len(content.stray)))
    if content.others:
        kinds = ", ".join(EXTENSIONS)
        warnings.append("%s: %d files of classes are none of %s, and not read" % (shown(folder), content.others, kinds))
    pairs = [(image, numbers.get(name, -1)) for name, images in content.classes.items() for image in images]
    return Split(labelled=pairs, problems=problems, warnings=warnings)


def _is_image(name):
    return name.lower().endswith(EXTENSIONS)
