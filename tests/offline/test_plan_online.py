"""`plan --online` looks and changes nothing, and lists what exists whatever does not answer."""

from __future__ import annotations

import os
from pathlib import Path

from provisioner.adapters.ssh import generate_key
from provisioner.adapters.store import FolderStore, state_root
from provisioner.inventory import load
from tests.support.cli import provisioner, write
from tests.support.deployments import began
from tests.support.site import Site
from tests.support.ssh_server import free_port


def everything_in(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Each file with its content and when it was last written."""
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def presences(listing: list[dict[str, str]]) -> dict[str, str]:
    return {each["step"]: each["presence"] for each in listing}


def test_nothing_of_the_deployment_is_written(site: Site) -> None:
    site.up(site.inventory())
    folder = state_root() / "demo"
    before = everything_in(folder)
    done = site.run("plan", site.inventory(), "--online", "--json")
    assert done.code == 0, done.err
    found = presences(done.json["online"]["steps"])
    assert found["instances"] == found["vpc"] == "present"
    assert everything_in(folder) == before


def test_what_is_new_since_the_last_command_is_shown_and_not_kept(site: Site) -> None:
    """Killed before the answer of RunInstances: there is an instance that the state does not know."""
    site.faults({"action": "RunInstances", "kind": "slow", "delay_s": 600})
    process = site.partial(site.inventory(), 2)
    site.until(lambda: site.kinds()["instance"], process)
    site.kill(process)
    site.faults()
    site.until(lambda: "Running" in site.run("status", "demo").out)
    before = everything_in(state_root() / "demo")
    done = site.run("plan", site.inventory(), "--online", "--json")
    assert presences(done.json["online"]["steps"])["instances"] == "present"
    assert everything_in(state_root() / "demo") == before


def test_what_a_changed_inventory_would_leave_on_its_hosts_is_told(tmp_path: Path) -> None:
    text = f"name: lab\nprovider: static\nhosts: [{{name: a, address: 127.0.0.1, port: {free_port()}}}]\n"
    began(load(write(tmp_path / "lab.yaml", text + "runtime: host\n")))
    done = provisioner("plan", write(tmp_path / "lab.yaml", text + "image: {build: spark}\n"), "--online")
    assert done.code == 1
    assert "runtime was host, the inventory asks for docker" in done.err


def test_it_looks_while_another_command_works(site: Site) -> None:
    site.up(site.inventory())
    with FolderStore.open("demo", create=False).lock():
        assert site.run("plan", site.inventory(), "--online").code == 0


def test_a_host_that_cannot_be_reached_is_one_line_of_the_list(tmp_path: Path) -> None:
    """Two hosts, nobody listens at either port: each says what happened, the exit code is 0."""
    hosts = ", ".join(f"{{name: {name}, address: 127.0.0.1, port: {free_port()}}}" for name in "ab")
    generate_key(tmp_path / "key", "me")
    ssh = f"ssh: {{key_file: {tmp_path / 'key'}}}"
    path = write(tmp_path / "lab.yaml", f"name: lab\nprovider: static\nruntime: host\nhosts: [{hosts}]\n{ssh}\n")
    began(load(path))
    done = provisioner("plan", path, "--online", "--json")
    assert done.code == 0, done.err
    steps = {each["step"]: each for each in done.json["online"]["steps"]}
    for host in "ab":
        assert steps[f"login/{host}"]["presence"] == "unknown"
        assert "connection refused" in steps[f"login/{host}"]["detail"]
    assert os.listdir(state_root() / "lab") == ["state.json"]


def test_of_several_hosts_one_that_is_gone_does_not_hide_the_others(site: Site) -> None:
    site.up(site.inventory(cloud=", count: 2"), phases=2)
    gone = next(r["id"] for r in site.simulator.resources if r["kind"] == "instance" and r["name"] == "demo-002")
    site.simulator._fleet._machines[gone].stop()
    done = site.run("plan", site.inventory(cloud=", count: 2"), "--online", "--json")
    assert done.code == 0, done.err
    found = presences(done.json["online"]["steps"])
    assert found["login/demo-001"] == "present"
    assert found["login/demo-002"] == "unknown"


def test_a_deployment_that_lives_elsewhere_is_told(site: Site) -> None:
    site.up(site.inventory(), phases=1)
    done = site.run("plan", site.inventory(cloud=", region: cn-beijing"), "--online")
    assert done.code == 1
    assert "demo lives in region cn-hangzhou" in done.err
