"""What an account holds: one file a kind of resource, with the actions on it.

Importing this package imports every module in it, and each registers its resources and actions: a new file is enough.
"""

from __future__ import annotations

import importlib
import pkgutil

for _module in pkgutil.iter_modules(__path__, f"{__name__}."):
    importlib.import_module(_module.name)
