"""One deployment: what its steps share, and what is kept of it between two commands.

deployment    as data: the inventory, names and tags, which life of the name it is
host          one host: address, facts, connection, shell, engine, log
cloud_access  the cloud, as its steps may use it
session       all of it, open: what a command holds, and the adapters behind it
state         what is kept, as one typed and versioned model
journal       creations and their decisions, written down before they can be lost
results       what was measured
known_hosts   the hosts' SSH keys
store         the folder that keeps them, as a protocol
recording     what the commands of a host's steps print, into that host's log
"""

from provisioner.deployment.deployment import Deployment
from provisioner.deployment.host import Host
from provisioner.deployment.session import Ports, Session

__all__ = ["Deployment", "Host", "Ports", "Session"]
