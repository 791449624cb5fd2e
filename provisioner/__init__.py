"""Provision bf16-capable Alibaba Cloud ECS instances, run the bf16 workload on them, remove them again.

The names below are the public Python API (docs/api.md). Each is loaded when it is first asked for, so that `import
provisioner` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from provisioner.errors import ProvisionerError as ProvisionerError
    from provisioner.inventory import load as load
    from provisioner.inventory import parse as parse
    from provisioner.inventory.spec import Spec as Spec
    from provisioner.operations.doctor import doctor as doctor
    from provisioner.operations.down import down as down
    from provisioner.operations.hosts import execute as execute
    from provisioner.operations.instance_types import offers as offers
    from provisioner.operations.plan import existing as existing
    from provisioner.operations.plan import plan as plan
    from provisioner.operations.preflight import preflight as preflight
    from provisioner.operations.report import compare as compare
    from provisioner.operations.report import report as report
    from provisioner.operations.run import run as run
    from provisioner.operations.status import status as status
    from provisioner.operations.status import statuses as statuses
    from provisioner.operations.status import with_running as with_running
    from provisioner.operations.sweep import leftovers as leftovers
    from provisioner.operations.up import up as up
    from provisioner.runner import Event as Event

__version__ = "0.2.0"

_MODULES = {
    "ProvisionerError": "errors",
    "load": "inventory",
    "parse": "inventory",
    "Spec": "inventory.spec",
    "doctor": "operations.doctor",
    "down": "operations.down",
    "execute": "operations.hosts",
    "offers": "operations.instance_types",
    "existing": "operations.plan",
    "plan": "operations.plan",
    "preflight": "operations.preflight",
    "compare": "operations.report",
    "report": "operations.report",
    "run": "operations.run",
    "status": "operations.status",
    "statuses": "operations.status",
    "with_running": "operations.status",
    "leftovers": "operations.sweep",
    "up": "operations.up",
    "Event": "runner",
}

__all__ = list(_MODULES)


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"provisioner.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
