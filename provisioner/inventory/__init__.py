"""The inventory: YAML text to a Spec.

spec     the Spec, field for field
reading  text to a Spec; every mistake with file, line and field
"""

from provisioner.inventory.reading import check_workload, load, parse

__all__ = ["check_workload", "load", "parse"]
