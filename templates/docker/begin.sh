#!/bin/bash
# Installs and starts Docker (the paper's step 2.2): {{ title }}. Runs as root.
set -euo pipefail

if systemctl cat docker.service >/dev/null 2>&1; then
  echo "==> Docker is installed already: starting it"
  systemctl enable docker
  systemctl start docker
  exit 0
fi

# The first boot installs packages of its own. How it ends is not our concern, only that the package manager is free.
if command -v cloud-init >/dev/null; then
  echo "==> Waiting until the first boot's own work is done"
  timeout 300 cloud-init status --wait >/dev/null 2>&1 || true
fi

echo "==> Installing {{ title }}"
