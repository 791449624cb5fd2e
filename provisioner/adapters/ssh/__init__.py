"""Hosts over SSH: the only import of paramiko, which is loaded at the first connection and not before.

keys        key files: making one, finding those to log in with
handshake   one attempt: TCP, banner, host key, login; what went wrong is told apart
connector   attempts until the host is ready, through a jump host where there is one
connection  commands, files and channels on a host that we are logged into
files       SFTP: whole or not at all
sockets     a channel that looks like a socket
terminal    an interactive session
"""

from provisioner.adapters.ssh.connection import SshConnection
from provisioner.adapters.ssh.connector import SshConnector
from provisioner.adapters.ssh.keys import generate_key, own_key

__all__ = ["SshConnection", "SshConnector", "generate_key", "own_key"]
