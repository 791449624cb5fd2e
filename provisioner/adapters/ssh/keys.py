"""Key files: making the deployment's own, and finding those to log in with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from provisioner.adapters.atomic import write_atomically
from provisioner.errors import ConnectError, StateError

if TYPE_CHECKING:
    from paramiko import PKey

_USUAL_NAMES = ("id_ed25519", "id_ecdsa", "id_rsa")

_RSA_BITS = 3072  # 128 bits of strength; made in 0.1 to 0.3 s, once for a deployment


def own_key(folder: Path) -> Path:
    """The private key of the deployment whose state folder this is: the only place that knows its name.

    Earlier versions made Ed25519 keys under another name: the hosts of such a deployment are still reached with it.
    """
    earlier = folder / "id_ed25519"
    return earlier if earlier.exists() else folder / "id_rsa"


def generate_key(path: Path, comment: str) -> str:
    """Make an RSA key pair: the private half in `path` (OpenSSH format, 0600), the public line returned.

    RSA, since ImportKeyPair documents rsa, dsa and ecdsa, and no edition of its documentation Ed25519.
    A key that is there already is kept. Raises StateError when the file cannot be read or written.
    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key

    try:
        if path.exists():
            key = serialization.load_ssh_private_key(path.read_bytes(), password=None)
        else:
            key = generate_private_key(public_exponent=65537, key_size=_RSA_BITS)
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_atomically(
                path,
                key.private_bytes(
                    serialization.Encoding.PEM,
                    serialization.PrivateFormat.OpenSSH,
                    serialization.NoEncryption(),
                ),
            )
    except (OSError, ValueError) as error:
        raise StateError(f"the key file {path} cannot be used: {error}", "mend or remove it") from error
    line = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return f"{line.decode()} {comment}"


def login_keys(path: Path | None) -> list[tuple[str, PKey]]:
    """The keys to offer, each with what to call it in a message.

    Args:
        path: the key file; without it, those of the SSH agent and then the usual files in ~/.ssh are taken.

    A key file with a passphrase is taken from the agent, which is asked by the public half beside it (`.pub`).
    Raises ConnectError when there is no key to be had.
    """
    if path is not None:
        return [_from_file(path.expanduser())]
    usual = [Path("~/.ssh", name).expanduser() for name in _USUAL_NAMES]
    keys = _agent_keys()
    for file in usual:
        if file.exists() and not _has_passphrase(file):
            keys.append(_from_file(file))
    if not keys:
        raise ConnectError(
            "there is no key to log in with: no SSH agent has one, and ~/.ssh holds none without a passphrase",
            "name one in the inventory (ssh.key_file), or start ssh-agent and ssh-add one",
        )
    return keys


def _from_file(path: Path) -> tuple[str, PKey]:
    import paramiko

    try:
        if _has_passphrase(path):
            return _from_agent(path)
        return str(path), paramiko.PKey.from_path(path)
    except FileNotFoundError as error:
        raise ConnectError(f"the key file {path} does not exist", "correct ssh.key_file") from error
    except (OSError, ValueError, TypeError, paramiko.SSHException) as error:
        raise ConnectError(
            f"the key file {path} cannot be used: {error}", "give a private key in OpenSSH format"
        ) from error


def _has_passphrase(path: Path) -> bool:
    from cryptography.hazmat.primitives import serialization

    data = path.read_bytes()
    load = serialization.load_ssh_private_key if b"OPENSSH PRIVATE KEY" in data else serialization.load_pem_private_key
    try:
        load(data, password=None)
    except TypeError:  # what the library raises for "a password is needed"
        return True
    return False


def _from_agent(path: Path) -> tuple[str, PKey]:
    public = Path(f"{path}.pub")
    public_key = public.read_text().split()[1] if public.exists() else ""
    for name, key in _agent_keys():
        if key.get_base64() == public_key:
            return f"{path} ({name})", key
    raise ConnectError(f"the key file {path} has a passphrase and no SSH agent holds it", f"run ssh-add {path}")


def _agent_keys() -> list[tuple[str, PKey]]:
    import paramiko

    try:
        keys = paramiko.Agent().get_keys()
    except paramiko.SSHException as error:
        raise ConnectError(
            f"the SSH agent does not answer: {error}", "start it anew, or unset SSH_AUTH_SOCK"
        ) from error
    return [(f"agent key {key.comment or key.fingerprint}", key) for key in keys]
