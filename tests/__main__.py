"""`python -m tests`: every tier that this machine can run, fast ones first; then the tiers it could not run, and why.

With PROVISIONER_REQUIRE_TIERS=1 (CI sets it) a tier that cannot run is a failure. Arguments go to pytest.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
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


def main() -> int:
    """Run the tiers; the exit code."""
    lacking = missing()
    workers = ["-n", str(min(4, os.cpu_count() or 1)), "--dist", "loadfile"]
    codes = [pytest("tests", "--ignore=tests/offline", "--ignore=tests/machine", "--ignore=tests/workload", *workers)]
    codes.append(pytest("tests/offline", *workers))
    # Training takes every core: side by side the tests of this tier would only slow each other.
    codes.append(pytest("tests/workload"))
    if not lacking["machine"]:
        codes.append(pytest("tests/machine"))
    not_run = {tier: reasons for tier, reasons in lacking.items() if reasons}
    print()
    for tier in lacking:
        print(f"tier {tier}: " + (f"NOT RUN, missing {', '.join(not_run[tier])}" if tier in not_run else "run"))
    if not_run and os.environ.get("PROVISIONER_REQUIRE_TIERS") == "1":
        print("PROVISIONER_REQUIRE_TIERS=1: a tier that was not run is a failure")
        return 1
    return next((code for code in codes if code), 0)


sys.exit(main())
