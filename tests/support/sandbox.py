"""Runs shell text without its effects: whether anything in a value was taken for a command.

Every program is a stub but the shell itself, and `touch`, which leaves a mark. What would leave the text early (`exit`,
`exec`, `set -e`) goes on, and what would change something (`cd`, `kill`) does nothing, so that each line has its turn.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from pathlib import Path

_PRELUDE = r"""
exit() { :; }
set() { :; }
cd() { _option cd "$@"; }
kill() { :; }
exec() { if [ $# -gt 0 ]; then "$@"; fi; }
_option() {  # an option that somebody smuggled in
  for word in "${@:2}"; do
    case $word in --) return 0 ;; -oProxyCommand=*) touch "an option of $1" ;; esac
  done
}
command_not_found_handle() {
  _option "$@"
  case $1 in
    sudo | setsid | timeout | env | numactl | taskset | as_root)
      while [ $# -gt 0 ]; do
        case $1 in bash | sh) "$@"; return ;; esac
        shift
      done ;;
    python3*) [ "$2" != -c ] ;;
  esac
}
"""
_PATIENCE_S = 60


class Sandbox:
    """A folder with the stubs."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._mark = folder / "mark"
        programs = folder / "bin"
        programs.mkdir(parents=True)
        (folder / "prelude").write_text(_PRELUDE)
        for name, script in {
            "bash": 'exec /bin/bash "$@"',
            "sh": 'exec /bin/bash "$@"',
            "touch": f'echo "$* in $TEXT" >> {self._mark}',
        }.items():
            (programs / name).write_text(f"#!/bin/sh\n{script}\n")
            (programs / name).chmod(0o755)

    def marks(self, texts: Iterable[str]) -> list[str]:
        """What was run out of the texts, each `WHAT in NUMBER`; [] for harmless ones."""
        scripts = self._folder / "scripts"
        scripts.mkdir(exist_ok=True)
        paths = []
        for number, text in enumerate(texts):
            path = scripts / f"{number}"
            path.write_text(text)
            paths.append(str(path))
        driver = 'for path; do TEXT=${path##*/} /bin/bash "$path" </dev/null >/dev/null 2>&1; done; exit 0'
        environment = {"PATH": str(self._folder / "bin"), "HOME": str(self._folder)}
        subprocess.run(
            ["/bin/bash", "-c", f"export BASH_ENV={self._folder}/prelude; {driver}", "driver", *paths],
            cwd=self._folder,
            env=environment,
            check=True,
            timeout=_PATIENCE_S,
        )
        return self._mark.read_text().splitlines() if self._mark.exists() else []
