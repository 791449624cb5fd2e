"""``python -m workload check PATH`` and ``measure PATH``: a look at training data, one JSON object on standard output.

``check`` reads everything and decodes every image, or with ``--quick`` looks at what a training looks at before its
first step, without TensorFlow; it ends with 1 when there are problems. ``measure`` times the input pipeline alone.
"""

import argparse

from workload import check, layouts
from workload.arguments import Parser, positive
from workload.config import Config
from workload.entries import shown
from workload.errors import UsageError
from workload.models import MODELS

COMMANDS = ("check", "measure")


def run(arguments, emit, help_stream=None):
    """Carry one of the commands out; returns the exit code. Help is printed to that stream, else to stdout.

    Raises:
        UsageError: there is nothing to look at, or nothing that can be measured.
    """
    given = _parser(help_stream).parse_args(arguments)
    expected = check.Expected(given.model, given.classes, given.evaluate)
    if given.command == "measure":
        if layouts.opened(given.path).kind == layouts.TEXTS:
            raise UsageError("%s is SQuAD's JSON, read before the first step: there is no pipeline" % shown(given.path))
        from workload import data

        config = Config(data=given.path, batch_size=given.batch_size, image_size=given.image_size, workers=1)
        rate = data.measure(config._replace(classes=given.classes or config.classes), given.batches)
        emit("measured", path=shown(given.path), images_per_second=round(rate, 1))
        return 0
    reader = None
    if not given.quick:
        from workload import data

        reader = data.Decoder()
    verdict = check.check(given.path, expected, reader=reader, limit=given.limit)
    damaged = any(split.get("corrupt") for split in verdict.splits.values())
    emit("verdict", **verdict.described())
    return 1 if verdict.problems or damaged else 0


def _parser(help_stream):
    parser = Parser(prog="workload", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.help_stream = help_stream
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument("path")
    parser.add_argument("--model", choices=tuple(MODELS), help="what the data is for (default: what it suits)")
    parser.add_argument("--classes", type=positive, help="of the model (default: %d)" % Config().classes)
    parser.add_argument("--evaluate", action="store_true", help="check: a validation split is needed as well")
    parser.add_argument("--quick", action="store_true", help="check: a sample of records, and no image is decoded")
    parser.add_argument("--limit", type=positive, help="check: look at so many images of each split only")
    parser.add_argument("--batch-size", type=positive, default=32, help="measure: images in a batch")
    parser.add_argument("--image-size", type=positive, default=224, help="measure: height and width in pixels")
    parser.add_argument("--batches", type=positive, default=20, help="measure: batches to time")
    return parser
