"""One process, all its cores."""

from workload import hardware, worker
from workload.errors import UsageError
from workload.report import summary


def run(config, reporter):
    """Run in this process.

    Raises:
        UsageError: more than one worker was asked for.
        WorkloadError: the run failed.
    """
    if config.workers not in (None, 1):
        raise UsageError("--engine local is one process; --workers %d needs --engine spark" % config.workers)
    config = config._replace(workers=1)
    result = worker.run(config, reporter.emit)
    reporter.emit("summary", **summary(config, [result], hardware.versions("tensorflow", "numpy"), hardware.facts()))
