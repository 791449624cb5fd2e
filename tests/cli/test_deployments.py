"""Commands about a deployment that exists: report, status, exec, cp, logs, down, and who may work on it."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from provisioner import inventory
from provisioner.adapters.clock import SystemClock
from provisioner.adapters.store import FolderStore
from provisioner.deployment.journal import Journal
from provisioner.deployment.state import GivenImage, Place, State
from provisioner.errors import DriftError
from provisioner.hosts.address import HostAddress
from provisioner.operations import opening, wiring
from provisioner.operations.up import has_images
from tests.support.cli import PATIENCE_S, command, environment, provisioner, write
from tests.support.deployments import began, left_open, place_of, spec
from tests.support.ssh_server import free_port

MINE = "name: mine\nprovider: local\nruntime: host\n"
LOCAL = Place(provider="local")
STATIC = "name: mine\nprovider: static\nruntime: host\nhosts: [{name: a, address: 192.0.2.1}]\n"


def deployed(text: str = MINE, **values: Any) -> FolderStore:
    """A deployment as `up` leaves it; measurements are of its own life unless they say otherwise."""
    store = began(inventory.parse(text), **values)
    with store.changing() as state:
        state.results = tuple({"life": state.run_id, **result} for result in state.results)
    return store


def result(dtype: str, speed: float, **more: Any) -> dict[str, Any]:
    return {
        "key": dtype,
        "model": "resnet50",
        "mode": "train",
        "dtype": dtype,
        "engine": "spark",
        "workers": 2,
        "batch_size": 32,
        "images_per_second": speed,
        "steps": 12,
        "final_loss": 6.9,
        "host": {"cpu": "A processor", "isa": ["avx512_bf16"], "cores": 2},
        "versions": {"tensorflow": "2.21.0"},
        **more,
    }


def journal(store: FolderStore) -> Journal:
    return Journal(store, SystemClock(), lambda text: None)


BOTH = [result("float32", 10.0), result("bfloat16", 17.0)]


# ------------------------------------------------------------------------------------------------ report


def test_report_json_has_the_designs_keys() -> None:
    deployed(results=BOTH)
    document = provisioner("report", "mine", "--format", "json").json
    assert list(document) == ["name", "results", "speedup", "host", "versions", "ratios"]
    wanted = ["model", "mode", "dtype", "engine", "workers", "batch_size", "images_per_second", "steps", "final_loss"]
    assert [list(each)[: len(wanted)] for each in document["results"]] == [wanted, wanted]
    assert document["speedup"] == {"train": 1.7}
    assert set(document["host"]) == {"cpu", "isa", "cores"}


def test_report_in_every_other_format(tmp_path: Path) -> None:
    deployed(results=BOTH)
    table = provisioner("report", "mine")
    assert table.out == provisioner("report", "mine", "--format", "table").out
    assert "1.700" in table.out
    rows = list(csv.DictReader(io.StringIO(provisioner("report", "mine", "--format", "csv").out)))
    assert [row["dtype"] for row in rows] == ["float32", "bfloat16"]
    assert "| 1.700 |" in provisioner("report", "mine", "--format", "md").out
    done = provisioner("report", "mine", "--format", "html", "--output", tmp_path / "mine.html")
    assert (done.code, done.out) == (0, "")
    HTMLParser().feed((tmp_path / "mine.html").read_text())
    assert "<td>1.700</td>" in (tmp_path / "mine.html").read_text()


@pytest.mark.parametrize("output_format", ["table", "json", "csv", "md", "html"])
@pytest.mark.parametrize(
    "encoding", [{"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, {"PYTHONIOENCODING": "latin-1"}]
)
def test_report_for_an_output_that_is_not_utf8(encoding: dict[str, str], output_format: str, tmp_path: Path) -> None:
    """A cron job, an old terminal: what it cannot show is shown escaped."""
    deployed(results=[result("float32", 10.0, host={"cpu": "\u81f3\u5f3a", "isa": [], "cores": 2})])
    done = subprocess.run(
        command("report", "mine", "--format", output_format),
        env=environment(**encoding),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"10.0" in done.stdout
    assert b"\\u81f3\\u5f3a" in done.stdout


def test_report_of_what_was_removed_is_still_there() -> None:
    store = deployed(results=BOTH)
    opening.ended(store)
    assert "17.000" in provisioner("report", "mine").out


def test_report_that_cannot_be(tmp_path: Path) -> None:
    deployed()
    assert provisioner("report", "mine").err == (
        "provisioner: mine has no measurements yet: `provisioner run mine` makes them\n"
    )
    wrong = provisioner("report", "mine", "--format", "pdf")
    assert wrong.code == 2
    assert "csv, html, json, md, table" in wrong.err
    deployed(results=BOTH)
    nowhere = provisioner("report", "mine", "--output", tmp_path / "none/mine.txt")
    assert nowhere.code == 1
    assert str(tmp_path / "none/mine.txt") in nowhere.err
    assert "mistake in this program" not in nowhere.err


def test_each_runs_curves_are_in_the_report() -> None:
    """From that run's own log, whatever else is in it."""
    store = deployed(results=[{**BOTH[0], "run": "train-float32-1"}, {**BOTH[0], "run": "train-float32-2"}, BOTH[1]])
    for run, losses in (("train-float32-1", (6.9, 6.5)), ("train-float32-2", (6.8, None))):
        store.append(f"logs/{run}.log", "a line of Spark's")
        for step, loss in enumerate(losses, 1):
            fields = {"step": step, "loss": loss, "images_per_second": 10.0, "elapsed_s": 1.0}
            store.append(f"logs/{run}.log", json.dumps({"event": "interval", **fields}))
        scores = {"step": 2, "epoch": 1.0, "top_1": 0.5, "top_5": 0.9, "images": 10}
        store.append(f"logs/{run}.log", json.dumps({"event": "evaluation", **scores}))
    first, second, without = provisioner("report", "mine", "--format", "json").json["results"]
    assert [one["loss"] for one in first["intervals"]] == [6.9, 6.5]
    assert [one["loss"] for one in second["intervals"]] == [6.8, None]
    assert first["evaluations"] == [scores]
    assert (without["intervals"], without["evaluations"]) == ([], [])


def test_report_compare() -> None:
    """Two deployments, or two runs of one; as a table and as JSON."""
    deployed(results=[{**BOTH[0], "run": "train-float32-1"}, {**BOTH[0], "run": "train-float32-2", "batch_size": 64}])
    deployed(MINE.replace("mine", "other"), results=[result("float32", 12.5, versions={"tensorflow": "2.16.0"})])
    document = provisioner("report", "--compare", "mine", "other", "--format", "json").json
    assert list(document) == ["names", "throughput", "differences"]
    (row,) = document["throughput"]
    assert (row["values"], row["difference"], row["ratio"]) == ([10.0, 12.5], 2.5, 1.25)
    differences = {each["name"]: each["values"] for each in document["differences"]}
    assert differences == {"batch_size": ["64", "32"], "versions.tensorflow": ["2.21.0", "2.16.0"]}
    table = provisioner("report", "--compare", "mine/train-float32-1", "mine/train-float32-2").out
    assert "mine/train-float32-1 | mine/train-float32-2" in table
    assert "batch_size" in table
    for words, message in (
        (["--compare", "mine"], "takes two"),
        (["mine", "other"], "takes one"),
        (["--compare", "mine", "other", "--format", "html"], "table, json"),
        (["--compare", "mine/none", "other"], "its runs are train-float32-1, train-float32-2"),
    ):
        wrong = provisioner("report", *words)
        assert (wrong.code, message in wrong.err) == (2, True), wrong.err


def test_the_program_names_its_commit_in_a_checkout() -> None:
    from provisioner import __version__

    assert wiring.program().startswith(__version__)
    if (Path(wiring.__file__).parents[2] / ".git").exists():
        assert "(" in wiring.program()


# ------------------------------------------------------------------------------------------------ status


def test_status_of_nothing() -> None:
    assert provisioner("status").out == "no deployments\n"
    assert provisioner("status", "--json").json == []


def test_status_json() -> None:
    """One object for one name, a list for all; of one name the hosts are asked as well."""
    deployed(STATIC.replace("192.0.2.1", f"127.0.0.1, port: {free_port()}"), results=BOTH)
    one = provisioner("status", "mine", "--json").json
    (host,) = one["hosts"]
    assert list(host.pop("inside")) == ["problem"]
    assert host == {"name": "a", "address": "127.0.0.1", "state": "not ours"}
    assert (one["name"], one["provider"], one["state"], one["results"]) == ("mine", "static", "exists", 2)
    assert one["age_s"] >= 0
    assert {"cost", "release_in_s"} <= set(one)
    assert [each["name"] for each in provisioner("status", "--json").json] == ["mine"]


def test_status_of_what_was_removed() -> None:
    store = deployed()
    opening.ended(store)
    assert provisioner("status", "mine", "--json").json["state"] == "removed"
    assert "removed" in provisioner("status").out


# ------------------------------------------------------------------------------------------------ hosts


def test_exec_runs_there_and_ends_as_it_ended() -> None:
    store = deployed()
    done = provisioner("exec", "mine", "--", "echo", "two words", "$HOME")
    assert (done.code, done.out) == (0, "two words $HOME\n")
    assert provisioner("exec", "mine", "--", "pwd; exit 3").out == f"{store.folder}/host\n"
    assert provisioner("exec", "mine", "--", "exit 3").code == 3
    assert provisioner("exec", "mine", "--host", "b", "--", "true").code == 2
    assert "its hosts are localhost" in provisioner("exec", "mine", "--host", "b", "--", "true").err


def test_cp_takes_files_and_folders_both_ways(tmp_path: Path) -> None:
    store = deployed()
    (tmp_path / "data/sub").mkdir(parents=True)
    write(tmp_path / "data/a", "a").chmod(0o755)
    write(tmp_path / "data/sub/b", "b")
    assert provisioner("cp", "data/a", "mine:there/a", cwd=tmp_path).out == "1 of 1: a, 0.0 MiB\n1 file copied\n"
    assert (store.folder / "host/there/a").read_text() == "a"
    assert os.access(store.folder / "host/there/a", os.X_OK)
    both = "1 of 2: a, 0.0 MiB\n2 of 2: sub/b, 0.0 MiB\n2 files copied\n"
    assert provisioner("cp", "data", "mine:there", cwd=tmp_path).out == both
    assert (store.folder / "host/there/data/sub/b").read_text() == "b"
    assert provisioner("cp", "mine/localhost:there/data", "back", cwd=tmp_path).out.endswith("2 files copied\n")
    assert (tmp_path / "back/sub/b").read_text() == "b"
    assert provisioner("cp", "mine:there/a", ".", cwd=tmp_path).code == 0
    assert (tmp_path / "a").read_text() == "a"


def test_cp_of_nothing(tmp_path: Path) -> None:
    deployed()
    assert provisioner("cp", "none", "mine:none", cwd=tmp_path).code == 2
    done = provisioner("cp", "mine:none", "here", cwd=tmp_path)
    assert done.code == 1
    assert "none" in done.err
    assert not (tmp_path / "here").exists()


def test_logs_show_what_was_written_here_and_there() -> None:
    store = deployed()
    store.append("logs/train-float32.log", "a line of the training")
    folder = store.folder / "host/provisioner/mine/logs"
    folder.mkdir(parents=True)
    write(folder / "workers.log", "a line of Spark's\n")
    out = provisioner("logs", "mine").out
    assert "a line of the training" in out
    assert "a line of Spark's" in out


def test_logs_show_what_commands_printed_on_the_host_that_is_named() -> None:
    """Without a name the logs of a hundred hosts would bury the training's."""
    store = deployed()
    store.append("logs/train-float32.log", "a line of the training")
    store.append("logs/localhost.log", "a line of apt's")
    opening.ended(store)
    assert "a line of apt's" not in provisioner("logs", "mine").out
    named = provisioner("logs", "mine", "--host", "localhost").out
    assert "a line of apt's" in named
    assert "a line of the training" in named
    wrong = provisioner("logs", "mine", "--host", "b")
    assert (wrong.code, wrong.out) == (2, "")


def test_a_deployments_secrets_do_not_show_in_its_hosts_logs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGISTRY_PASSWORD", "pass-of-registry")
    image = "image: {pull: x/y:1, registry_login: {username: me, password_env: REGISTRY_PASSWORD}}\n"
    text = STATIC.replace("runtime: host\n", f"runtime: docker\n{image}")
    store = deployed(text)
    generated = store.secret("spark").reveal()
    logs = wiring.ports(inventory.parse(text), store, lambda event: None).host_logs
    assert logs is not None
    logs.append("a", f"{generated} pass-of-registry")
    assert logs.path("a").read_text().endswith(" ******** ********\n")


def test_a_registrys_password_is_not_asked_for_again_while_every_host_has_the_image() -> None:
    text = STATIC.replace("runtime: host\n", "runtime: docker\nimage: {pull: x/y:1}\n")
    spec = inventory.parse(text)
    assert not has_images(spec)
    store = deployed(text)
    assert not has_images(spec)
    with store.changing() as state:
        state.images = {"a": GivenImage(tag="x/y:1", digest="sha256:1")}
    assert has_images(spec)
    assert not has_images(inventory.parse(text.replace("x/y:1", "x/y:2")))
    opening.ended(store)
    assert not has_images(spec)
    with opening.opened(spec, lambda event: None, create=True):  # a new life: of its hosts nothing is known
        pass
    assert not has_images(spec)


# ------------------------------------------------------------------------------------------------ one at a time


@contextmanager
def held(store: FolderStore) -> Iterator[int]:
    """Another run works on the deployment; its process id."""
    with store.lock():
        yield os.getpid()


@pytest.mark.parametrize("words", [["up", "{path}", "--yes"], ["down", "mine", "--yes"], ["run", "mine"]])
def test_a_second_run_is_kept_out_and_told_who_is_in(words: list[str], tmp_path: Path) -> None:
    path = write(tmp_path / "i.yaml", MINE)
    with held(deployed()) as pid:
        done = provisioner(*(word.format(path=path) for word in words))
    assert done.code == 1
    assert "deployment mine is in use by `" in done.err
    assert f"(pid {pid})" in done.err


def test_one_may_look_while_another_works() -> None:
    with held(deployed(results=BOTH)):
        assert provisioner("status", "mine").code == 0
        assert provisioner("report", "mine").code == 0
        assert provisioner("exec", "mine", "--", "true").code == 0


def test_exec_of_a_command_that_tells_no_status_says_so() -> None:
    deployed()
    done = provisioner("exec", "mine", "--", "echo before; kill -9 $$")
    assert (done.code, done.out) == (1, "before\n")
    assert "what became of the command on localhost is not known" in done.err


# ------------------------------------------------------------------------------------------------ down, run


def test_down_of_a_machine_that_is_not_ours_leaves_results_and_nothing_else() -> None:
    store = deployed(results=BOTH)
    store.write("id_rsa", "key")
    secret = store.secret("spark").reveal()
    work = store.folder / "host/provisioner/mine"
    work.mkdir(parents=True)
    done = provisioner("down", "mine", "--yes")
    assert (done.code, done.err) == (0, "")
    assert "Stopped Spark and removed its folder on localhost." in done.out
    assert not work.parent.exists()
    assert not (store.folder / "id_rsa").exists()
    assert all(secret not in path.read_text() for path in store.folder.rglob("*") if path.is_file())
    assert provisioner("report", "mine").code == 0
    assert provisioner("down", "mine", "--yes").code == 0


def test_down_can_be_told_to_forget_the_machine_that_it_runs_on() -> None:
    """It is a host that is no instance, and one that can be cleaned up: nothing is forgotten."""
    work = deployed(results=BOTH).folder / "host/provisioner/mine"
    work.mkdir(parents=True)
    done = provisioner("down", "mine", "--yes", "--forget-hosts")
    assert (done.code, done.err) == (0, "")
    assert done.out.endswith("Stopped Spark and removed its folder on localhost.\n")
    assert not work.parent.exists()
    assert provisioner("status", "mine", "--json").json["state"] == "removed"


def test_down_with_json_says_what_was_removed() -> None:
    deployed()
    lines = provisioner("down", "mine", "--yes", "--json").lines
    assert lines[-1] == {"removed": [], "left": []}
    assert all("kind" in line for line in lines[:-1])


def test_down_without_a_yes_does_nothing() -> None:
    store = deployed()
    done = provisioner("down", "mine")
    assert done.code == 2
    assert "add --yes" in done.err
    assert not store.state.removed_at


def test_run_refuses_what_cannot_be() -> None:
    store = deployed()
    wrong = provisioner("run", "mine", "--dtype", "float16")
    assert wrong.code == 2
    assert "dtypes" in wrong.err
    opening.ended(store)
    gone = provisioner("run", "mine")
    assert gone.code == 1
    assert "mine was removed" in gone.err


# ------------------------------------------------------------------------------------------------ lives of a name


ONE_LIFE = {"hosts": (HostAddress("x", "192.0.2.1", "192.0.2.1"),), "vswitch_zones": ("z",)}


def test_a_new_life_begins_with_nothing_of_the_last_but_what_was_measured() -> None:
    """Also no token: it would give back what has been removed."""
    store = deployed(results=BOTH, runs={"train-float32": 1}, **ONE_LIFE)
    last = store.state
    token = left_open(journal(store), "vpc")
    opening.ended(store)
    opening.begin(store, inventory.parse(MINE), LOCAL)
    assert store.state.run_id != last.run_id
    assert store.state.unresolved == []
    assert left_open(journal(store), "vpc") != token
    fresh = State.begin(inventory.parse(MINE), LOCAL, last.created_at, last=last)
    own = {"run_id", "created_at", "creations"}
    assert store.state.model_dump(exclude=own) == fresh.model_dump(exclude=own)
    assert store.state.measured == ()
    assert store.state.latest_results == last.results


def test_going_on_keeps_everything() -> None:
    store = deployed(results=BOTH)
    first, token = store.state.run_id, left_open(journal(store), "vpc")
    opening.begin(store, inventory.parse(MINE + "workload: {steps: 7}\n"), LOCAL)
    assert store.state.run_id == first
    assert left_open(journal(store), "vpc") == token
    assert len(store.state.measured) == 2
    assert opening.saved_spec("mine").workload.steps == 7


A_HOST = HostAddress("mine-001", "192.0.2.1", "192.0.2.1")
DOCKER: dict[str, Any] = {"runtime": "docker", "image": {"build": "spark"}}
TWO = [{"name": name, "address": "192.0.2.1"} for name in ("a", "b")]


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        (
            {"provider": "simulator", **DOCKER},
            {"runtime": "host", "image": None},
            "runtime was docker, the inventory asks for host",
        ),
        (
            {"provider": "static", "hosts": TWO, **DOCKER},
            {"image": {"build": "spark", "container": "az1"}},
            "image.container was provisioner, the inventory asks for az1",
        ),
        (
            {"provider": "static", "hosts": TWO},
            {"hosts": TWO[:1], **DOCKER},
            "runtime was host, the inventory asks for docker; hosts had b as well",
        ),
    ],
    ids=["instances", "container", "static"],
)
def test_what_the_new_inventory_would_leave_on_the_hosts_is_drift(
    before: dict[str, Any], after: dict[str, Any], message: str
) -> None:
    """Else neither this `up` nor `down` after it would look for it; the recorded inventory stays as it was."""
    first = spec(**{"name": "mine", **before})
    new = spec(**{"name": "mine", **before, **after})
    store = began(first, hosts=(A_HOST,) if first.creates_instances else ())
    kept = store.state.inventory
    with pytest.raises(DriftError, match=re.escape(message)) as caught:
        opening.begin(store, new, place_of(new))
    assert caught.value.remedy == "change the inventory back, or `provisioner down mine` first"
    assert store.state.inventory == kept
    opening.ended(store)
    opening.begin(store, new, place_of(new))


def test_where_no_instance_is_there_yet_nothing_would_be_left() -> None:
    first = spec(name="mine")
    store = began(first)
    opening.begin(store, spec(name="mine", **DOCKER), place_of(first))
    assert opening.saved_spec("mine").runtime == "docker"


# ------------------------------------------------------------------------------------------------ interrupted


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_command_exits_with_130(number: signal.Signals) -> None:
    """Ctrl-C, and what cancelling a CI job sends."""
    deployed()
    process = subprocess.Popen(
        command("exec", "mine", "--", "echo started; sleep 1000"),
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        process.send_signal(number)
        _, err = process.communicate(timeout=PATIENCE_S)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130
    assert err == "provisioner: interrupted\n"


# ------------------------------------------------------------------------------------------------ wiring


@pytest.mark.parametrize(
    "where", [{"endpoint": "http://127.0.0.1:4000"}, {"endpoint": "http://localhost:4000"}, {"machines": "process"}]
)
def test_towards_a_simulator_ssh_is_let_in_from_loopback(where: dict[str, Any]) -> None:
    spec = inventory.parse("name: mine\nprovider: alibaba\nruntime: host\n")
    place = Place(provider="alibaba", region="cn-hangzhou", **where)
    assert wiring.caller_cidrs(spec, place) == ("127.0.0.1/32",)


def test_the_inventorys_addresses_count_before_all_else() -> None:
    place = Place(provider="alibaba", region="cn-hangzhou", endpoint="http://127.0.0.1:4000")
    spec = inventory.parse("name: mine\nprovider: alibaba\nruntime: host\ncloud: {ssh_from: [192.0.2.0/24]}\n")
    assert wiring.caller_cidrs(spec, place) == ("192.0.2.0/24",)


REAL = Place(provider="alibaba", region="cn-hangzhou")


@pytest.fixture(name="address_service")
def _address_service() -> Iterator[Any]:
    """A server that answers what it is told to, once set."""
    import threading
    from http.server import BaseHTTPRequestHandler, HTTPServer

    class Handler(BaseHTTPRequestHandler):
        answer = b""

        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(type(self).answer)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", Handler
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("answer", "wanted"),
    [
        (b"203.0.113.7\n", ("203.0.113.7/32",)),
        (b"2001:db8::7", ("2001:db8::7/128",)),
        (b"<html>login first</html>", None),
        (b"", None),
    ],
    ids=["v4", "v6", "a portal", "nothing"],
)
def test_this_machines_address_is_asked_for_and_never_guessed(
    address_service: Any, answer: bytes, wanted: tuple[str, ...] | None
) -> None:
    from provisioner.errors import UsageError

    url, handler = address_service
    handler.answer = answer
    text = f"name: mine\nprovider: alibaba\nruntime: host\ncloud: {{address_service: '{url}'}}\n"
    spec = inventory.parse(text)
    if wanted is None:
        with pytest.raises(UsageError, match="ssh_from"):
            wiring.caller_cidrs(spec, REAL)
    else:
        assert wiring.caller_cidrs(spec, REAL) == wanted


def test_the_proxy_is_not_asked_for_this_machines_address(
    address_service: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would tell its own, and SSH would be opened to everybody behind it, but not to us."""
    url, handler = address_service
    handler.answer = b"203.0.113.7"
    monkeypatch.setattr(urllib.request, "_opener", None)  # which keeps the proxies of its first use
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # nobody answers there
    text = f"name: mine\nprovider: alibaba\nruntime: host\ncloud: {{address_service: '{url}'}}\n"
    assert wiring.caller_cidrs(inventory.parse(text), REAL) == ("203.0.113.7/32",)


def test_events_are_kept_as_json_lines() -> None:
    deployed()
    provisioner("down", "mine", "--yes")
    store = FolderStore.open("mine", create=False)
    events = [json.loads(line) for line in (store.folder / "events.jsonl").read_text().splitlines()]
    assert {"start", "undone"} <= {event["kind"] for event in events}
    assert all(event["at"] for event in events)
