"""The commands there are, their help, exit codes, and how mistakes are told."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from provisioner.operations import doctor
from tests.support.cli import ROOT, environment, provisioner, write

COMMANDS = [
    *("init", "plan", "up", "status", "run", "report", "ssh", "exec", "cp", "logs", "tunnel"),
    *("down", "sweep", "types", "doctor", "simulator", "data", "image"),
]
"""The design's, `data` and `image`."""

MINE = "name: mine\nprovider: local\nruntime: host\n"


def test_help_names_every_command() -> None:
    done = provisioner("--help")
    assert done.code == 0
    listed = {line.split()[0] for line in done.out.partition("Commands:")[2].splitlines() if line.startswith("  ")}
    assert set(COMMANDS) <= listed


OPTIONS = {
    "plan": ["--json", "--online"],
    "up": ["--yes", "--dry-run", "--online", "--rm", "--json"],
    "status": ["--json"],
    "run": ["--dtype", "--mode", "--steps"],
    "report": ["--format", "--output"],
    "down": ["--yes"],
    "sweep": ["--region", "--yes"],
    "types": ["--region"],
    "simulator serve": ["--port", "--machines"],
    "data check": ["--limit", "--json"],
    "image build": ["--build-arg", "--tag"],
    "image push": ["--username", "--password-env"],
}
"""The design's."""


@pytest.mark.parametrize(
    "words", [*COMMANDS, "simulator serve", "data check", "data measure", "image build", "image push"]
)
def test_every_command_explains_itself_and_its_options(words: str) -> None:
    done = provisioner(*words.split(), "--help")
    assert done.code == 0
    assert f"provisioner {words}" in done.out
    assert [option for option in OPTIONS.get(words, []) if option not in done.out] == []
    assert done.err == ""


def test_version() -> None:
    from provisioner import __version__

    assert provisioner("--version").out == f"provisioner {__version__}\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["fly"], "No such command"),
        (["plan"], "INVENTORY"),
        (["plan", "a.yaml", "--fast"], "No such option"),
        (["run", "mine", "--steps", "0"], "--steps"),
        (["exec", "mine"], "no command was given"),
        (["cp", "a", "b"], "one side must be NAME:PATH"),
        (["cp", "a:b", "c:d"], "one side must be NAME:PATH"),
        (["simulator", "serve", "--machines", "cloud"], "process, booted or none"),
        (["down", "No/Name", "--yes"], "cannot be a deployment's name"),
        (["down", "..", "--yes"], "cannot be a deployment's name"),
        (["status", "../mine"], "cannot be a deployment's name"),
        (["init", "Big"], "name"),
        (["image", "build", "mine"], "there is no bundled image mine: there are spark, zoo-release, zoo-nightly"),
        (["image", "build", "spark", "--build-arg", "BASE_IMAGE"], "BASE_IMAGE is no NAME=VALUE"),
        (["image", "build", "spark", "--build-arg", "BASE=a"], "spark takes no BASE: it takes BASE_IMAGE"),
        (["image", "push", "spark"], "write REGISTRY/NAMESPACE/NAME:TAG"),
        (["image", "push", "r.example.com/a/b:1", "--username", "me"], "set the environment variable PROVISIONER_REG"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_command_line_is_told_and_exits_with_2(words: list[str], said: str, tmp_path: Path) -> None:
    done = provisioner(*words, cwd=tmp_path)
    assert done.code == 2
    assert said in done.err
    assert "Traceback" not in done.err
    assert done.out == ""


@pytest.mark.parametrize("command", ["plan", "up"])
def test_mistakes_in_an_inventory_are_one_line_each(command: str, tmp_path: Path) -> None:
    path = write(tmp_path / "i.yaml", "name: Wrong\nprovider: moon\nruntime: host\nworkers: 3\n")
    done = provisioner(command, path)
    assert done.code == 2
    lines = done.err.removeprefix("provisioner: ").splitlines()
    assert [line.split(": ")[0] + ": " + line.split(": ")[1] for line in lines] == [
        f"{path}:1: name",
        f"{path}:2: provider",
        f"{path}:4: workers",
    ]
    assert done.out == ""


@pytest.mark.parametrize(
    ("name", "said"), [("none.yaml", "there is no inventory"), (".", "is a folder"), ("bad.yaml", "not YAML")]
)
def test_an_inventory_that_cannot_be_read(name: str, said: str, tmp_path: Path) -> None:
    write(tmp_path / "bad.yaml", "name: [\n")
    done = provisioner("plan", tmp_path / name)
    assert (done.code, done.out) == (2, "")
    assert said in done.err


def test_debug_shows_where_and_keeps_the_exit_code(tmp_path: Path) -> None:
    path = write(tmp_path / "i.yaml", "name: Wrong\nprovider: local\nruntime: host\n")
    plain, debug = provisioner("plan", path), provisioner("--debug", "plan", path)
    assert "Traceback" not in plain.err
    assert "Traceback (most recent call last)" in debug.err
    assert "InventoryError" in debug.err
    assert plain.code == debug.code == 2


def test_a_registrys_password_is_missed_before_anything_is_created(tmp_path: Path) -> None:
    image = "image: {pull: r.example.com/team/image:1, registry_login: {username: me, password_env: NOT_THERE}}\n"
    path = write(tmp_path / "i.yaml", f"name: mine\nprovider: simulator\nruntime: docker\n{image}")
    planned = provisioner("plan", path, "--json")
    assert any("the registry's password is missing: set NOT_THERE" in line for line in planned.json["warnings"])
    done = provisioner("up", path, "--yes")
    assert done.code == 2
    assert "the password for me at the registry is missing: set the environment variable NOT_THERE" in done.err
    assert not Path(environment()["XDG_STATE_HOME"]).exists()
    assert provisioner("plan", path, "--json", NOT_THERE="x").json["warnings"] == [
        line for line in planned.json["warnings"] if "password" not in line
    ]


def test_a_password_in_place_of_its_variables_name_is_not_repeated() -> None:
    done = provisioner("image", "push", "r.example.com/a/b:1", "--username", "me", "--password-env", "s3cr3t!")
    assert done.code == 2
    assert "--password-env is not the name of an environment variable" in done.err
    assert "s3cr3t" not in done.out + done.err


def test_nobody_there_to_say_yes(tmp_path: Path) -> None:
    """Without a terminal and without --yes nothing is done, and not even the state folder is made."""
    path = write(tmp_path / "i.yaml", MINE)
    done = provisioner("up", path)
    assert done.code == 2
    assert "nobody is there to say yes: add --yes" in done.err
    assert not Path(environment()["XDG_STATE_HOME"]).exists()


@pytest.mark.parametrize(
    "words", [["down", "mine", "--yes"], ["report", "mine"], ["status", "mine"], ["run", "mine"], ["logs", "mine"]]
)
def test_a_deployment_that_does_not_exist(words: list[str]) -> None:
    done = provisioner(*words)
    assert done.code == 1
    assert "there is no deployment called mine: deployments on this machine: none" in done.err
    assert not Path(environment()["XDG_STATE_HOME"]).exists()


def test_a_file_that_cannot_be_written_is_no_mistake_of_the_program(tmp_path: Path) -> None:
    done = provisioner("init", "mine", cwd=tmp_path)
    (tmp_path / "folder.yaml").mkdir()
    done = provisioner("init", "folder", cwd=tmp_path)
    assert done.code in (1, 2)
    assert "folder.yaml" in done.err
    assert "mistake in this program" not in done.err


# ------------------------------------------------------------------------------------------------ init


def test_init_writes_an_inventory_that_loads(tmp_path: Path) -> None:
    from provisioner.inventory import load

    done = provisioner("init", "mine", cwd=tmp_path)
    assert (done.code, done.err) == (0, "")
    assert "provisioner plan mine.yaml" in done.out
    spec = load(tmp_path / "mine.yaml")
    assert spec.name == "mine"
    assert (tmp_path / "mine.yaml").read_text().count("#") > 10
    assert provisioner("plan", "mine.yaml", cwd=tmp_path).code == 0


def test_init_overwrites_nothing(tmp_path: Path) -> None:
    write(tmp_path / "mine.yaml", "precious")
    done = provisioner("init", "mine", cwd=tmp_path)
    assert done.code == 2
    assert "mine.yaml exists already" in done.err
    assert (tmp_path / "mine.yaml").read_text() == "precious"


def test_every_commented_choice_of_init_is_right(tmp_path: Path) -> None:
    """A comment's sign taken away gives an inventory that is right as well."""
    from provisioner import inventory
    from provisioner.render import render

    text = render("inventory.yaml", name="mine")
    for choice in ("spot:", "ssh_from:", "tags:"):
        changed = text.replace(f"# {choice}", choice)
        assert changed != text
        inventory.parse(changed)
    changed = text.replace("# ssh:", "ssh:").replace("# settings:", "settings:")
    inventory.parse(changed)
    inventory.parse(text.replace("build: spark ", "# ").replace("# pull:", "pull:"))


# ------------------------------------------------------------------------------------------------ without extras


@pytest.fixture(name="without_asyncssh")
def _without_asyncssh(tmp_path: Path) -> str:
    """PYTHONPATH of an installation without the extra [simulator]."""
    (tmp_path / "sitecustomize.py").write_text('import sys\nsys.modules["asyncssh"] = None\n')
    return f"{tmp_path}{os.pathsep}{ROOT}"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"nonsense", "Expecting value"),
        (b"\xff", "can't decode byte 0xff"),
        (b"5", "not iterable"),
        (b"[1]", "a fault is an object with kind"),
        (b'{"kind": "rain"}', "no fault of kind 'rain'"),
    ],
)
def test_a_file_of_faults_that_holds_none_is_named(content: bytes, why: str, tmp_path: Path) -> None:
    (tmp_path / "faults.json").write_bytes(content)
    done = provisioner("simulator", "serve", "--faults", tmp_path / "faults.json")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"provisioner: {tmp_path / 'faults.json'} is not a JSON list of faults: ")
    assert why in done.err


def test_a_file_of_faults_that_is_not_there_is_named(tmp_path: Path) -> None:
    done = provisioner("simulator", "serve", "--faults", tmp_path / "none.json")
    assert (done.code, done.err) == (
        2,
        f"provisioner: {tmp_path / 'none.json'} could not be read: No such file or directory\n",
    )


@pytest.mark.parametrize(
    "words", [["up", ROOT / "inventories/simulated.yaml", "--yes"], ["simulator", "serve"]], ids=["up", "serve"]
)
def test_without_the_simulators_extra_it_is_named(words: list[object], without_asyncssh: str) -> None:
    done = provisioner(*words, PYTHONPATH=without_asyncssh)
    assert (done.code, done.err) == (
        2,
        "provisioner: the simulator's machines need asyncssh, which is not installed: "
        "pip install 'provisioner[simulator]'\n",
    )


def test_clouds_need_no_extra(without_asyncssh: str) -> None:
    done = provisioner("plan", ROOT / "inventories/paper.yaml", PYTHONPATH=without_asyncssh)
    assert (done.code, done.err) == (0, "")
    checks = {check["check"]: check for check in provisioner("doctor", "--json", PYTHONPATH=without_asyncssh).json}
    assert checks["simulator"]["ok"] is False
    assert checks["simulator"]["remedy"] == "pip install 'provisioner[simulator]'"


# ------------------------------------------------------------------------------------------------ types, doctor


def test_types_lists_what_can_do_bf16_without_asking_anybody() -> None:
    done = provisioner("types")
    assert done.code == 0
    assert "ecs.hfc7.24xlarge" in done.out
    assert "ecs.g6.large" not in done.out
    columns = {line.split()[0]: line.split()[3:] for line in done.out.splitlines() if line.startswith("ecs.")}
    assert columns["ecs.g8i.large"][:2] == ["avx512_bf16", "amx_bf16"]
    assert columns["ecs.g8y.large"][:2] == ["bf16", "Yitian"]
    found = provisioner("types", "--json").json
    assert {"instance_type", "vcpus", "memory_gib", "isa", "cpu"} == set(found[0])
    assert found[0]["instance_type"].startswith("ecs.hfc7.")


def test_doctor_says_of_each_what_it_found_and_the_remedy() -> None:
    done = provisioner("doctor", "--json")
    assert done.code in (0, 1)
    found = {check["check"]: check for check in done.json}
    assert {"cloud credentials", "state folder", "SSH keys", "Java 17 or later", "Docker engine"} <= set(found)
    assert found["cloud credentials"]["ok"] is False
    assert all(check["remedy"] for check in found.values())
    assert not Path(environment()["XDG_STATE_HOME"]).exists()


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("flags\t\t: fpu avx512_bf16 amx_bf16 amx_tile", "avx512_bf16, amx_bf16"),
        ("Features\t: fp asimd i8mm bf16", "bf16"),
        ("flags\t\t: fpu avx2", "none"),
        ("processor\t: 0", "none"),
    ],
    ids=["AMX", "arm64", "no bf16", "no flags"],
)
def test_doctor_names_this_processors_bf16_instructions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, found: str
) -> None:
    (tmp_path / "cpuinfo").write_text(f"processor\t: 0\n{line}\n\nprocessor\t: 1\n")
    monkeypatch.setattr(doctor, "_CPUINFO", tmp_path / "cpuinfo")
    check = next(check for check in doctor.doctor() if check.name == "bfloat16 instructions")
    assert (check.ok, check.found) == (found != "none", found)


def test_doctor_sees_credentials_without_showing_them() -> None:
    keys = {"ALIBABA_CLOUD_ACCESS_KEY_ID": "my-key-id", "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "my-key-secret"}
    done = provisioner("doctor", **keys)
    assert "from the environment" in done.out
    assert "my-key" not in done.out + done.err
