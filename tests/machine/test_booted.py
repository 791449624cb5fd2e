"""Booted machines are what the program finds on the cloud, and leave nothing behind."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import paramiko
import pytest

from provisioner.simulator.machines import booted_host, booted_tree
from provisioner.simulator.machines.booted import BootedMachine, BootedMachines
from tests.machine.support import PYTHON_IMAGE, Login, Traces, build_image, host_keys, install_docker, output

HOLDER = """
import sys
from pathlib import Path
from provisioner.simulator.machines.booted import BootedMachines
machines = BootedMachines("test", Path(sys.argv[1]))
machine = machines.create("i-held")
machine.start("", [], "held")
print(machine.private_ip, flush=True)
sys.stdin.read()
"""
MachinesIn = Callable[[Path], BootedMachines]


def test_root_logs_in_with_the_key_and_meets_the_host_key_read_beforehand(
    pair: list[BootedMachine], login: Login
) -> None:
    for machine, name in zip(pair, ("one", "two"), strict=True):
        with login.connect(machine.public_ip, host_keys(machine)) as client:
            _, stdout, _ = client.exec_command("whoami; hostname; readlink /proc/1/exe")
            assert stdout.read().decode().split() == ["root", name, "/usr/lib/systemd/systemd"]


def test_a_key_that_was_not_given_does_not_let_in(pair: list[BootedMachine]) -> None:
    stranger = Login(paramiko.ECDSAKey.generate(), "")
    with pytest.raises(paramiko.AuthenticationException):
        stranger.connect(pair[0].public_ip, host_keys(pair[0]))


def test_no_two_machines_share_a_host_key_an_id_or_an_address(pair: list[BootedMachine]) -> None:
    one, two = (set(host_keys(machine).split("\n")) | {output(machine, "cat /etc/machine-id")} for machine in pair)
    assert one & two == {""}
    assert pair[0].private_ip != pair[1].private_ip


def test_machines_reach_each_other_by_ping_and_connection(pair: list[BootedMachine]) -> None:
    for here, there in (pair, reversed(pair)):
        output(here, f"ping -c 1 -W 5 {there.private_ip}")
        banner = output(
            here,
            f"#!/usr/bin/python3\nimport socket\nprint(socket.create_connection(('{there.private_ip}', 22)).recv(4))",
        )
        assert "SSH-" in banner


def test_a_machine_knows_its_address_by_its_name(pair: list[BootedMachine]) -> None:
    assert output(pair[0], 'getent hosts "$(hostname)"').split() == [pair[0].private_ip, "one"]


def test_user_data_ran_and_every_unit_is_well(pair: list[BootedMachine]) -> None:
    for machine in pair:
        output(machine, "cloud-init status --wait")
        assert output(machine, "cat /root/user-data") == "ran\n"
        assert output(machine, "systemctl is-system-running --wait") == "running\n"


def test_the_console_shows_the_boot(pair: list[BootedMachine]) -> None:
    output(pair[0], "cloud-init status --wait")
    assert "Welcome to Debian GNU/Linux 13" in pair[0].console()
    assert "BEGIN SSH HOST KEY FINGERPRINTS" in pair[0].console()


def test_a_command_gets_its_folder_user_interpreter_status_and_both_streams(pair: list[BootedMachine]) -> None:
    script = "#!/usr/bin/python3\nimport os, sys\nprint(os.getcwd(), os.getuid(), flush=True)\nsys.exit('no')"
    assert pair[0].run_command(script, 30, folder="/usr", user="nobody") == (1, "/usr 65534\nno\n")
    assert pair[0].run_command("pwd; echo $HOME; exit 7", 30) == (7, "/root\n/root\n")


def test_a_command_that_outlives_its_time_is_ended_with_its_children(pair: list[BootedMachine]) -> None:
    status, text = pair[0].run_command("echo begun; sleep 4321 & sleep 4321", 2)
    assert (status, text) == (None, "begun\n")
    assert pair[0].run_command("ps -C sleep -o args= | grep 4321", 30)[0] == 1


def test_what_a_command_leaves_in_the_background_runs_on_and_is_not_waited_for(pair: list[BootedMachine]) -> None:
    output(pair[0], "nohup sleep 4322 & echo", timeout_s=30)
    output(pair[0], "pkill -f '^sleep 4322'")


def test_a_stopped_machine_is_silent_and_starts_again_as_itself(pair: list[BootedMachine], login: Login) -> None:
    machine = pair[1]
    output(machine, "cloud-init status --wait")
    keys, address = host_keys(machine), machine.public_ip
    machine.stop()
    with pytest.raises(RuntimeError, match="not running"):
        machine.run_command("true", 10)
    with pytest.raises(OSError, match=r"timed out|No route to host"):
        socket.create_connection((address, 22), timeout=1)
    machine.start("", [login.public], "two")
    output(machine, "cloud-init status --wait")
    assert (host_keys(machine), machine.public_ip) == (keys, address)
    assert output(machine, "cat /root/user-data") == "ran\n"  # once, at the first boot
    login.connect(address, keys).close()


def test_a_machine_that_reboots_comes_back(pair: list[BootedMachine], login: Login) -> None:
    machine = pair[1]
    output(machine, "touch /run/until-the-reboot")
    machine.run_command("systemctl reboot", 30)

    def is_back() -> bool:
        try:
            return machine.run_command("test ! -e /run/until-the-reboot", 30)[0] == 0
        except RuntimeError:  # not running: between the two boots
            return False

    assert booted_host.wait_until(is_back, 60)
    machine.start("", [login.public], "two")  # waits for its SSH server
    login.connect(machine.public_ip, host_keys(machine)).close()


def test_apt_installs_a_package(pair: list[BootedMachine]) -> None:
    output(pair[0], "apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install --yes numactl")
    assert output(pair[0], "numactl --physcpubind=0 --membind=0 echo bound") == "bound\n"


def test_docker_installs_by_apt_and_runs_and_builds(pair: list[BootedMachine]) -> None:
    machine = pair[1]
    install_docker(machine)
    assert output(machine, "docker info --format '{{.Driver}} {{.CgroupVersion}}'") == "overlay2 2\n"
    build_image(machine, "python:3.11-slim", PYTHON_IMAGE)
    build_image(machine, "ours", "FROM python:3.11-slim\nRUN apt-get install --yes numactl\nRUN pip install six")
    bind = "numactl --physcpubind=0 --membind=0 python -c 'import six; print(six.__name__)'"
    assert output(machine, f"docker run --rm --cap-add SYS_NICE ours {bind}") == "six\n"
    assert machine.run_command(f"docker run --rm ours {bind}", 60)[0] == 1
    assert output(machine, "docker run --rm --privileged --net=host ours hostname") == "two\n"


def test_certificate_authorities_trusted_here_are_trusted_there(pair: list[BootedMachine]) -> None:
    def authorities(bundle: str) -> set[str]:
        return {"".join(found.split()) for found in re.findall(r"(?s)-----BEGIN CERT.+?-----END CERT", bundle)}

    here = authorities(booted_tree.host_certificates())
    remake = "update-ca-certificates --fresh > /dev/null 2>&1"  # as packages do
    there = authorities(output(pair[0], f"{remake}; cat /etc/ssl/certs/ca-certificates.crt"))
    assert here
    assert here <= there


def test_pip_settings_of_this_machine_go_along_without_local_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "file:///opt/simple https://index.example/simple")
    monkeypatch.setenv("PIP_FIND_LINKS", "/opt/wheels")
    monkeypatch.setenv("PIP_TRUSTED_HOST", "index.example")
    settings = booted_tree.host_settings()["etc/pip.conf"].splitlines()
    assert "extra-index-url = https://index.example/simple" in settings
    assert "trusted-host = index.example" in settings
    assert "cert = /etc/ssl/certs/ca-certificates.crt" in settings
    assert not [line for line in settings if "/opt" in line]


def test_a_tree_that_could_not_be_made_says_why_and_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(booted_tree, "PATH", str(tmp_path))
    (tmp_path / "unshare").write_text("#!/bin/sh\necho no space left\nexit 3\n")
    (tmp_path / "unshare").chmod(0o755)
    with pytest.raises(RuntimeError, match=r"status 3:\nno space left"):
        booted_tree.cached_tree()
    assert [path.name for path in booted_host.cache_folder().iterdir()] == ["tree.lock"]


def test_removing_the_last_machine_leaves_nothing(machines_in: MachinesIn, tmp_path: Path, login: Login) -> None:
    machines = machines_in(tmp_path)
    traces = Traces(tmp_path, machines.bridge)
    one, two = machines.create("i-1"), machines.create("i-2")
    assert one.private_ip != two.private_ip
    one.start("", [login.public], "one")
    # A process in a namespace of its own inside: what a container is.
    output(one, "unshare --net --pid --fork sleep 4323 & until pgrep -f '^sleep 4323'; do :; done")
    lively = traces.now()
    assert [kind for kind in lively if not lively[kind]] == ["mounts"], lively
    assert len(lively["network namespaces"]) == 2
    assert len(lively["rules"]) == 3  # not three for each machine
    one.remove()
    one.remove()
    assert traces.now()["rules"]  # the second machine still needs them
    two.remove()
    assert not any(traces.now().values()), traces.now()


def test_after_a_kill_the_next_process_takes_over_and_cleans_all_up(machines_in: MachinesIn, tmp_path: Path) -> None:
    machines = machines_in(tmp_path)
    traces = Traces(tmp_path, machines.bridge)
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with holder:
        assert holder.stdout is not None
        address = holder.stdout.readline().strip()
        holder.send_signal(signal.SIGKILL)
    machine = machines.create("i-held")
    assert machine.private_ip == address
    assert output(machine, "hostname") == "held\n"
    lively = traces.now()
    assert [kind for kind in lively if not lively[kind]] == ["mounts"], lively
    machines.clean()
    assert not any(traces.now().values()), traces.now()
    machines.clean()


def test_without_root_or_tools_one_sentence_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(booted_host.os, "geteuid", lambda: 0)
    monkeypatch.setattr(booted_host, "PATH", str(tmp_path))
    with pytest.raises(
        RuntimeError, match=r"apt-get install debootstrap iproute2 iptables util-linux systemd-container$"
    ):
        BootedMachines("test", tmp_path)
    monkeypatch.setattr(booted_host.os, "geteuid", lambda: 1000)
    with pytest.raises(RuntimeError, match="run as root"):
        BootedMachines("test", tmp_path)
