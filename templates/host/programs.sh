#!/bin/bash
# `look` prints a line for each program that is missing; `install` installs them.
# A folder of its own holds the Python packages, so that nothing of the system's is replaced.
set -uo pipefail
{% include "host/clear-environment.sh" %}
venv={{ venv }}
manager={{ manager }}   # of this distribution, which has these packages, and this Python for the folder
packages={{ packages }}
python={{ python }}
cannot={{ cannot }}   # why they are not known, or not enough
export PATH="$venv/bin:$PATH"

java_major() { java -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p' | head -n 1; }

has_packages() {
  python3 -c 'import importlib.util as u, sys; sys.exit(not all(map(u.find_spec, ("tensorflow", "pyspark"))))' 2>/dev/null
}

look() {
  local major
  major=$(java_major)
  [ "${major:-0}" -ge 17 ] || echo "missing Java 17 or later"
  command -v numactl >/dev/null || echo "missing numactl"
  has_packages || echo "missing the Python packages tensorflow and pyspark"
}

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

install() {
  if [ -n "${MACHINE_ROOT:-}" ]; then
    echo "a simulated machine installs nothing: $(look | sed 's/^missing //' | paste -sd, | sed 's/,/, /g') must be on this computer"
    exit 1
  fi
  if [ -n "$cannot" ]; then
    echo "$cannot: install $(look | sed 's/^missing //' | paste -sd, | sed 's/,/, /g') by hand"
    exit 1
  fi
  if ! { [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null; }; then
    echo "no root and no passwordless sudo: install $(look | sed 's/^missing //' | paste -sd, | sed 's/,/, /g') by hand"
    exit 1
  fi
  case "$manager" in
    apt)
      as_root apt-get -o DPkg::Lock::Timeout=300 update -q
      as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -q -y $packages || exit 1
      ;;
    dnf)
      as_root dnf install -q -y $packages || exit 1
      ;;
  esac
  if ! has_packages; then
    # /tmp may be in memory, and has no room for Spark unpacked then.
    "$python" -m venv "$venv" && mkdir -p "$venv/tmp" &&
      TMPDIR="$venv/tmp" "$venv/bin/pip" install -q{{ " " if index }}{{ index }} tensorflow pyspark || exit 1
    hash -r # bash remembers where python3 was
  fi
  look | grep -v numactl && exit 1
  return 0
}

"${1:-look}"
