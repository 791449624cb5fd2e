"""What text may be that ends up in scripts, commands and files of hosts: names, addresses, paths, URLs.

Whoever writes such a text quotes it, too. A form refuses what quotes do not mend: a dash at the beginning, which makes
an option of a value, and what means something to the program that gets it (sed's `&`, git's `ext::`, the commas and
spaces of known_hosts). Patterns have neither look-around nor flags: pydantic reads them as well as `re`.
"""

from __future__ import annotations

from ipaddress import IPv4Address, ip_address, ip_network
from typing import Annotated

from pydantic import AfterValidator, Field

HOST_NAME = r"^[A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9_])?$"
USER = r"^[A-Za-z0-9_][A-Za-z0-9._@+\\-]*$"
ABSOLUTE_PATH = "^/[^:]*$"

_IPV6 = r"[0-9A-Fa-f]*:[0-9A-Fa-f]*:[0-9A-Fa-f:.]*(%[A-Za-z0-9._-]+)?"
_PART = "[A-Za-z0-9._-]+"
_REGISTRY = f"[A-Za-z0-9][A-Za-z0-9._-]*(:{_PART})?(/{_PART})*"
_GIT_PLACE = r"(https?|git|ssh)://[\w\[][\w.:@%~\[\]-]*/|file:///|/|\w[\w.-]*@\w[\w.-]*:"


def _cidr(text: str) -> str:
    return str(ip_network(text))


def repository_name(git: str) -> str:
    """What `git clone` would call the folder of a repository."""
    return git.rstrip("/").rpartition("/")[2].rpartition(":")[2].removesuffix(".git")


def _named(git: str) -> str:
    if repository_name(git) in ("", ".", ".."):
        raise ValueError("ends in no name, which the clone's folder would have")
    return git


def _ipv4(text: str) -> str:
    if not isinstance(ip_address(text), IPv4Address):
        raise ValueError("is an IPv6 address; the processes of the cluster find each other by IPv4")
    return text


Cidr = Annotated[str, AfterValidator(_cidr)]
HostName = Annotated[str, Field(pattern=HOST_NAME)]
Address = Annotated[str, Field(pattern=f"{HOST_NAME}|^{_IPV6}$")]
Ipv4 = Annotated[str, AfterValidator(_ipv4)]
User = Annotated[str, Field(pattern=USER)]
HostKey = Annotated[str, Field(pattern=r"^(ssh|ecdsa|sk)-[A-Za-z0-9@.-]+ +[A-Za-z0-9+/]+=*( .*)?$")]

AbsolutePath = Annotated[str, Field(pattern=ABSOLUTE_PATH)]
Folder = Annotated[str, Field(pattern="^[^-]")]
Url = Annotated[str, Field(pattern=r"^https?://[A-Za-z0-9\[][A-Za-z0-9._~:/@+,=%\[\]-]*$")]
GitRepository = Annotated[str, Field(pattern=rf"^({_GIT_PLACE})[\w./~%+@,=-]+$"), AfterValidator(_named)]
GitRef = Annotated[str, Field(pattern=r"^[^\s~^:?*\[\\-][^\s~^:?*\[\\]*$")]

Image = Annotated[str, Field(pattern=f"^{_REGISTRY}(:{_PART})?(@sha256:[0-9a-f]+)?$")]
Registry = Annotated[str, Field(pattern=f"^(https?://)?{_REGISTRY}/?$")]
BuildArgument = Annotated[str, Field(pattern=r"^([A-Za-z0-9/][A-Za-z0-9._~:/?@&=+,%*-]*)?$")]
Variable = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
SettingName = Annotated[str, Field(pattern="^[A-Za-z][A-Za-z0-9._-]*$")]

EcsId = Annotated[str, Field(pattern=r"^[a-z]+-[a-zA-Z0-9_-]+$")]
