"""What a folder of training data on this machine holds, and how fast it can be read: the workload's own reader says."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from provisioner.errors import ProvisionerError, UsageError


def check(
    path: Path,
    *,
    model: str | None = None,
    classes: int | None = None,
    evaluate: bool = False,
    limit: int | None = None,
) -> dict[str, Any]:
    """Read everything, decode every image: the verdict, as `workload check` writes it.

    Args:
        path: the folder.
        model: what the data is for; else what it suits.
        classes: of the model.
        evaluate: whether a validation split is needed as well.
        limit: look at so many images of a split.

    Raises:
        UsageError: TensorFlow is not installed, or the path holds no data.
    """
    options = {"--model": model, "--classes": classes, "--limit": limit, "--evaluate": evaluate}
    return _look("check", path, options)


def measure(path: Path, *, classes: int | None, batch_size: int, image_size: int, batches: int) -> dict[str, Any]:
    """Time the input pipeline alone, as `workload measure` does. Raises what `check` raises."""
    options = {"--classes": classes, "--batch-size": batch_size, "--image-size": image_size, "--batches": batches}
    return _look("measure", path, options)


def _words(option: str, value: object) -> list[str]:
    if value is None or value is False:
        return []
    return [option] if value is True else [option, str(value)]


def _look(command: str, path: Path, options: Mapping[str, object]) -> dict[str, Any]:
    """What the workload's own command answers, in a process of its own: this one never loads TensorFlow.

    Raises:
        UsageError: TensorFlow is not installed, or the path holds no data.
    """
    from provisioner.steps.workload import workload_archive

    if importlib.util.find_spec("tensorflow") is None:
        raise UsageError("looking at data needs TensorFlow", "pip install 'provisioner[local]'")
    words = [word for option, value in options.items() for word in _words(option, value)]
    with tempfile.TemporaryDirectory(prefix="provisioner-") as folder:
        archive = Path(folder) / "workload.zip"
        archive.write_bytes(workload_archive())
        done = subprocess.run(
            [sys.executable, "-m", "workload", command, *words, "--", str(path)],
            env={**os.environ, "PYTHONPATH": str(archive), "TF_CPP_MIN_LOG_LEVEL": "2"},
            capture_output=True,
            text=True,
            check=False,
        )
    answer = _last_event(done.stdout)
    if answer.pop("event", "error") == "error":
        tail = done.stderr.strip().splitlines()[-1:] or [f"status {done.returncode}"]
        message = answer.get("message") or f"looking at the data failed: {tail[0]}"
        raise (UsageError if done.returncode == UsageError.exit_code else ProvisionerError)(message)
    return answer


def _last_event(output: str) -> dict[str, Any]:
    """What the workload printed last; {} for a process that was killed before it could, or in the middle of it."""
    try:
        event = json.loads((output.splitlines() or ["{}"])[-1])
    except ValueError:
        return {}
    return event if isinstance(event, dict) else {}
