"""The one error that people are meant to see.

::

    WorkloadError           the run failed: what happened, to what, and what to do (exit code 1)
    └── UsageError          the arguments cannot be run as given (exit code 2)
"""


class WorkloadError(Exception):
    """The run failed; the text is one sentence for people, ready to print."""

    exit_code = 1


class UsageError(WorkloadError):
    """The arguments cannot be run as given."""

    exit_code = 2
