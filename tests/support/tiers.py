"""What a test needs of the machine: without it the test is skipped, or fails where every tier has to run."""

from __future__ import annotations

import importlib.util
import os
import shutil

import pytest


def local_tier() -> list[str]:
    """What Spark and TensorFlow need on this machine and it lacks."""
    missing = [f"the package {name}" for name in ("tensorflow", "pyspark") if importlib.util.find_spec(name) is None]
    if shutil.which("java") is None:
        missing.append("Java 17 or later")
    return missing


def require(missing: list[str]) -> None:
    """Skip with the reason; with PROVISIONER_REQUIRE_TIERS=1 fail instead."""
    if missing:
        end = pytest.fail if os.environ.get("PROVISIONER_REQUIRE_TIERS") == "1" else pytest.skip
        end(f"this machine lacks {', '.join(missing)}")
