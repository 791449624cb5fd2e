"""One deployment: what its steps share, and what is kept of it between two commands.

deployment  the inventory, names and tags, the hosts, the ways to the outside
state       what is kept, as one typed and versioned model
journal     creations, written down before they can be lost
store       the folder that keeps them, as a protocol
recording   what the commands of a host's steps print, into that host's log
"""

from provisioner.deployment.deployment import Deployment, Outside

__all__ = ["Deployment", "Outside"]
