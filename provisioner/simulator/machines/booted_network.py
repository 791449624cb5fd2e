"""The network of one simulator's booted machines: a bridge with a private subnet, masqueraded towards the outside.

The kernel keeps all of it under the simulator's key (the bridge's name, the rules' comment), so that it can be taken
down without knowing anything else. IP forwarding is switched on and stays on: something else may rely on it by then.
"""

from __future__ import annotations

import json
import shlex
from ipaddress import IPv4Network
from pathlib import Path

from provisioner.simulator.machines.booted_host import locked, run

SUBNETS = IPv4Network("10.213.0.0/16")
"""Each simulator takes one /24 of it that nothing on this machine has a route to."""


class Network:
    """The bridge and the rules of the simulator with this key (at most 9 characters)."""

    def __init__(self, key: str) -> None:
        self.bridge = f"br-{key}"
        self._comment = f"provisioner-{key}"

    def up(self, subnet: IPv4Network | None) -> IPv4Network:
        """Make what is missing of it. `subnet` is the one it had before, if any; returns the one it has."""
        with locked("network"):  # two simulators must not choose the same subnet
            if not self._exists():
                run("ip", "link", "add", self.bridge, "type", "bridge")
            if (current := self._subnet()) is None:
                current = subnet if subnet is not None and _is_free(subnet) else _free_subnet()
                run("ip", "address", "add", f"{current[1]}/{current.prefixlen}", "dev", self.bridge)
            run("ip", "link", "set", self.bridge, "up")
            for table, chain, rule in self._wanted_rules(current):
                if [chain, *rule] not in [present[1:] for present in self._rules(table)]:
                    run("iptables", "-w", "-t", table, "-I", chain, *rule)
            Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
        return current

    def down(self) -> None:
        """Remove all of it; gone already is fine."""
        for table in ("nat", "filter"):
            for _, chain, *rule in self._rules(table):
                run("iptables", "-w", "-t", table, "-D", chain, *rule)
        if self._exists():
            for port in self.ports():
                remove_link(port)
            remove_link(self.bridge)

    def ports(self) -> list[str]:
        """The links on the bridge: the outer ends of the machines' network."""
        folder = Path("/sys/class/net") / self.bridge / "brif"
        return [port.name for port in folder.iterdir()] if folder.exists() else []

    def _exists(self) -> bool:
        return (Path("/sys/class/net") / self.bridge).exists()

    def _subnet(self) -> IPv4Network | None:
        links = json.loads(run("ip", "-json", "-4", "address", "show", "dev", self.bridge))
        for address in [address for link in links for address in link.get("addr_info", ())]:
            return IPv4Network((address["local"], address["prefixlen"]), strict=False)
        return None

    def _wanted_rules(self, subnet: IPv4Network) -> list[tuple[str, str, list[str]]]:
        mark = ["-m", "comment", "--comment", self._comment]
        replies = ["-m", "conntrack", "--ctstate", "RELATED,ESTABLISHED"]
        return [  # each as `iptables -S` prints it
            ("nat", "POSTROUTING", ["-s", str(subnet), "!", "-d", str(subnet), *mark, "-j", "MASQUERADE"]),
            ("filter", "FORWARD", ["-o", self.bridge, *replies, *mark, "-j", "ACCEPT"]),
            ("filter", "FORWARD", ["-i", self.bridge, *mark, "-j", "ACCEPT"]),
        ]

    def _rules(self, table: str) -> list[list[str]]:
        """Our rules, as ["-A", chain, ...]."""
        rules = map(shlex.split, run("iptables", "-w", "-t", table, "-S").splitlines())
        return [rule for rule in rules if rule[0] == "-A" and self._comment in rule]


def remove_link(name: str) -> None:
    """Remove a network link; gone already is fine (a machine's goes by itself, some time after the machine)."""
    try:
        run("ip", "link", "delete", name)
    except RuntimeError:
        if (Path("/sys/class/net") / name).exists():
            raise


def _free_subnet() -> IPv4Network:
    for subnet in SUBNETS.subnets(new_prefix=24):
        if _is_free(subnet):
            return subnet
    raise RuntimeError(f"no subnet of {SUBNETS} is free for booted machines: remove routes into it")


def _is_free(subnet: IPv4Network) -> bool:
    routes = json.loads(run("ip", "-json", "-4", "route", "show", "table", "all"))
    taken = [IPv4Network(route["dst"]) for route in routes if route["dst"] != "default"]
    # A wider route (10.0.0.0/8 into a company) is no hindrance: the longer prefix wins.
    return not any(subnet.overlaps(network) for network in taken if network.prefixlen >= SUBNETS.prefixlen)
