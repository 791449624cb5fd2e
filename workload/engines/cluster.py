"""What the two Spark engines share."""

import os
import re
import tempfile
import zipfile
from contextlib import contextmanager

import workload

_PACKAGE = os.path.dirname(os.path.abspath(workload.__file__))


@contextmanager
def shipped(context):
    """Give this package to the executors for as long as the block lasts; spark-submit --py-files may have done so."""
    with tempfile.TemporaryDirectory(prefix="workload-") as folder:
        if os.path.isdir(_PACKAGE):
            path = os.path.join(folder, "workload.zip")
            _pack(path)
            context.addPyFile(path)
        yield


def _pack(path):
    """Write the package, its modules and data files, as a zip.

    Files in an image may be of 1970, for which the format has no date.
    """
    parent = os.path.dirname(_PACKAGE)
    with zipfile.ZipFile(path, "w") as archive:
        for folder, _, names in os.walk(_PACKAGE):
            for name in sorted(names):
                if name.endswith((".py", ".json")):
                    source = os.path.join(folder, name)
                    with open(source, "rb") as content:
                        archive.writestr(zipfile.ZipInfo(os.path.relpath(source, parent)), content.read())


def java_reason(error):
    """The line of a Java or Python failure that says what happened."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if "Exception: " in line or "Error: " in line or "ExecutorLostFailure" in line]
    return re.sub(r"^(Caused by)?: ", "", (telling or lines or [repr(error)])[-1])
