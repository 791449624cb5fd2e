"""What the two Spark engines share: the package on its way to the executors, and what is told of a Java failure."""

import os
import subprocess
import sys

import pytest

from workload.engines import cluster


class Context:
    """Takes the file as Spark does: while the block lasts."""

    def addPyFile(self, path):
        done = subprocess.run(
            [sys.executable, "-c", "from workload.engines import tag; print(tag.SAID)"],
            cwd=os.path.dirname(path),
            env={"PYTHONPATH": path},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        self.said = done.stdout


def test_the_package_is_shipped_whatever_the_dates_of_its_files(tmp_path, monkeypatch):
    """In an image that was built from memory they are of 1970; its data files go with it."""
    engines = tmp_path / "workload/engines"
    engines.mkdir(parents=True)
    for path, text in (
        (engines.parent / "__init__.py", ""),
        (engines / "tag.py", "import pkgutil\nSAID = pkgutil.get_data('workload', 'tag.json').decode()\n"),
        (engines.parent / "tag.json", "here"),
    ):
        path.write_text(text)
        os.utime(path, (0, 0))
    (engines / "__init__.py").touch()
    monkeypatch.setattr(cluster, "_PACKAGE", str(engines.parent))
    context = Context()
    with cluster.shipped(context):
        assert context.said == "here\n"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("An error\n: java.lang.RuntimeException: no port\n\tat Main", "java.lang.RuntimeException: no port"),
        ("x\nCaused by: java.lang.OutOfMemoryError: Java heap space", "java.lang.OutOfMemoryError: Java heap space"),
        ("nothing that tells", "nothing that tells"),
    ],
)
def test_the_reason_is_the_line_that_says_what_happened(text, reason):
    assert cluster.java_reason(RuntimeError(text)) == reason
