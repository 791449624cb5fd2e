"""Commands that ask the cloud, against the simulator: what they show, and that looking changes nothing."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import PATIENCE_S, command, environment, provisioner
from tests.support.site import ONE_OF_EACH, Site

LOOKING = re.compile(r"Describe\w+|List\w+|GetCallerIdentity")


def changing(calls: list[dict[str, Any]]) -> list[str]:
    """The calls that are neither a look nor a dry run."""
    return [
        c["action"]
        for c in calls
        if not LOOKING.fullmatch(c["action"]) and c["params"].get("DryRun", "").lower() != "true"
    ]


# ------------------------------------------------------------------------------------------------ plan --online


def test_plan_online_shows_who_stock_and_price_and_changes_nothing(site: Site) -> None:
    done = site.run("plan", site.inventory(cloud=", count: 2"), "--online")
    assert (done.code, done.err) == (0, "")
    assert "Online, as acs:ram::" in done.out
    assert "ecs.hfc7.large: in stock in cn-hangzhou-" in done.out
    assert "SSH is let in from 127.0.0.1/32 (this machine's address as the internet sees it)" in done.out
    assert re.search(r"price [\d.]+ CNY an hour for 2 x ecs\.hfc7\.large", done.out)
    assert "at most " in done.out
    assert done.out.rstrip().endswith("Nothing was changed.")
    assert changing(site.simulator.calls) == []
    assert site.simulator.resources == []
    assert not (site.folder / "state").exists()


def test_an_output_that_is_not_utf8_ends_nothing(site: Site) -> None:
    """A cron job, an old terminal: what it cannot show is shown escaped."""
    inventory = site.inventory(cloud=', tags: {team: "\u56e2\u961f"}')
    site.up(inventory)
    for words in (["plan", inventory], ["plan", inventory, "--online"], ["plan", inventory, "--json"], ["status"]):
        for more in ({"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, {"PYTHONIOENCODING": "latin-1"}):
            done = site.run(*words, **more)
            assert (done.code, done.err) == (0, ""), (words, more)
            assert "Traceback" not in done.out
            assert done.out


def test_plan_online_says_what_is_there_already(site: Site) -> None:
    """Once something exists each step is looked at, and nothing is changed; what lies behind the absent is unknown."""
    inventory = site.inventory()
    site.up(inventory, 1)
    before = len(site.simulator.resources)
    found = site.run("plan", inventory, "--online", "--json").json["online"]["steps"]
    presence = {entry["step"]: entry["presence"] for entry in found}
    assert {step: presence[step] for step in ("vpc", "vswitch", "key-pair")} == dict.fromkeys(
        ("vpc", "vswitch", "key-pair"), "present"
    )
    assert presence["instances"] == "absent"
    assert presence["train/float32"] == "unknown"
    assert len(site.simulator.resources) == before


def test_plan_online_as_json(site: Site) -> None:
    document = site.run("up", site.inventory(), "--dry-run", "--online", "--json").json
    assert list(document) == ["name", "resources", "steps", "files", "warnings", "online"]
    assert {"identity", "image", "stock", "price", "dry_run"} <= set(document["online"])
    assert document["online"]["price"]["per_hour"] > 0
    assert changing(site.simulator.calls) == []


def unlisted(site: Site, types: str, *, cloud: str = "") -> Path:
    """An inventory of types that no list knows."""
    path = site.inventory(cloud=cloud)
    path.write_text(re.sub(r"instance_types: \[[^]]*\]", f"instance_types: [{types}]", path.read_text()))
    assert types in path.read_text()
    return path


def test_a_type_that_no_list_knows_is_a_warning_offline_and_described_by_the_service_online(site: Site) -> None:
    """Its cores too: eight workers of a whole core each, where the offline plan shows a stand-in."""
    inventory = unlisted(site, "ecs.x9ae.8xlarge")
    offline = site.run("plan", inventory, "--json").json
    assert [warning for warning in offline["warnings"] if warning.startswith("ecs.x9ae.8xlarge is not in the catalog")]
    assert site.simulator.calls == []
    online = site.run("plan", inventory, "--online", "--json").json
    assert not [warning for warning in online["warnings"] if "x9ae" in warning or "stand-in" in warning]
    (workers,) = [file["content"] for file in online["files"] if file["path"].endswith("start-workers.sh")]
    assert "numactl -C 0-6 " in workers or "-C 0-6" in workers
    assert changing(site.simulator.calls) == []


def test_up_asks_about_such_a_type_before_it_creates_anything(site: Site) -> None:
    inventory = unlisted(site, "ecs.x9ae.large")
    site.up(inventory)
    actions = site.actions()
    assert actions.index("DescribeInstanceTypes") < actions.index("CreateVpc") < actions.index("RunInstances")
    state = json.loads((site.folder / "state/provisioner/demo/state.json").read_text())
    assert [host["instance_type"] for host in state["hosts"]] == ["ecs.x9ae.large"]


def test_a_processor_that_cannot_do_bf16_is_refused_online_and_by_up(site: Site) -> None:
    inventory = unlisted(site, "ecs.x6.xlarge")
    assert site.run("plan", inventory).code == 0
    for words in (["plan", inventory, "--online"], ["up", inventory, "--yes"]):
        done = site.run(*words)
        assert done.code == 2
        assert "ecs.x6.xlarge cannot do bfloat16: its processor is Intel Xeon(Cascade Lake) Platinum 8269CY" in done.err
        assert "the nearest type that can is ecs.hfg7.xlarge" in done.err
    assert site.simulator.resources == []
    allowed = unlisted(site, "ecs.x6.xlarge", cloud=", allow_any_type: true")
    assert site.run("plan", allowed, "--online").code == 0


def test_a_name_that_tells_no_processor_and_a_type_that_nobody_has(site: Site) -> None:
    done = site.run("plan", unlisted(site, "ecs.x0i.xlarge"), "--online")
    assert done.code == 0
    assert "'Intel(R) Xeon(R) Platinum', which does not tell its generation" in done.out
    done = site.run("plan", unlisted(site, "ecs.nobody.xlarge"), "--online")
    assert done.code == 1
    assert "the service does not know ecs.nobody.xlarge" in done.err


def test_an_image_family_that_no_list_knows_is_asked_of_the_service(site: Site) -> None:
    done = site.run("plan", site.inventory(cloud=", image_family: acs:debian_99_1_x64"), "--online")
    assert done.code == 0, done.err
    assert "acs:debian_99_1_x64 is not in the catalog" in done.out
    assert "image debian_99_1_x64_20G_alibase_20260513.vhd" in done.out
    done = site.run("plan", site.inventory(cloud=", image_family: acs:nobody_1_x64"), "--online")
    assert done.code == 1
    assert "the image family acs:nobody_1_x64 has no image" in done.err


def test_with_a_network_of_ones_own_the_creating_call_itself_is_tried(site: Site) -> None:
    """RunInstances with DryRun: permissions, parameters and stock, and nothing is made."""
    from tests.simulator.client import Client

    network = Client(site.simulator).network("cn-hangzhou-i")
    cloud = (
        f", zones: [cn-hangzhou-i], vpc_id: {network['vpc']}, vswitch_id: {network['switch']}, "
        f"security_group_id: {network['group']}"
    )
    before = len(site.simulator.calls)
    done = site.run("plan", site.inventory(cloud=cloud), "--online")
    assert done.code == 0, done.err
    assert "RunInstances dry run: passed" in done.out
    (run,) = [call for call in site.simulator.calls if call["action"] == "RunInstances"]
    assert run["params"]["DryRun"].lower() == "true"
    assert changing(site.simulator.calls[before:]) == []


OF_EACH_CALL = {"ClientToken", "DryRun", "AutoReleaseTime"}


def test_the_request_that_is_tried_is_the_one_that_up_makes(site: Site) -> None:
    """The login, the key pair, user data: whatever the service might refuse."""
    from tests.simulator.client import Client

    client = Client(site.simulator)
    network = client.network("cn-hangzhou-i")
    client.call("CreateKeyPair", KeyPairName="mine")
    inventory = site.folder / "own.yaml"
    inventory.write_text(
        "{name: own, provider: simulator, runtime: host, ssh: {user: ecs-user}, cloud: {instance_types: "
        f"[ecs.hfc7.large], zones: [cn-hangzhou-i], vpc_id: {network['vpc']}, vswitch_id: {network['switch']}, "
        f"security_group_id: {network['group']}, key_pair: mine, ram_role: role, deletion_protection: true, "
        "user_data: '#!/bin/sh', spot: {}, count: 2, system_disk: {size_gib: 60}}}"
    )
    assert site.run("plan", inventory, "--online").code == 0
    site.up(inventory)
    tried, made = [call["params"] for call in site.simulator.calls if call["action"] == "RunInstances"]
    assert tried["ImageOptions.LoginAsNonRoot"].lower() == "true"

    def asked(parameters: dict[str, str]) -> dict[str, str]:
        return {k: v for k, v in parameters.items() if k not in OF_EACH_CALL and not k.startswith("Tag.")}

    assert asked(tried) == asked(made)
    prices = [call["params"] for call in site.simulator.calls if call["action"] == "DescribePrice"]
    assert len(prices) == 2
    assert prices[0] == prices[1]


def test_the_quota_is_counted_for_the_type_that_will_be_taken(make_site: Callable[..., Site]) -> None:
    """The first one listed needs more than is left, but is not in stock."""
    site = make_site(quotas={"vcpus": 8})
    site.faults({"kind": "no-stock", "instance_type": "ecs.hfc7.24xlarge"})
    inventory = site.inventory()
    inventory.write_text(
        inventory.read_text().replace("ecs.hfc7.large, ecs.hfg7.large", "ecs.hfc7.24xlarge, ecs.hfg7.large")
    )
    done = site.run("plan", inventory, "--online")
    assert (done.code, done.err) == (0, "")
    assert "quota: 2 vCPUs needed, 8 free" in done.out
    site.faults()
    refused = site.run("plan", inventory, "--online")
    assert refused.code == 1
    assert "1 x ecs.hfc7.24xlarge need 96 vCPUs, the account's quota has 8 left" in refused.err


@pytest.mark.parametrize(
    "fault",
    [
        {"action": "DescribePrice", "code": "PriceNotFound", "status": 400},
        {"action": "DescribeImages", "code": "InvalidInstanceType.ValueNotSupported", "status": 400},
    ],
    ids=lambda fault: str(fault["code"]),
)
def test_the_plan_too_goes_on_to_the_next_candidate(site: Site, fault: dict[str, Any]) -> None:
    site.faults({"kind": "error", "times": 1, **fault})
    done = site.run("plan", site.inventory(), "--online", "--json")
    assert done.code == 0, done.err
    assert done.json["online"]["first_choice"] != {"instance_type": "ecs.hfc7.large", "zone": "cn-hangzhou-h"}


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"kind": "no-stock"}, "none of ecs.hfc7.large, ecs.hfg7.large is in stock in cn-hangzhou"),
        (
            {"action": "GetCallerIdentity", "kind": "error", "code": "InvalidAccessKeyId.NotFound", "status": 404},
            "InvalidAccessKeyId.NotFound",
        ),
        (
            {"action": "DescribePrice", "kind": "error", "code": "Forbidden.RAM", "status": 403, "times": None},
            "Forbidden.RAM",
        ),
    ],
    ids=["no stock", "no such key", "no permission"],
)
def test_plan_online_says_what_up_would_fail_of(site: Site, fault: dict[str, Any], said: str) -> None:
    site.faults(fault)
    done = site.run("plan", site.inventory(), "--online")
    assert done.code == 1
    assert said in done.err
    assert "Plan for demo" in done.out


def test_proxies_in_the_environment_do_not_matter_to_a_simulator(site: Site) -> None:
    """Calls to loopback never go through a proxy."""
    nowhere = "http://127.0.0.1:9"
    proxies = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY"), nowhere)
    done = site.run("plan", site.inventory(), "--online", **proxies)
    assert (done.code, done.err) == (0, "")


def test_the_users_own_credentials_are_neither_needed_nor_sent(site: Site) -> None:
    """provider: simulator has a documented pair of its own."""
    keys = {"ALIBABA_CLOUD_ACCESS_KEY_ID": "my-key-id", "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "my-key-secret"}
    done = site.run("plan", site.inventory(), "--online", **keys)
    assert done.code == 0, done.err
    assert "my-key" not in json.dumps(site.simulator.calls)


def test_an_endpoint_that_is_none_is_a_wrong_command(tmp_path: Path, site: Site) -> None:
    done = provisioner("plan", site.inventory(), "--online", PROVISIONER_ENDPOINT="localhost")
    assert done.code == 2
    assert "PROVISIONER_ENDPOINT=localhost is not a URL" in done.err


def test_without_credentials_the_real_cloud_is_not_called(site: Site) -> None:
    """provider: alibaba in an empty home: what is missing and where to put it."""
    path = site.inventory()
    path.write_text(path.read_text().replace("provider: simulator", "provider: alibaba"))
    done = provisioner("plan", path, "--online", ALIBABA_CLOUD_ECS_METADATA_DISABLED="true")
    assert done.code == 1
    assert "redentials" in done.err
    assert "Traceback" not in done.err


def test_provider_alibaba_runs_the_same_code_against_the_endpoint(site: Site) -> None:
    path = site.inventory()
    path.write_text(path.read_text().replace("provider: simulator", "provider: alibaba"))
    key_id, secret = site.simulator.key_pair
    keys = {"ALIBABA_CLOUD_ACCESS_KEY_ID": key_id, "ALIBABA_CLOUD_ACCESS_KEY_SECRET": secret}
    done = site.run("plan", path, "--online", **keys)
    assert done.code == 0, done.err
    wrong = site.run("plan", path, "--online", **{**keys, "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "wrong"})
    assert wrong.code == 1
    assert secret not in wrong.err


# ------------------------------------------------------------------------------------------------ status, types


def test_status_asks_the_cloud(site: Site) -> None:
    """Hosts with their states, age, cost so far, and when they release themselves."""
    site.up(site.inventory(cloud=", count: 2"))
    site.simulator.advance(1800)
    found = site.run("status", "demo", "--json").json
    assert [(host["name"], host["state"]) for host in found["hosts"]] == [
        ("demo-001", "Running"),
        ("demo-002", "Running"),
    ]
    assert all(host["address"] and host["id"].startswith("i-") and host["type"] for host in found["hosts"])
    assert found["cost"]["currency"] == "CNY"
    assert found["cost"]["per_hour"] > 0
    assert 0 < found["release_in_s"] <= 3660  # to the full minute
    table = site.run("status").out
    assert "demo-001" in table
    assert "demo-002" in table
    assert "CNY" in table


def test_status_notices_what_ended_by_itself(site: Site) -> None:
    """Auto-release: the simulated time goes on by two hours."""
    site.up(site.inventory())
    site.simulator.advance(7200)
    site.until(lambda: site.kinds()["instance"] == 0)
    found = site.run("status", "demo", "--json").json
    assert found["state"] == "no instances"
    assert found["hosts"] == []


def test_types_of_a_region_have_stock_and_price(site: Site) -> None:
    found = {each["instance_type"]: each for each in site.run("types", "--region", "cn-hangzhou", "--json").json}
    assert found["ecs.hfc7.large"]["zones"]
    assert found["ecs.hfc7.large"]["pay_as_you_go"] > found["ecs.hfc7.large"]["spot"] > 0
    assert changing(site.simulator.calls) == []


def test_a_price_that_is_not_told_is_a_dash(site: Site) -> None:
    """The types before and after it have theirs."""
    refusals = [("PriceNotFound", 400), ("OperationDenied", 403)]
    site.faults(
        *({"action": "DescribePrice", "kind": "error", "code": code, "status": status} for code, status in refusals)
    )
    done = site.run("types", "--region", "cn-hangzhou", "--json")
    assert done.code == 0, done.err
    priced = [each["pay_as_you_go"] is not None for each in done.json if each["zones"]]
    assert priced.count(False) == 2
    assert priced.count(True) > 20


def test_without_the_permission_to_ask_for_prices_types_says_so(site: Site) -> None:
    site.faults({"action": "DescribePrice", "kind": "error", "code": "Forbidden.RAM", "status": 403, "times": None})
    done = site.run("types", "--region", "cn-hangzhou")
    assert done.code == 1
    assert "Forbidden.RAM" in done.err


# ------------------------------------------------------------------------------------------------ up


def test_up_as_json_is_events_and_nothing_else(site: Site) -> None:
    """Fails in the third phase: nothing may be logged into."""
    site.faults({"action": "RunCommand", "kind": "error", "code": "Forbidden.RAM", "status": 403, "times": None})
    done = site.run("up", site.inventory(), "--yes", "--json")
    assert done.code == 1
    kinds = {line["kind"] for line in done.lines}
    assert {"phase", "start", "done"} <= kinds
    assert next(line["step"] for line in done.lines if line["kind"] == "done") == "vpc"


def test_two_at_once_are_one(site: Site) -> None:
    """The second `up` is told who is at work, and the first is not disturbed."""
    site.faults({"action": "RunInstances", "kind": "slow", "delay_s": 600})
    first = site.partial(site.inventory(), 2)
    site.until(lambda: "RunInstances" in site.actions(), first)
    for words in (["up", site.inventory(), "--yes"], ["down", "demo", "--yes"]):
        second = site.run(*words)
        assert second.code == 1
        assert f"(pid {first.pid})" in second.err
        assert "deployment demo is in use by" in second.err
    site.kill(first)
    site.faults()
    site.up(site.inventory())  # the lock ended with its process
    assert site.kinds() == ONE_OF_EACH


def test_a_deployment_of_the_same_name_elsewhere_is_neither_taken_nor_removed(site: Site) -> None:
    """Two people, one account, one inventory."""
    site.up(site.inventory(), phases=1)
    (site.folder / "state").rename(site.folder / "elsewhere")
    done = site.run("up", site.inventory(), "--yes")
    assert done.code == 1
    assert "the name demo is taken by another run: vpc-" in done.err
    assert site.run("down", "demo", "--yes").code == 0
    assert site.kinds()["vpc"] == 1


# ------------------------------------------------------------------------------------------------ simulator


@pytest.fixture(name="served")
def _served(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`provisioner simulator serve` in a process of its own, and its endpoint."""
    process = subprocess.Popen(
        command("simulator", "serve", "--port", "0", "--machines", "process", "--pace", "0"),
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("simulator at http://127.0.0.1:"), (line, process.poll())
        yield process, line.split()[-1]
    finally:
        process.kill()
        process.communicate(timeout=PATIENCE_S)


def test_a_simulator_for_anybody(served: tuple[subprocess.Popen[str], str], site: Site) -> None:
    process, endpoint = served
    assert process.stdout is not None
    assert process.stdout.readline().strip() == f"export PROVISIONER_ENDPOINT={endpoint}"
    done = provisioner("plan", site.inventory(), "--online", PROVISIONER_ENDPOINT=endpoint)
    assert done.code == 0, done.err
    with urllib.request.urlopen(f"{endpoint}/_simulator/calls", timeout=PATIENCE_S) as answer:
        assert "GetCallerIdentity" in {call["action"] for call in json.load(answer)}
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode in (0, 130)
    assert "Traceback" not in err


def runs(pid: int) -> bool:
    """Whether a process is more than the note of its end."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_simulator_of_ones_own_outlives_the_command_and_is_stopped(site: Site) -> None:
    """Without PROVISIONER_ENDPOINT provider: simulator starts one in the background, once."""
    path = site.inventory()
    try:
        assert provisioner("plan", path, "--online").code == 0
        running = provisioner("simulator", "status").out
        found = re.search(r"simulator at (\S+), pid (\d+), machines: process", running)
        assert found, running
        assert provisioner("plan", path, "--online").code == 0
        assert provisioner("simulator", "status").out == running
        assert provisioner("simulator", "stop").out == "stopped\n"
        assert not runs(int(found.group(2)))
        assert provisioner("simulator", "status").out == "no simulator is running\n"
        assert provisioner("simulator", "stop").out == "no simulator was running\n"
    finally:
        assert provisioner("simulator", "clean").code == 0


# ------------------------------------------------------------------------------------------------ up


@pytest.mark.parametrize(
    ("image", "said"),
    [
        ("{pull: 'team/image:1'}", "comes from docker.io, which does not answer in cn-hangzhou"),
        ("{build: spark, build_arguments: {PYTHON: '3'}}", "spark takes no PYTHON"),
    ],
)
@pytest.mark.parametrize("more", [["--yes"], ["--yes", "--rm"]], ids=" ".join)
def test_what_the_plan_refuses_costs_nothing(site: Site, image: str, said: str, more: list[str]) -> None:
    """Also where nobody looks at the plan: nothing is created, and no folder is left."""
    path = site.folder / "refused.yaml"
    path.write_text(f"name: refused\nprovider: alibaba\ncloud: {{ssh_from: [127.0.0.1/32]}}\nimage: {image}\n")
    key_id, secret = site.simulator.key_pair
    done = site.run("up", path, *more, ALIBABA_CLOUD_ACCESS_KEY_ID=key_id, ALIBABA_CLOUD_ACCESS_KEY_SECRET=secret)
    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert site.simulator.calls == []
    assert not (site.folder / "state").exists()
