"""Analytics Zoo."""

from workload.errors import UsageError


def run(config, reporter):
    """Not yet."""
    raise UsageError("--engine tfpark is not there yet")
