"""What a report can be written as: one module a format, which registers itself.

Importing this package imports every module in it: a new file is enough.
"""

from __future__ import annotations

import importlib
import pkgutil

from provisioner.reporting.format import FORMATS

for _module in pkgutil.iter_modules(__path__, f"{__name__}."):
    importlib.import_module(_module.name)

__all__ = ["FORMATS"]
