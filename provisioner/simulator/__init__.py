"""A stand-in for Alibaba Cloud ECS and VPC on a local port, for trying and testing without an account.

An island: it shares data files with the rest of the program but no code, or a wrong signature would verify itself.
Importing this package loads nothing; `server.Simulator` runs one in this process, `background.start` one of its own.
"""

from __future__ import annotations

import os

ACCESS_KEY_ID = "simulator-access-key-id"
ACCESS_KEY_SECRET = "simulator-access-key-secret"  # noqa: S105  (documented, worth nothing: it opens only simulators)
SSH_PORT = 2222
"""The port of a `process` machine's SSH server (`booted` machines use 22)."""


def accepted_key_pair() -> tuple[str, str]:
    """The (id, secret) of this environment, else the fixed one.

    A simulator accepts the fixed one in any case: `provider: simulator` uses no other, so that it never has to read
    the user's own.
    """
    key_id = os.environ.get("ALIBABA_CLOUD_ACCESS_KEY_ID")
    secret = os.environ.get("ALIBABA_CLOUD_ACCESS_KEY_SECRET")
    return (key_id, secret) if key_id and secret else (ACCESS_KEY_ID, ACCESS_KEY_SECRET)
