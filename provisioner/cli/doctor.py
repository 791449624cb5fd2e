"""`doctor`: whether this machine is ready."""

from __future__ import annotations

from provisioner.cli.options import Json
from provisioner.errors import ProvisionerError


def doctor(as_json: Json = False) -> None:
    """Check this machine: credentials, keys, Java, Docker, bfloat16; each with its remedy."""
    import provisioner
    from provisioner.cli.console import Console

    console = Console(as_json=as_json)
    results = provisioner.doctor()
    if as_json:
        console.result([check.as_json() for check in results])
    else:
        for check in results:
            console.say(f"  {'ok  ' if check.ok else 'none'} {check.name:24} {check.found}")
            if not check.ok:
                console.say(f"       {'':24} {check.remedy}")
    missing = [check.name for check in results if not check.ok and check.needed]
    if missing:
        raise ProvisionerError(f"not ready: {', '.join(missing)}", "the lines above say what to do")
