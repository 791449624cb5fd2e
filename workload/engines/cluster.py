"""What the two Spark engines share."""

import os
import re
import shutil
import tempfile
from contextlib import contextmanager

import workload

_PACKAGE = os.path.dirname(os.path.abspath(workload.__file__))


@contextmanager
def shipped(context):
    """Give this package to the executors for as long as the block lasts; spark-submit --py-files may have done so."""
    with tempfile.TemporaryDirectory(prefix="workload-") as folder:
        if os.path.isdir(_PACKAGE):
            parent, name = os.path.split(_PACKAGE)
            context.addPyFile(shutil.make_archive(os.path.join(folder, name), "zip", parent, name))
        yield


def java_reason(error):
    """The line of a Java or Python failure that says what happened."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if "Exception: " in line or "Error: " in line or "ExecutorLostFailure" in line]
    return re.sub(r"^(Caused by)?: ", "", (telling or lines or [repr(error)])[-1])
