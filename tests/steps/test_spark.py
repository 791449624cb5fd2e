"""The Spark cluster: what is written, how workers are bound, and how their life and death is noticed."""

from __future__ import annotations

import http.server
import json
import os
import re
import signal
import socket
import stat
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from provisioner.deployment import Session
from provisioner.errors import HostError
from provisioner.secret import Secret
from provisioner.step import PRESENT, Presence
from provisioner.steps.layout import Layout
from provisioner.steps.master_page import LiveWorker, live_workers, master_page
from provisioner.steps.spark import READY_DEADLINE_S, MasterStep, WorkersStep
from tests.support.deployments import Bench, configure, spec, static_spec
from tests.support.hosts import FakeHost, cpus

FIRST = "192.0.2.1"


def bench(tmp_path: Path, *names: str, facts: dict[str, Any] | None = None, **sections: Any) -> Bench:
    names = names or ("a",)
    made = Bench(static_spec(*names, **sections), *(FakeHost(name, tmp_path / name, **(facts or {})) for name in names))
    for name in names:
        made.session.host(name).facts()
    return made


def host(made: Bench, name: str = "a") -> FakeHost:
    return made.connector.hosts[name]


def workers_in(script: str) -> list[str]:
    """The lines that start workers or set their threads."""
    return [
        line.partition(" ./spark-class")[0]
        for line in script.splitlines()
        if "Worker spark://" in line or "OMP_NUM_THREADS" in line
    ]


# ------------------------------------------------------------------------------------------------ texts


def test_by_address_everything_names_the_masters_private_address(tmp_path: Path) -> None:
    made = bench(tmp_path, "a", "b")
    second = Layout(made.session.host("b"), made.session.hosts[0])
    assert f"spark.master=spark://{FIRST}:7077\n" in second.defaults("s").content
    script = second.start_workers().content
    assert f"Worker spark://{FIRST}:7077 &" in script
    assert "export SPARK_LOCAL_IP=192.0.2.2\n" in script
    assert (
        "--host 192.0.2.1 --port 7077" in Layout(made.session.host("a"), made.session.hosts[0]).start_master().content
    )


def test_by_hostname_the_first_host_says_hostname_and_the_others_its_name(tmp_path: Path) -> None:
    made = bench(tmp_path, "a", "b", spark={"master": "hostname", "workers": 1})
    assert (
        "Worker spark://$(hostname):7077 &"
        in Layout(made.session.host("a"), made.session.hosts[0]).start_workers().content
    )
    assert "Worker spark://a:7077 &" in Layout(made.session.host("b"), made.session.hosts[0]).start_workers().content
    assert (
        "spark.master=spark://a:7077\n" in Layout(made.session.host("a"), made.session.hosts[0]).defaults("s").content
    )
    assert "SPARK_LOCAL_IP" not in Layout(made.session.host("a"), made.session.hosts[0]).start_workers().content


def test_by_hostname_too_a_hosts_own_spark_finds_our_settings(tmp_path: Path) -> None:
    """Or authentication would be off without a word."""
    made = bench(tmp_path, spark={"master": "hostname", "home": "/opt/spark"})
    layout = Layout(made.session.host("a"), made.session.hosts[0])
    assert f"export SPARK_CONF_DIR={layout.work}/conf\n" in layout.start_workers().content


def test_a_hosts_own_spark_is_used_and_left_as_it_is(tmp_path: Path) -> None:
    made = bench(tmp_path, spark={"home": "/opt/my spark"})
    layout = Layout(made.session.host("a"), made.session.hosts[0])
    script = layout.start_workers().content
    assert "SPARK_HOME='/opt/my spark'\nexport SPARK_HOME\ncd \"$SPARK_HOME\"/bin || exit 1\n" in script
    paths = [layout.defaults("s").path, layout.start_master().path, layout.start_workers().path]
    assert all(path.startswith(f"{host(made).home}/provisioner/demo/") for path in paths)


def test_in_an_image_with_spark_the_files_go_where_it_looks() -> None:
    tag = "intelanalytics/analytics-zoo:0.8.1-bigdl_0.10.0-spark_2.4.3-bf16"
    (described,) = Session(static_spec("a", runtime="docker", image={"pull": tag})).hosts
    layout = Layout(described, described)
    assert layout.defaults("s").path == "/opt/work/spark-2.4.3/conf/spark-defaults.conf"
    assert layout.start_workers().path == "/opt/work/spark-2.4.3/bin/start-workers.sh"


@pytest.mark.parametrize(
    ("machine", "workers", "lines"),
    [
        ({"cores": 4}, 2, ["export OMP_NUM_THREADS=2", "numactl -C 0-1", "numactl -C 2-3"]),
        ({"cores": 4, "threads": 2}, 2, ["export OMP_NUM_THREADS=2", "numactl -C 0-3", "numactl -C 4-7"]),
        (
            {"cores": 4, "threads": 2, "split": True},
            2,
            ["export OMP_NUM_THREADS=2", "numactl -C 0-1,4-5", "numactl -C 2-3,6-7"],
        ),
        (
            {"cores": 5},
            2,
            ["export OMP_NUM_THREADS=3", "numactl -C 0-2", "export OMP_NUM_THREADS=2", "numactl -C 3-4"],
        ),
        (
            {"nodes": 2, "cores": 3},
            3,
            [
                *("export OMP_NUM_THREADS=2", "numactl -C 0-1"),
                *("export OMP_NUM_THREADS=1", "numactl -C 2"),
                *("export OMP_NUM_THREADS=3", "numactl -C 3-5"),
            ],
        ),
        ({"cores": 1}, "auto", ["export OMP_NUM_THREADS=1", "numactl -C 0"]),
    ],
    ids=["even", "adjacent siblings", "split siblings", "uneven", "two nodes", "one core"],
)
def test_each_worker_is_bound_to_its_cores_and_told_their_number(
    tmp_path: Path, machine: dict[str, Any], workers: Any, lines: list[str]
) -> None:
    made = bench(tmp_path, facts={"cpus": cpus(**machine)}, spark={"workers": workers})
    assert workers_in(Layout(made.session.host("a"), made.session.hosts[0]).start_workers().content) == lines


def test_uneven_workers_are_warned_of(tmp_path: Path) -> None:
    made = bench(tmp_path, facts={"cpus": cpus(cores=5)}, spark={"workers": 2})
    description = configure(made.session, "a").describe()
    assert description.title == "Configure Spark: 2 workers on CPUs 0-2 3-4"
    (warning,) = description.warnings
    assert warning.startswith("a: workers have from 2 to 3 cores")


def test_taskset_binds_where_numactl_is_missing(tmp_path: Path) -> None:
    made = bench(tmp_path, facts={"programs": ("python3", "java", "taskset")}, spark={"workers": 2})
    assert workers_in(Layout(made.session.host("a"), made.session.hosts[0]).start_workers().content)[1:] == [
        "taskset -c 0",
        "taskset -c 1",
    ]


def test_in_a_container_numactl_is_the_images(tmp_path: Path) -> None:
    made = bench(tmp_path, facts={"programs": ()}, runtime="docker", image={"build": "spark"}, spark={"workers": 2})
    assert workers_in(Layout(made.session.host("a"), made.session.hosts[0]).start_workers().content)[1:] == [
        "numactl -C 0",
        "numactl -C 1",
    ]


@pytest.mark.parametrize(
    ("value", "line"),
    [
        ("-Dpath=C:\\temp", "spark.a=-Dpath=C:\\\\temp"),
        ("ends in one\\", "spark.a=ends in one\\\\"),
        ("#x ${spark.b} = y", "spark.a=#x ${spark.b} = y"),
    ],
)
def test_a_setting_is_read_as_it_is_written(tmp_path: Path, value: str, line: str) -> None:
    """In a properties file a backslash begins an escape, and at a line's end it takes in the next setting."""
    made = bench(tmp_path, spark={"settings": {"spark.a": value, "spark.b": "1"}})
    assert Layout(made.session.host("a"), made.session.hosts[0]).defaults("s").content.splitlines()[-2:] == [
        line,
        "spark.b=1",
    ]


def test_settings_of_the_inventory_come_last(tmp_path: Path) -> None:
    made = bench(tmp_path, spark={"settings": {"spark.ui.retainedJobs": "100", "spark.ui.killEnabled": "false"}})
    lines = Layout(made.session.host("a"), made.session.hosts[0]).defaults("s").content.splitlines()
    assert lines[-2:] == ["spark.ui.retainedJobs=100", "spark.ui.killEnabled=false"]


# ------------------------------------------------------------------------------------------------ the secret


def test_the_secret_is_masked_in_the_plan_and_real_in_the_file_that_only_its_owner_reads(tmp_path: Path) -> None:
    made = bench(tmp_path)
    step = configure(made.session, "a")
    secret = made.store.secret("spark").reveal()
    shown = "".join(file.content for file in step.describe().files)
    assert "spark.authenticate.secret=********\n" in shown
    assert secret not in shown
    step.apply()
    path = host(made).home / "provisioner/demo/conf/spark-defaults.conf"
    assert f"spark.authenticate.secret={secret}\n" in path.read_text()
    assert "spark.authenticate=true\n" in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_plan_has_no_secret_to_show() -> None:
    session = Session(spec(cloud={"instance_types": ["ecs.hfc7.xlarge"]}))
    assert session.secret("spark") == Secret("********")
    files = configure(session, "demo-001").describe().files
    assert "spark.authenticate.secret=********\n" in files[0].content


def test_without_authentication_there_is_no_secret(tmp_path: Path) -> None:
    made = bench(tmp_path, spark={"authenticate": False})
    content = Layout(made.session.host("a"), made.session.hosts[0]).defaults("")
    assert "spark.authenticate=false\n" in content.content
    assert "secret" not in content.content
    assert not (made.store.folder / "secrets").exists()


# ------------------------------------------------------------------------------------------------ configuring


def test_what_was_written_is_found_again_and_a_change_is_noticed(tmp_path: Path) -> None:
    made = bench(tmp_path)
    step = configure(made.session, "a")
    assert step.check().presence is Presence.ABSENT
    step.apply()
    assert step.check() == PRESENT
    script = host(made).home / "provisioner/demo/bin/start-workers.sh"
    assert stat.S_IMODE(script.stat().st_mode) == 0o755
    script.write_text(script.read_text() + "# changed\n")
    finding = step.check()
    assert finding.presence is Presence.ABSENT
    assert finding.detail == str(script)


def test_the_master_script_is_on_the_first_host_alone(tmp_path: Path) -> None:
    made = bench(tmp_path, "a", "b")
    names = {
        name: [file.path.rpartition("/")[2] for file in configure(made.session, name).describe().files]
        for name in ("a", "b")
    }
    assert names["a"] == ["spark-defaults.conf", "start-master.sh", "start-workers.sh"]
    assert names["b"] == ["spark-defaults.conf", "start-workers.sh"]


def test_down_leaves_nothing_on_a_host_that_is_not_ours(tmp_path: Path) -> None:
    made = bench(tmp_path)
    step = configure(made.session, "a")
    before = sorted(host(made).home.iterdir())
    step.apply()
    assert sorted(host(made).home.iterdir()) != before
    step.undo()
    assert sorted(host(made).home.iterdir()) == before
    step.undo()


def test_down_leaves_the_neighbours_deployment_alone(tmp_path: Path) -> None:
    made = bench(tmp_path)
    neighbour = host(made).home / "provisioner/other/file"
    neighbour.parent.mkdir(parents=True)
    neighbour.touch()
    step = configure(made.session, "a")
    step.apply()
    step.undo()
    assert neighbour.exists()


@pytest.mark.parametrize(
    ("sections", "undone"),
    [
        ({"provider": "simulator"}, False),
        ({"provider": "local"}, True),
        ({"provider": "local", "runtime": "docker", "image": {"build": "spark"}}, False),
    ],
    ids=["rented", "somebody's", "in a container of ours"],
)
def test_on_hosts_that_end_nothing_is_undone(sections: dict[str, Any], undone: bool) -> None:
    if sections.get("runtime") == "docker":
        session = Session(static_spec("demo-001", runtime="docker", image={"build": "spark"}))
    else:
        session = Session(spec(**sections))
    (host,) = session.hosts
    for step in (configure(session, host.name), MasterStep(host, host), WorkersStep(host, host)):
        assert step.undone == undone


# ------------------------------------------------------------------------------------------------ master


def page(*workers: tuple[str, str], status: str = "ALIVE") -> str:
    """The master's JSON page, with (host, state) of each worker."""
    found = [{"host": where, "state": state, "id": f"worker-{i}"} for i, (where, state) in enumerate(workers)]
    return json.dumps({"url": f"spark://{FIRST}:7077", "status": status, "workers": found})


@pytest.fixture(name="ours")
def _ours() -> Iterator[Callable[[Bench], None]]:
    """Start what stands in for a deployment's master, and note its id as the start script does."""
    processes: list[subprocess.Popen[bytes]] = []

    def start(made: Bench) -> None:
        words = "exec -a org.apache.spark.deploy.master.Master sleep 600"
        processes.append(subprocess.Popen(["bash", "-c", words]))
        until(lambda: b"Master\x00600" in Path(f"/proc/{processes[-1].pid}/cmdline").read_bytes())
        file = host(made).home / "provisioner/demo/master.pid"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{processes[-1].pid}\n")

    yield start
    for process in processes:
        process.kill()
        process.wait()


OTHERS = page().replace(FIRST, "198.51.100.9")


@pytest.mark.parametrize(
    ("body", "there"),
    [
        (page(), True),
        (OTHERS, False),
        (page(status="STANDBY"), False),
        (page(status="RECOVERING"), False),
        ("<html>another service</html>", False),
        ("[]", False),
        (None, False),
    ],
    ids=["alive", "of another address", "standby", "recovering", "html", "list", "refused"],
)
def test_the_master_is_there_when_its_page_says_so(
    tmp_path: Path, ours: Callable[[Bench], None], body: str | None, there: bool
) -> None:
    made = bench(tmp_path)
    ours(made)
    if body is not None:
        host(made).pages[FIRST, 8080] = body
    assert (MasterStep(made.session.host("a"), made.session.hosts[0]).check() == PRESENT) is there


def test_by_hostname_the_page_is_asked_for_on_the_host_itself(tmp_path: Path, ours: Callable[[Bench], None]) -> None:
    made = bench(tmp_path, spark={"master": "hostname"})
    ours(made)
    host(made).pages["127.0.0.1", 8080] = page().replace(FIRST, "a")
    assert MasterStep(made.session.host("a"), made.session.hosts[0]).check() == PRESENT


@pytest.mark.parametrize("noted", ["", "1\n", "999999999\n"], ids=["nothing noted", "not a master", "ended"])
def test_a_master_that_we_did_not_start_is_not_ours(tmp_path: Path, noted: str) -> None:
    """Two deployments on one machine have the same address; a user's own Spark may have it too."""
    made = bench(tmp_path)
    host(made).pages[FIRST, 8080] = page()
    file = host(made).home / "provisioner/demo/master.pid"
    file.parent.mkdir(parents=True)
    if noted:
        file.write_text(noted)
    step = MasterStep(made.session.host("a"), made.session.hosts[0])
    assert step.check().presence is Presence.ABSENT
    with pytest.raises(HostError, match=rf"port 8080 of a is in use.*the Spark master spark://{FIRST}:7077\)"):
        step.apply()
    assert not [command for command in host(made).commands if "start-master" in command]
    assert made.clock.slept == []


@pytest.mark.parametrize("port", [7077, 8080])
def test_a_port_that_another_program_has_is_told_at_once(tmp_path: Path, port: int) -> None:
    made = bench(tmp_path)

    def dial(address: str, dialled: int) -> socket.socket:
        if dialled != port:
            raise ConnectionRefusedError
        return socket.create_connection(server.server_address[:2])

    host(made).dial = dial  # type: ignore[method-assign]
    host(made).answers = [(f"ss .*:{port}", '"python3",pid=11\n')]
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        step = MasterStep(made.session.host("a"), made.session.hosts[0])
        assert step.check().presence is Presence.ABSENT
        with pytest.raises(HostError, match=rf'port {port} of a is in use by another program \("python3",pid=11\)'):
            step.apply()
        server.shutdown()
    assert made.clock.slept == []


def test_who_listens_is_asked_of_the_host(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        step = MasterStep(*2 * bench(tmp_path).session.hosts)
        assert f",pid={os.getpid()}" in step._listener(server.getsockname()[1])


def test_the_page_of_a_server_that_hangs_up_is_no_page(tmp_path: Path) -> None:
    made = bench(tmp_path)
    ours, theirs = socket.socketpair()
    theirs.close()
    host(made).dial = lambda *_: ours  # type: ignore[method-assign]
    assert master_page(made.session.hosts[0]) is None


@pytest.mark.parametrize(
    ("page", "workers"),
    [
        ({}, []),
        ({"workers": "many"}, []),
        ({"workers": [None, 7, "x", {}, {"state": "ALIVE"}, {"state": "ALIVE", "host": 7}]}, []),
        ({"workers": [{"state": "DEAD", "host": "a", "webuiaddress": "http://a:8081"}]}, []),
        ({"workers": [{"state": "ALIVE", "host": "a", "webuiaddress": "http://a:8081"}]}, [LiveWorker("a", 8081)]),
        ({"workers": [{"state": "ALIVE", "host": "a"}]}, [LiveWorker("a", None)]),
        ({"workers": [{"state": "ALIVE", "host": "a", "webuiaddress": "http://a:x"}]}, [LiveWorker("a", None)]),
        ({"workers": [{"state": "ALIVE", "host": "a", "webuiaddress": "http://a:99999"}]}, [LiveWorker("a", None)]),
        ({"workers": [{"state": "ALIVE", "host": "a", "webuiaddress": ["http://a:1"]}]}, [LiveWorker("a", None)]),
    ],
)
def test_a_page_that_is_not_sparks_has_no_workers(page: dict[str, Any], workers: list[LiveWorker]) -> None:
    assert live_workers(page) == workers


def test_starting_the_master_waits_for_its_page(tmp_path: Path, ours: Callable[[Bench], None]) -> None:
    made = bench(tmp_path)
    host(made).answers = [("start-master.sh", lambda _: ours(made))]
    made.clock.on_sleep = lambda _: host(made).pages.update({(FIRST, 8080): page()}) if made.clock.slept[3:] else None
    MasterStep(made.session.host("a"), made.session.hosts[0]).apply()
    assert len(made.clock.slept) == 4


def test_a_master_that_does_not_come_up_shows_its_log(tmp_path: Path) -> None:
    made = bench(tmp_path)
    host(made).answers = [("start-master.sh", ""), ("tail .*master.log", "java.net.BindException: in use\n")]
    with pytest.raises(HostError, match="does not answer on port 8080") as caught:
        MasterStep(made.session.host("a"), made.session.hosts[0]).apply()
    assert caught.value.tail == ("java.net.BindException: in use",)
    assert READY_DEADLINE_S <= made.clock.monotonic() <= READY_DEADLINE_S + 5


# ------------------------------------------------------------------------------------------------ workers


def workers_step(made: Bench, name: str = "a", *, jps: str = "2") -> WorkersStep:
    host(made, name).answers.append((r"jps", jps))
    return WorkersStep(made.session.host(name), made.session.hosts[0])


ALIVE = (FIRST, "ALIVE")
OTHER = ("192.0.2.2", "ALIVE")


@pytest.mark.parametrize(
    ("listed", "jps", "detail"),
    [
        ([ALIVE, ALIVE], "2", ""),
        ([ALIVE, ALIVE], "none", ""),
        ([("a", "ALIVE"), ALIVE], "2", ""),
        ([ALIVE, ALIVE, OTHER, (FIRST, "DEAD")], "2", ""),
        ([ALIVE, (FIRST, "DEAD")], "2", "the master sees 1 of 2 workers"),
        ([ALIVE, OTHER], "2", "the master sees 1 of 2 workers"),
        ([ALIVE, ALIVE, ALIVE], "2", "the master sees 3 of 2 workers"),
        ([], "2", "the master sees 0 of 2 workers"),
        ([ALIVE, ALIVE], "1", "jps counts 1 of 2 workers"),
        ([ALIVE, ALIVE], "", "jps counts 0 of 2 workers"),
    ],
)
def test_workers_are_counted_by_the_master_for_each_host_and_by_jps(
    tmp_path: Path, listed: list[tuple[str, str]], jps: str, detail: str
) -> None:
    """Both counts have to be right: the master notices a death only after a minute."""
    made = bench(tmp_path, "a", "b", spark={"workers": 2})
    host(made).pages[FIRST, 8080] = page(*listed)
    finding = workers_step(made, jps=jps).check()
    assert finding.presence is (Presence.ABSENT if detail else Presence.PRESENT)
    assert finding.detail == (detail or "2 alive")


def test_without_a_master_no_worker_is_alive(tmp_path: Path) -> None:
    made = bench(tmp_path, spark={"workers": 2})
    assert workers_step(made).check().detail == "the master sees 0 of 2 workers"


def test_workers_that_do_not_come_up_are_named_with_their_log(tmp_path: Path) -> None:
    made = bench(tmp_path, spark={"workers": 2})
    host(made).answers = [("start-workers.sh", ""), ("tail .*workers.log", "Cannot allocate memory\n")]
    host(made).pages[FIRST, 8080] = page(ALIVE)
    with pytest.raises(HostError, match=r"not all Spark workers came up on a.*the master sees 1 of 2") as caught:
        workers_step(made).apply()
    assert caught.value.tail == ("Cannot allocate memory",)
    assert "a: the master sees 1 of 2 workers" in made.told


@pytest.mark.parametrize(
    ("part", "noun", "more"), [("master", "master", ""), ("workers", "worker", "1\n")], ids=["master", "workers"]
)
def test_what_died_right_after_its_start_is_not_waited_for(tmp_path: Path, part: str, noun: str, more: str) -> None:
    """Case 25: its log says why, at once and not after two minutes. One that lives beside it does not hide it."""
    made = bench(tmp_path, spark={"workers": 2})

    def start(_: str) -> None:
        folder = host(made).home / "provisioner/demo"
        (folder / "logs").mkdir(parents=True, exist_ok=True)
        (folder / f"{part}.pid").write_text(f"{more}4194304\n")
        (folder / f"logs/{part}.log").write_text("java.net.BindException: in use\n")

    host(made).answers = [(f"start-{part}.sh", start)]
    step = (MasterStep if part == "master" else WorkersStep)(*2 * made.session.hosts)
    with pytest.raises(
        HostError, match=f"the Spark {noun} on a .process 4194304. ended right after its start"
    ) as caught:
        step.apply()
    assert caught.value.tail == ("java.net.BindException: in use",)
    assert made.clock.monotonic() < 2


# ------------------------------------------------------------------------------------------------ real processes

SPARK_CLASS = """\
#!/bin/sh
# Stands in for Spark: tells what it was given, then lives on as a worker would.
echo "$1 $2 omp=$OMP_NUM_THREADS cpus=$(grep Cpus_allowed_list /proc/self/status | cut -f 2)" >>{log}
exec tail -f /dev/null --pid $$ "$@" 2>/dev/null
"""


class Workers:
    """Workers of a stand-in for Spark, started by the real script in real processes."""

    def __init__(self, made: Bench, log: Path) -> None:
        self.made = made
        self.log = log
        self.step = WorkersStep(made.session.host("a"), made.session.hosts[0])
        self.pid_file = host(made).home / "provisioner/demo/workers.pid"

    def pids(self) -> list[int]:
        return [int(line) for line in self.pid_file.read_text().split()]

    def alive(self) -> list[int]:
        return [pid for pid in self.pids() if Path(f"/proc/{pid}").exists()]


@pytest.fixture(name="workers")
def _workers(tmp_path: Path) -> Any:
    usable = sorted(os.sched_getaffinity(0))
    machine = tuple(cpu for cpu in cpus(cores=max(usable) + 1) if cpu.number in usable)[:2]
    home = tmp_path / "spark"
    (home / "bin").mkdir(parents=True)
    log = tmp_path / "log"
    log.touch()
    (home / "bin/spark-class").write_text(SPARK_CLASS.format(log=log))
    (home / "bin/spark-class").chmod(0o755)
    facts = {"cpus": machine, "programs": ("taskset",)}
    made = bench(tmp_path, facts=facts, spark={"workers": len(machine), "home": str(home)})
    host(made).answers = [(r"^command -v jps", "none")]
    host(made).pages[FIRST, 8080] = page(*[ALIVE] * len(machine))
    configure(made.session, "a").apply()
    workers = Workers(made, log)
    yield workers
    for pid in workers.alive() if workers.pid_file.exists() else []:
        os.kill(pid, signal.SIGKILL)


def until(condition: Callable[[], bool]) -> None:
    """Wait for something that other processes do."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_real_workers_run_where_they_were_bound(workers: Workers) -> None:
    """The script returns at once, its workers stay, each on its own core, and their ids are known."""
    workers.step.apply()
    wanted = len(workers.alive())
    assert wanted >= 1
    until(lambda: len(workers.log.read_text().splitlines()) == wanted)
    lines = sorted(workers.log.read_text().splitlines())
    sets = Layout(workers.made.session.host("a"), workers.made.session.hosts[0]).worker_sets()
    start = f"org.apache.spark.deploy.worker.Worker spark://{FIRST}:7077"
    assert lines == sorted(f"{start} omp=1 cpus={chosen.numactl}" for chosen in sets)


def test_starting_again_ends_what_an_earlier_start_left(workers: Workers) -> None:
    workers.step.apply()
    before = workers.pids()
    workers.step.apply()
    assert not set(before) & set(workers.pids())
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in before))


def test_undo_ends_them_and_nobody_else(workers: Workers) -> None:
    """A process id that was given to another program meanwhile is not killed."""
    workers.step.apply()
    pids = workers.pids()
    workers.pid_file.write_text("\n".join(map(str, [*pids, os.getpid()])))
    workers.step.undo()
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))
    assert not workers.pid_file.exists()
    workers.step.undo()


def test_undo_ends_one_that_will_not_end_by_itself(workers: Workers, tmp_path: Path) -> None:
    workers.step.apply()
    script = tmp_path / "bin/start-workers.sh"
    script.parent.mkdir()
    script.write_text("trap '' TERM; echo; read -r _\n")
    with subprocess.Popen(["bash", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        workers.pid_file.write_text("\n".join(map(str, [*workers.pids(), process.pid])))
        workers.step.undo()
        assert process.wait(30) == -signal.SIGKILL


def test_what_cannot_be_ended_is_told_and_stays_known(workers: Workers) -> None:
    workers.step.apply()
    pids = workers.pids()
    run = super(FakeHost, host(workers.made)).run
    powerless = "kill() { echo kill: not permitted >&2; }; sleep() { :; }; "
    host(workers.made).answers.insert(0, ("kill -s", lambda command: run(powerless + command, check=False)))
    with pytest.raises(HostError, match=f"could not be ended .still running: {' '.join(map(str, pids))}") as caught:
        workers.step.undo()
    assert "kill: not permitted" in caught.value.tail
    assert workers.alive() == pids


def test_undo_ends_one_that_is_still_its_script(workers: Workers, tmp_path: Path) -> None:
    """As between the script's fork and Java's start."""
    script = tmp_path / "bin/start-workers.sh"
    script.parent.mkdir()
    script.write_text("read -r _\n")
    with subprocess.Popen(["bash", script], stdin=subprocess.PIPE) as process:
        until(lambda: b"start-workers.sh" in Path(f"/proc/{process.pid}/cmdline").read_bytes())
        workers.pid_file.write_text(f"{process.pid}\n")
        workers.step.undo()
        assert process.wait(30) == -signal.SIGTERM


def test_the_papers_count_is_of_our_own_processes(tmp_path: Path) -> None:
    """`jps | grep Worker | wc -l`, but of those whose ids we wrote down: another cluster's workers do not count."""
    made = bench(tmp_path, spark={"workers": 2})
    folder = host(made).home / "provisioner/demo"
    folder.mkdir(parents=True)
    (folder / "workers.pid").write_text("11\n22\n")
    jps = tmp_path / "bin/jps"
    jps.parent.mkdir()
    step = WorkersStep(made.session.host("a"), made.session.hosts[0])

    def count(*lines: str) -> int | None:
        jps.write_text("#!/bin/sh\n" + "".join(f"echo '{line}'\n" for line in lines))
        jps.chmod(0o755)
        host(made).commands.clear()
        step._running()
        command = host(made).commands[-1]
        output = host(made).run(f"PATH={jps.parent}:$PATH; {command}", check=False).output
        assert re.fullmatch(r"\d+\n", output)
        return int(output)

    assert count("11 Worker", "22 Worker", "33 Worker", "44 Master") == 2
    assert count("11 Worker", "1122 Worker", "22 Jps") == 1
    assert count("33 Worker") == 0
