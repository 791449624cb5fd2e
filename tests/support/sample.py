"""A git repository of the shape of the paper's sample code, for `workload.source`."""

from __future__ import annotations

import subprocess
from pathlib import Path

NAME = "models-1"
BRANCH = "branch-1.6.1-zoo"
PATH = "models/image_recognition/tensorflow/resnet50v1_5/training/mlperf_resnet"
DATA = Path(__file__).parent.parent / "data/sample"


def make(folder: Path, main: str) -> Path:
    """A bare repository in `folder`, also to be read over plain HTTP; `main` is its program's text.

    As there, its run.sh asks for bfloat16, and the branch is not the one that a clone stands on.
    """
    tree = folder / "tree"
    code = tree / PATH
    code.mkdir(parents=True)
    bare = folder / f"{NAME}.git"

    def git(*arguments: str, cwd: Path = tree) -> None:
        who = ["-c", "user.name=test", "-c", "user.email=test@example.com"]
        subprocess.run(["git", *who, *arguments], cwd=cwd, check=True, timeout=60, env={"PATH": "/usr/bin:/bin"})

    git("init", "-q")
    git("commit", "-q", "--allow-empty", "-m", "before")
    git("checkout", "-q", "-b", BRANCH)
    (code / "run.sh").write_text((DATA / "run.sh").read_text())
    (code / "imagenet_main.py").write_text(main)
    git("add", "-A")
    git("commit", "-q", "-m", "the sample")
    git("checkout", "-q", "-")
    git("clone", "-q", "--bare", str(tree), str(bare))
    git("update-server-info", cwd=bare)
    return bare
