"""Arguments in, JSON lines out; ``check PATH`` and ``measure PATH`` look at training data instead of training."""

import argparse
import importlib
import os
import sys
import traceback

from workload import commands, hardware, report
from workload.arguments import Parser, positive
from workload.config import Config
from workload.errors import UsageError, WorkloadError
from workload.models import MODELS, OPTIMIZERS

ENGINES = ("local", "spark", "tfpark")


def parser(help_stream=None):
    """The command line; every option is a field of ``Config``. Help is printed to that stream, else to stdout."""
    default = Config()
    options_parser = Parser(prog="workload", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options_parser.help_stream = help_stream

    def add(name, text, **options):
        value = getattr(default, name.strip("-").replace("-", "_"))
        shown = text if value is None or value is False else "%s (default: %s)" % (text, value)
        options_parser.add_argument(name, default=value, help=shown, **options)

    add("--engine", "where the workers run: this process, Spark's barrier tasks, Analytics Zoo", choices=ENGINES)
    add("--model", "network", choices=tuple(MODELS))
    add("--mode", "train or infer", choices=("train", "infer"))
    add("--dtype", "dtype of the activations; variables stay float32", choices=("float32", "bfloat16"))
    add("--data", "synthetic, or a folder: ImageNet TFRecords or {train,validation}/CLASS/*.jpg; SQuAD's JSON")
    add("--batch-size", "images per worker and step", type=positive)
    add("--steps", "steps in all, warm-up included (default: 20)", type=positive)
    add("--epochs", "train so many times through the data instead of --steps", type=float)
    add("--warmup-steps", "first steps that are not timed (default: 5, or all but one)", type=int)
    add("--interval-steps", "steps between two interval lines", type=positive)
    add("--workers", "worker processes (default: one, or every slot of the Spark application)", type=positive)
    add("--master", "Spark master (default: what spark-submit says, else local[WORKERS])")
    add("--image-size", "height and width in pixels", type=positive)
    add("--sequence-length", "tokens in a sequence, for BERT", type=positive)
    add("--classes", "number of classes", type=positive)
    add("--learning-rate", "peak (default: 0.1 for each 256 images of the global batch; BERT 5e-5)", type=float)
    add("--optimizer", "momentum SGD, plain (ResNet's default) or layer-wise; BERT: adamw", choices=OPTIMIZERS)
    add("--weight-decay", "decay of the kernels (default: L2 of 1e-4; BERT 0.01, decoupled)", type=float)
    add("--label-smoothing", "share of each label given to all classes (default: 0.1; BERT knows none)", type=float)
    add("--seed", "seed of initial values, synthetic data and shuffling", type=int)
    add("--augment", "random crops and mirroring, or whole images", choices=("imagenet", "none"))
    add("--corrupt-limit", "images per worker that may fail to decode", type=int)
    add("--evaluate", "measure top-1 and top-5 on the validation split after each epoch", action="store_true")
    add("--model-dir", "folder for checkpoints and TensorBoard events, on worker 0's host")
    add("--resume", "go on from the checkpoint in --model-dir", action="store_true")
    add("--checkpoint-steps", "steps between checkpoints within an epoch", type=positive)
    add("--export-dir", "new folder for a SavedModel with batch normalisation folded, on worker 0's host")
    add("--threads", "compute threads per worker (default: OMP_NUM_THREADS, else its physical cores)", type=positive)
    add("--worker-timeout-s", "silence after which a worker counts as lost", type=float)
    return options_parser


def configured(arguments, help_stream=None):
    """The Config of an argument list; asked for help, print it to ``help_stream`` and exit.

    Raises:
        UsageError: they contradict each other.
    """
    config = Config(**vars(parser(help_stream).parse_args(arguments)))
    if config.resume and not config.model_dir:
        raise UsageError("--resume needs --model-dir, the folder with the checkpoint")
    _check_model(config)
    if config.steps and config.epochs:
        raise UsageError("--steps and --epochs exclude each other")
    if config.data == "synthetic" and config.epochs:
        raise UsageError("synthetic data has no epochs; say --steps")
    if config.steps:
        config.settled(None)
    return config


def _check_model(config):
    """What the model cannot do (``models.json``)."""
    model = MODELS[config.model]
    if config.engine not in model.engines:
        engines = " or ".join(model.engines)
        raise UsageError("--engine %s does not run %s; say --engine %s" % (config.engine, model.name, engines))
    if config.optimizer not in (None,) + model.optimizers:
        optimizers = " or ".join(model.optimizers)
        raise UsageError("--model %s is trained with %s, not %s" % (model.name, optimizers, config.optimizer))
    if config.label_smoothing and model.label_smoothing is None:
        raise UsageError("--model %s is trained without --label-smoothing" % model.name)
    if model.sequence_length:
        least, most = model.sequence_length
        if not least <= config.sequence_length <= most:
            raise UsageError("--sequence-length %d is not from %d to %d" % (config.sequence_length, least, most))


def main(arguments=None):
    """Run with these arguments (default: the command line's); returns the exit code."""
    with report.claimed_stdout() as stream:
        reporter = report.Reporter(stream)
        try:
            arguments = sys.argv[1:] if arguments is None else arguments
            if arguments[:1] and arguments[0] in commands.COMMANDS:
                return commands.run(arguments, reporter.emit, stream)
            config = configured(arguments, stream)
            os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
            importlib.import_module("workload.engines." + config.engine).run(config, reporter)
            return 0
        except WorkloadError as error:
            reporter.emit("error", message=str(error))
            return error.exit_code
        except KeyboardInterrupt:
            reporter.emit("error", message="interrupted")
            return 130
        except Exception as error:
            traceback.print_exc()
            reporter.emit("error", message="%s: %s" % (type(error).__name__, error))
            return 1


def reexec_with_tunables():
    """Start this very command again with glibc's huge pages on, once; the setting is read only at program start."""
    if "GLIBC_TUNABLES" not in os.environ:
        environment = dict(os.environ, GLIBC_TUNABLES=hardware.GLIBC_TUNABLES)
        os.execve(sys.executable, [sys.executable, "-m", "workload"] + sys.argv[1:], environment)  # noqa: S606 - no shell wanted
