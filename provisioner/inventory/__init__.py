"""The inventory: YAML text to a Spec.

spec      the Spec, field for field
document  YAML text to plain data, and where each field stands
reading   text to a Spec; every mistake with file, line and field
mirrors   what a region has in place of Docker Hub, PyPI, Debian's archive and GitHub
"""

from provisioner.inventory.reading import check_workload, load, parse

__all__ = ["check_workload", "load", "parse"]
