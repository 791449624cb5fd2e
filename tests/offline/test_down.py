"""`down`: everything goes, killed or not, with proof; and what `--rm` and Ctrl-C make of an `up` in the middle."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable

import pytest

from tests.support.site import ONE_OF_EACH, Site

CREATING = {
    "vpc": "CreateVpc",
    "vswitch": "CreateVSwitch",
    "security-group": "CreateSecurityGroup",
    "key-pair": "ImportKeyPair",
    "instance": "RunInstances",
}
STAYS = {"times": None, "kind": "error", "code": "Forbidden.RAM", "status": 403}


def killed_up(site: Site, kind: str) -> None:
    """Killed when the cloud has made something and the answer is still on its way."""
    site.faults({"action": CREATING[kind], "kind": "slow", "delay_s": 600})
    process = site.partial(site.inventory(), 2)
    site.until(lambda: site.kinds()[kind], process)
    site.kill(process)
    site.faults()


@pytest.mark.parametrize("kind", CREATING)
def test_down_after_a_killed_up_leaves_nothing(site: Site, kind: str) -> None:
    killed_up(site, kind)
    done = site.run("down", "demo", "--yes")
    assert (done.code, done.err) == (0, "")
    assert site.kinds() == {}


@pytest.mark.parametrize("action", ["DeleteInstances", "DeleteKeyPairs", "DeleteVpc"])
def test_a_killed_down_is_gone_on_with(site: Site, action: str) -> None:
    site.up(site.inventory())
    site.faults({"action": action, "kind": "slow", "delay_s": 600})
    process = site.start("down", "demo", "--yes")
    site.until(lambda: action in site.actions(), process)
    site.kill(process)
    site.faults()
    assert site.run("down", "demo", "--yes").code == 0
    assert site.kinds() == {}


def test_down_proves_what_it_says(site: Site) -> None:
    """What was removed with its ids, and what was looked for afterwards."""
    site.up(site.inventory())
    ids = {resource["kind"]: resource["id"] for resource in site.simulator.resources}
    done = site.run("down", "demo", "--yes")
    assert done.code == 0
    for kind in ("vpc", "vswitch", "security-group", "key-pair", "instance"):
        assert ids[kind] in done.out.partition("Removed:")[2]
    assert "by tag provisioner:name=demo" in done.out
    assert done.out.rstrip().endswith(": 0 left.")
    assert site.simulator.resources == []


def test_down_as_json(site: Site) -> None:
    site.up(site.inventory())
    last = site.run("down", "demo", "--yes", "--json").lines[-1]
    assert last["left"] == []
    assert {"vpc", "vswitch", "security-group", "key-pair", "instance"} <= {each["kind"] for each in last["removed"]}
    assert all(each["id"] for each in last["removed"])


def test_a_second_down_finds_nothing_and_says_so(site: Site) -> None:
    site.up(site.inventory())
    site.run("down", "demo", "--yes")
    done = site.run("down", "demo", "--yes")
    assert done.code == 0
    assert "0 left" in done.out
    assert site.run("status", "demo", "--json").json["state"] == "removed"


def test_what_cannot_be_deleted_is_listed_and_the_rest_goes(site: Site) -> None:
    site.up(site.inventory())
    site.faults({"action": "DeleteKeyPairs", **STAYS})
    done = site.run("down", "demo", "--yes")
    assert done.code == 1
    assert "key-pair provisioner-demo-" in done.err
    assert "Forbidden.RAM" in done.err
    assert "run `provisioner down demo` again" in done.err
    assert site.kinds() == {"key-pair": 1}
    site.faults()
    assert site.run("down", "demo", "--yes").code == 0
    assert site.kinds() == {}


def test_an_error_while_looking_is_not_nothing_left(site: Site) -> None:
    site.up(site.inventory())
    site.faults({"action": "DescribeVpcs", **STAYS})
    done = site.run("down", "demo", "--yes")
    assert done.code == 1
    assert "0 left" not in done.out
    assert "Forbidden.RAM" in done.err
    assert site.run("status", "demo", "--json").json["state"] != "removed"


def test_what_the_lists_do_not_show_yet_goes_too(site: Site) -> None:
    """Ctrl-C and `down` at once: the cloud's lists lag by seconds."""
    site.up(site.inventory())
    site.faults({"action": "Describe*", "kind": "stale", "delay_s": 4, "times": None})
    site.simulator.advance(-3.5)  # everything is half a second old
    done = site.run("down", "demo", "--yes")
    site.faults()
    assert done.code == 0, done.err
    assert site.simulator.resources == []


def test_the_name_can_live_again(site: Site) -> None:
    """With new resources, a new key, and no token of the first life."""
    killed_up(site, "vpc")
    site.run("down", "demo", "--yes")
    site.up(site.inventory())
    assert site.kinds() == ONE_OF_EACH
    assert site.run("down", "demo", "--yes").code == 0
    assert site.simulator.resources == []


def test_the_neighbour_stays(site: Site) -> None:
    site.up(site.inventory("demo"), phases=1)
    site.up(site.inventory("demo-2"), phases=1)
    assert site.run("down", "demo", "--yes").code == 0
    assert site.kinds("demo") == {}
    assert site.kinds("demo-2") == {"vpc": 1, "vswitch": 1, "security-group": 1, "key-pair": 1}


# ------------------------------------------------------------------------------------------------ --rm


def test_rm_removes_all_after_a_failure(site: Site) -> None:
    """The first error is the one that is told."""
    site.faults({"action": "RunCommand", **STAYS})
    done = site.run("up", site.inventory(), "--yes", "--rm")
    assert done.code == 1
    assert "removing everything, as --rm asks" in done.err
    assert "RunCommand" in done.err.splitlines()[-1]
    assert "0 left" in done.out
    assert site.simulator.resources == []


def test_without_rm_a_failure_says_what_it_costs(site: Site) -> None:
    site.faults({"action": "RunCommand", **STAYS})
    done = site.run("up", site.inventory(), "--yes")
    assert done.code == 1
    assert "1 instance of demo exists, " in done.err
    assert " CNY an hour; `provisioner down demo` removes everything" in done.err
    assert site.kinds() == ONE_OF_EACH


def interrupted(site: Site, action: str, *options: str) -> tuple[int, str, str]:
    """Ctrl-C while a call of `up` is under way."""
    site.faults({"action": action, "kind": "slow", "delay_s": 600})
    process = site.start("up", site.inventory(), "--yes", *options)
    site.until(lambda: action in site.actions(), process)
    site.faults()
    process.send_signal(signal.SIGINT)
    return site.end(process)


@pytest.mark.parametrize("action", ["RunInstances", "RunCommand"])
def test_ctrl_c_with_rm_removes_all(site: Site, action: str) -> None:
    """Also an instance whose creation was not answered yet."""
    code, out, err = interrupted(site, action, "--rm")
    assert code == 130
    assert err.splitlines()[-1] == "provisioner: interrupted: everything was removed"
    assert "0 left" in out
    assert site.simulator.resources == []


@pytest.mark.parametrize(
    ("action", "said"),
    [
        ("RunCommand", "1 instance of demo exists, "),
        ("RunInstances", "1 instance of demo may exist, "),
        ("CreateVSwitch", "no instance of demo exists, and its network costs nothing"),
    ],
)
def test_ctrl_c_says_what_exists_what_it_costs_and_what_removes_it(site: Site, action: str, said: str) -> None:
    code, _, err = interrupted(site, action)
    assert code == 130
    (line,) = err.splitlines()
    assert line.startswith(f"provisioner: interrupted: {said}")
    assert line.endswith("`provisioner down demo` removes everything")
    assert ("CNY an hour" in line) is (action != "CreateVSwitch")
    assert site.kinds()["vpc"] == 1


def test_after_ctrl_c_the_same_up_goes_on(site: Site) -> None:
    interrupted(site, "RunInstances")
    site.up(site.inventory())
    assert site.kinds() == ONE_OF_EACH


def test_sigterm_is_ctrl_c(site: Site) -> None:
    """A CI job that is cancelled."""
    site.faults({"action": "RunCommand", "kind": "slow", "delay_s": 600})
    process = site.start("up", site.inventory(), "--yes", "--rm")
    site.until(lambda: "RunCommand" in site.actions(), process)
    site.faults()
    process.send_signal(signal.SIGTERM)
    code, _, _ = site.end(process)
    assert code == 130
    assert site.simulator.resources == []


def test_ctrl_c_while_removing_says_how_to_go_on(site: Site) -> None:
    site.up(site.inventory())
    site.faults({"action": "DeleteVSwitch", "kind": "slow", "delay_s": 600})
    process = site.start("down", "demo", "--yes")
    site.until(lambda: "DeleteVSwitch" in site.actions(), process)
    process.send_signal(signal.SIGINT)
    code, _, err = site.end(process)
    assert code == 130
    assert "`provisioner down demo` goes on with it" in err
    site.faults()
    assert site.run("down", "demo", "--yes").code == 0


def test_events_are_on_the_disk(site: Site) -> None:
    """What happened, for whoever comes later."""
    site.up(site.inventory())
    site.run("down", "demo", "--yes")
    path = site.folder / "state/provisioner/demo/events.jsonl"
    events = [json.loads(line) for line in path.read_text().splitlines()]
    assert [event["step"] for event in events if event["kind"] == "done"][-1] == "host-keys"
    assert [event["step"] for event in events if event["kind"] == "undone"] == (
        ["instances", "key-pair", "security-group", "vswitch", "vpc"]
    )


def test_a_deployment_of_before_with_its_ed25519_key(site: Site) -> None:
    """Keys were Ed25519 under another name: such a deployment is still reached, and its key goes with it."""
    site.up(site.inventory())
    folder = site.folder / "state/provisioner/demo"
    key = folder / "id_ed25519"
    (folder / "id_rsa").rename(key)
    assert site.run("exec", "demo", "--", "echo", "reached").out == "reached\n"
    assert site.up(site.inventory())["changed"] == 0
    site.run("down", "demo", "--yes")
    assert not key.exists()


def test_a_folder_without_traces_of_a_secret(site: Site, make_site: Callable[..., Site]) -> None:
    """The key is the owner's alone while it lives, and goes with the deployment."""
    site.up(site.inventory())
    folder = site.folder / "state/provisioner/demo"
    key = folder / "id_rsa"
    assert key.stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700
    site.run("down", "demo", "--yes")
    assert not key.exists()
    assert not (folder / "known_hosts").exists()
    assert not (folder / "secrets").exists()
