"""The classes of a folder of images that has no class folders, out of a list beside or inside it.

In use are: a line for each image with its name and its class, between them a tab, white space or a comma (Tiny
ImageNet's ``val_annotations.txt``, Kaggle's ``LOC_val_solution.csv``), and a line for each image, in the order of their
names, with the class alone (``imagenet_2012_validation_synset_labels.txt``). Classes are the names of the training
split's class folders; a list of numbers is refused, since nothing tells which order they count.
"""

import codecs
import os
import re

from workload.entries import listed, named, shown
from workload.errors import UsageError

_LIST = (".txt", ".csv", ".tsv")
_BESIDE = re.compile(r"(.*[^a-z])?(val|valid|validation)([^a-z].*)?", re.DOTALL)


def numbers(path, folder, images, classes):
    """The class number of each of the images in ``folder``, by a list that is there or in ``path``.

    Raises:
        UsageError: there is none, or it does not tell them all.
    """
    lists = [os.path.join(folder, name) for name in listed(folder).files if name.endswith(_LIST)]
    lists += [os.path.join(path, name) for name in listed(path).files if name.endswith(_LIST) and _is_beside(name)]
    problems = []
    for file in lists:
        try:
            return _numbers(file, images, {name: number for number, name in enumerate(classes)})
        except UsageError as error:
            problems.append(str(error))
    if problems:
        raise UsageError("; ".join(problems))
    raise UsageError(
        "%s has %d images and no class folders; move them into %s, or put a list there, labels.txt, "
        "with a line for each image: its name and its class"
        % (shown(folder), len(images), shown(os.path.join(folder, "CLASS")))
    )


def _is_beside(name):
    return bool(_BESIDE.fullmatch(os.path.splitext(name)[0].lower()))


def _numbers(file, images, classes):
    try:
        with open(file, "rb") as lines:
            content = lines.read()
    except OSError as error:
        raise UsageError("%s cannot be read: %s" % (shown(file), error.strerror)) from error
    # As the file system's own names are read, so that they can be compared, whatever the encoding.
    text = os.fsdecode(content[len(codecs.BOM_UTF8) :] if content.startswith(codecs.BOM_UTF8) else content)
    rows = [_row(line.strip(), classes) for line in text.splitlines() if line.strip()]
    if len(rows) == len(images) and not any(name for name, _ in rows):
        names = [label for _, label in rows]
    else:
        by_image = {os.path.splitext(name)[0]: label for name, label in rows}
        absent = [image for image in images if os.path.splitext(image)[0] not in by_image]
        if absent:
            raise UsageError("%s does not name the class of %s" % (shown(file), named(absent)))
        names = [by_image[os.path.splitext(image)[0]] for image in images]
    unknown = sorted(set(names) - set(classes))
    if unknown:
        hint = "; write the names of the class folders" if all(name.isdigit() for name in unknown) else ""
        raise UsageError("%s names classes that the training split lacks: %s%s" % (shown(file), named(unknown), hint))
    return [classes[name] for name in names]


def _row(line, classes):
    """``(image, class)`` of a line; the image "" where it has the class alone."""
    if line in classes:
        return "", line
    separator = "\t" if "\t" in line else "," if "," in line else None
    image, label = (line.split(separator) + [""])[:2]
    if not label:
        return "", line
    label = label.strip()
    return os.path.basename(image), label if label in classes else label.split()[0]
