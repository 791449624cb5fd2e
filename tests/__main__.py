"""`python -m tests`: every tier that this machine can run, fast ones first; then the tiers it could not run, and why.

With PROVISIONER_REQUIRE_TIERS=1 (CI sets it) a tier that cannot run is a failure, and the unit tier measures which
lines of provisioner/ it reaches. Arguments go to pytest.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
REQUIRED = os.environ.get("PROVISIONER_REQUIRE_TIERS") == "1"
PROMISES = ("steps/*", "runner.py", "deployment/*", "adapters/store.py")
"""What keeps the promises about crashes, which the unit tier reaches; the rest is for other tiers as well."""
LEAST_COVERED_PERCENT = 97
MACHINE_TOOLS = ("systemd-nspawn", "debootstrap", "ip", "iptables", "dockerd", "java")


def missing() -> dict[str, list[str]]:
    """For each tier what this machine lacks for it."""
    local = [f"the package {name}" for name in ("tensorflow", "pyspark") if importlib.util.find_spec(name) is None]
    if shutil.which("java") is None:
        local.append("Java 17 or later")
    machine = [] if os.geteuid() == 0 else ["root"]
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    machine += [tool for tool in MACHINE_TOOLS if shutil.which(tool, path=path) is None]
    return {"unit": [], "offline": [], "local (TensorFlow and Spark on this machine)": local, "machine": machine}


def pytest(*arguments: str) -> int:
    """One run of pytest; its exit code. Having selected no test is a failure like any other."""
    print(f"\n=== pytest {' '.join(arguments)}", flush=True)
    return subprocess.run([sys.executable, "-m", "pytest", *arguments, *sys.argv[1:]], cwd=HERE.parent).returncode


def coverage() -> int:
    """Show the lines that the unit tier did not reach in what keeps the promises; 2 when they are too many."""
    print(f"\n=== coverage of {', '.join(PROMISES)}", flush=True)
    files = ",".join(f"provisioner/{name}" for name in PROMISES)
    words = [
        "report",
        f"--include={files}",
        "--show-missing",
        "--skip-covered",
        f"--fail-under={LEAST_COVERED_PERCENT}",
    ]
    return subprocess.run([sys.executable, "-m", "coverage", *words], cwd=HERE.parent).returncode


def main() -> int:
    """Run the tiers; the exit code."""
    lacking = missing()
    workers = ["-n", str(min(4, os.cpu_count() or 1)), "--dist", "loadfile"]
    measured = ["--cov=provisioner", "--cov-report="] if REQUIRED else []
    slower = ["--ignore=tests/offline", "--ignore=tests/machine", "--ignore=tests/workload"]
    codes = [pytest("tests", *slower, *workers, *measured)]
    if measured:
        codes.append(coverage())
    codes.append(pytest("tests/offline", *workers))
    # Training takes every core: side by side the tests of this tier would only slow each other.
    codes.append(pytest("tests/workload"))
    if not lacking["machine"]:
        codes.append(pytest("tests/machine"))
    not_run = {tier: reasons for tier, reasons in lacking.items() if reasons}
    print()
    for tier in lacking:
        print(f"tier {tier}: " + (f"NOT RUN, missing {', '.join(not_run[tier])}" if tier in not_run else "run"))
    if not_run and REQUIRED:
        print("PROVISIONER_REQUIRE_TIERS=1: a tier that was not run is a failure")
        return 1
    return next((code for code in codes if code), 0)


sys.exit(main())
