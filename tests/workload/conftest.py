import importlib.util
import os
import shutil
import subprocess
import sys
import zipfile

import pytest

from tests.workload.support import ROOT, Run, package_files


@pytest.fixture
def workload():
    """Run ``python -m workload`` with arguments and wait for its end."""

    def run(*arguments, timeout=120, **environment):
        return Run(
            subprocess.run(
                [sys.executable, "-m", "workload", *map(str, arguments)],
                cwd=ROOT,
                env={**os.environ, **environment},
                capture_output=True,
                text=True,
                timeout=timeout,
                check=False,
            )
        )

    return run


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    """A Spark standalone cluster of two pinned workers on loopback."""
    for module in ("pyspark", "tensorflow"):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed")
    for program in ("java", "taskset"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not on the PATH")
    from tests.workload.cluster import Cluster

    with Cluster(tmp_path_factory.mktemp("cluster"), workers=2) as made:
        yield made


@pytest.fixture(scope="session")
def package_zip(tmp_path_factory):
    """The folder workload/ as the zip that spark-submit --py-files takes, and a launcher beside it."""
    folder = tmp_path_factory.mktemp("package")
    with zipfile.ZipFile(folder / "workload.zip", "w") as archive:
        for path in package_files():
            archive.write(path, path.relative_to(ROOT))
    shutil.copy(ROOT / "workload" / "__main__.py", folder / "run_workload.py")
    return folder
