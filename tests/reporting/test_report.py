"""The report: from what the workload printed to the paper's table, in every format, word for word."""

from __future__ import annotations

import csv
import io
import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from provisioner.errors import ProvisionerError
from provisioner.reporting import report
from provisioner.reporting.events import measurement, parse_line
from provisioner.reporting.formats import FORMATS
from provisioner.reporting.ratios import speedups

DATA = Path(__file__).parents[1] / "data/report"
SUFFIXES = {"txt": "table"}
EXPECTED = sorted(path for path in DATA.glob("*/report.*"))
CASES = sorted(path.name for path in DATA.iterdir())
SUMMARY: dict[str, Any] = {
    "event": "summary",
    "model": "resnet50",
    "mode": "train",
    "dtype": "float32",
    "engine": "local",
    "workers": 2,
    "batch_size": 32,
    "steps": 20,
    "warmup_steps": 5,
    "images_per_second": 10.5,
    "final_loss": 6.9,
    "memory_mib": 1024.0,
    "versions": {"tensorflow": "2.21.0"},
    "host": {"cpu": "a CPU", "isa": ["avx512_bf16"], "cores": 2},
}


def read(case: str) -> report.Report:
    """The report of a case's output, as a deployment of the case's name makes it."""
    events = [parse_line(line) for line in (DATA / case / "output.txt").read_text().splitlines()]
    summaries = [event for event in events if event and event["event"] == "summary"]
    return report.build(case, [measurement(summary) for summary in summaries])


@pytest.mark.parametrize("path", [pytest.param(path, id=f"{path.parent.name}-{path.suffix[1:]}") for path in EXPECTED])
def test_output_becomes_the_expected_text(path: Path) -> None:
    kind = path.suffix[1:]
    text = FORMATS[SUFFIXES.get(kind, kind)](read(path.parent.name))
    assert text == path.read_text()


def test_every_format_has_an_expected_text() -> None:
    assert {SUFFIXES.get(path.suffix[1:], path.suffix[1:]) for path in EXPECTED} == set(FORMATS)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", FORMATS)
def test_no_format_breaks_on_what_is_missing_and_each_ends_with_a_newline(case: str, name: str) -> None:
    text = FORMATS[name](read(case))
    assert text.endswith("\n")
    assert not text.endswith("\n\n")


@pytest.mark.parametrize("case", CASES)
def test_json_has_the_documented_shape_and_no_nan(case: str) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    found = json.loads(FORMATS["json"](read(case)), parse_constant=refuse)
    assert list(found) == ["name", "results", "speedup", "host", "versions", "ratios"]
    assert list(found["host"]) == ["cpu", "isa", "cores"]
    keys = "model, mode, dtype, engine, workers, batch_size, images_per_second, steps, final_loss"
    for result in found["results"]:
        assert ", ".join(result).startswith(keys)
        assert isinstance(result["images_per_second"], float)
        assert isinstance(result["workers"], int)


class Page(HTMLParser):
    """What a browser would do with the page: its tags, its addresses, its text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("case", CASES)
def test_the_page_needs_nothing_else_and_runs_nothing(case: str) -> None:
    page = Page()
    page.feed(FORMATS["html"](read(case)))
    assert not page.tags & {"script", "link", "img", "iframe", "b", "i"}
    assert not page.attributes & {"src", "href", "onclick", "style"}
    for row in report.tables(read(case)):
        assert row.header[0] in page.text, "what was escaped reads as it was"


@pytest.mark.parametrize(
    ("isa", "said"),
    [
        (["avx2", "amx_bf16", "avx512_bf16"], "avx512_bf16, amx_bf16"),
        (["asimd", "svebf16", "bf16"], "bf16, svebf16"),
        (["avx2"], "none, so bfloat16 is emulated"),
    ],
    ids=["AMX", "arm64", "none"],
)
def test_the_report_names_the_bf16_instructions_of_any_processor(isa: list[str], said: str) -> None:
    host = {"cpu": "a CPU", "isa": isa, "cores": 2}
    built = report.build("demo", [measurement({**SUMMARY, "host": host})])
    assert f"CPU: a CPU, 2 cores; bfloat16 instructions: {said}\n" in FORMATS["table"](built)


def test_flags_that_a_kernel_did_not_show_are_in_the_report() -> None:
    host = {"distribution": "centos 7", "kernel": "3.10.0", "bf16_missing": ["amx_bf16"]}
    hosts = [{"distribution": "centos 7", "kernel": "3.10.0", "bf16_missing": []}, host, host]
    built = report.build("demo", [measurement({**SUMMARY, "environment": {"hosts": hosts}})])
    line = "Measured without amx_bf16: the processor has it, centos 7 with kernel 3.10.0 does not show it"
    assert FORMATS["table"](built).count(line) == 1
    where = {"flags": ["amx_bf16"], "system": "centos 7", "kernel": "3.10.0"}
    assert json.loads(FORMATS["json"](built))["missing"] == [where]


def test_csv_reads_back_as_the_measurements() -> None:
    measured = read("both")
    rows = list(csv.DictReader(io.StringIO(FORMATS["csv"](measured))))
    assert [row["dtype"] for row in rows] == ["float32", "bfloat16"]
    assert [float(row["images_per_second"]) for row in rows] == [100.0, 150.0]
    assert rows[0]["global_batch_size"] == "1024"


@pytest.mark.parametrize(
    "line",
    [
        "",
        "26/11/23 08:00:01 INFO Worker: started",
        "{",
        "{}",
        "[1, 2]",
        '{"event": 3}',
        '{"event": ["summary"]}',
        '{"event": "unheard-of"}',
        '{"step": 1}',
        "null",
        '"summary"',
        "{" * 5 + '"event"',
        '{"event":' + "[" * 100_000,
        '{"event": "interval", "step": 1, "loss": "much"}',
        '{"event": "interval", "images_per_second": [1]}',
        '{"event": "interval", "loss": true}',
        '{"event": "evaluation", "top_1": "all"}',
        '{"event": "start", "learning_rate": {}}',
        '{"event": "start", "worker_hosts": [1]}',
        '{"event": "start", "warnings": 7}',
        '{"event": "error", "message": {}}',
    ],
)
def test_lines_that_are_not_events_are_none(line: str) -> None:
    assert parse_line(line) is None


@pytest.mark.parametrize("kind", ["start", "interval", "evaluation", "summary", "error"])
def test_an_event_is_read_with_whatever_space_around_it(kind: str) -> None:
    event = {"event": kind, "step": 3, "unknown": [1]}
    assert parse_line(f"  {json.dumps(event)}\r\n") == event


def test_a_summary_keeps_every_figure() -> None:
    one = measurement(SUMMARY)
    assert (one.model, one.mode, one.dtype, one.engine) == ("resnet50", "train", "float32", "local")
    assert (one.workers, one.batch_size, one.steps) == (2, 32, 20)
    assert (one.images_per_second, one.final_loss, one.memory_mib) == (10.5, 6.9, 1024.0)
    assert one.host == SUMMARY["host"]
    assert one.versions == SUMMARY["versions"]


@pytest.mark.parametrize("field", ["model", "mode", "dtype", "engine", "workers", "batch_size", "images_per_second"])
def test_a_summary_without_a_field_is_an_error_that_names_it(field: str) -> None:
    with pytest.raises(ProvisionerError, match=field) as caught:
        measurement({key: value for key, value in SUMMARY.items() if key != field})
    assert caught.value.remedy


@pytest.mark.parametrize(
    "wrong",
    [
        {"images_per_second": float("nan")},
        {"images_per_second": -1},
        {"images_per_second": "fast"},
        {"workers": None},
        {"workers": float("inf")},
        {"host": 3},
        {"versions": ["tensorflow"]},
    ],
    ids=str,
)
def test_a_summary_that_makes_no_sense_is_an_error(wrong: dict[str, Any]) -> None:
    with pytest.raises(ProvisionerError, match="summary cannot be read"):
        measurement({**SUMMARY, **wrong})


def test_optional_parts_of_a_summary_may_be_missing() -> None:
    needed = {key: SUMMARY[key] for key in SUMMARY if key not in ("final_loss", "memory_mib", "versions", "host")}
    one = measurement(needed)
    assert (one.final_loss, one.memory_mib, one.versions, one.host) == (None, None, {}, {})


def leg(dtype: str, speed: float, **other: Any) -> Any:
    return measurement({**SUMMARY, "dtype": dtype, "images_per_second": speed, **other})


@pytest.mark.parametrize(
    ("legs", "expected"),
    [
        ([], {}),
        ([leg("float32", 10)], {}),
        ([leg("bfloat16", 10)], {}),
        ([leg("float32", 10), leg("bfloat16", 17)], {"train": 1.7}),
        ([leg("bfloat16", 17), leg("float32", 10)], {"train": 1.7}),
        ([leg("float32", 99), leg("bfloat16", 17), leg("float32", 10)], {"train": 1.7}),
        ([leg("float32", 0), leg("bfloat16", 17)], {}),
        ([leg("float32", 10), leg("bfloat16", 17, mode="infer")], {}),
        ([leg("float32", 10), leg("bfloat16", 17, model="other")], {}),
        (
            [leg(dtype, speed, mode=mode) for mode in ("train", "infer") for dtype, speed in
             (("float32", 10), ("bfloat16", 15 if mode == "train" else 20))],
            {"train": 1.5, "infer": 2.0},
        ),
    ],
)  # fmt: skip
def test_speedup_is_bfloat16_over_float32_of_the_latest_of_each(legs: list[Any], expected: dict[str, float]) -> None:
    assert speedups(legs) == pytest.approx(expected)


def test_host_and_versions_can_be_given_and_otherwise_come_from_the_latest_measurement() -> None:
    first = leg("float32", 10, host={"cpu": "old"}, versions={"b": "1", "a": "1"})
    second = leg("bfloat16", 10, host={"cpu": "new"}, versions={"b": "2"})
    last = leg("bfloat16", 10, host={}, versions={})
    found = report.build("x", [first, second, last])
    assert found.host == {"cpu": "new"}
    assert list(found.versions.items()) == [("a", "1"), ("b", "2")]
    given = report.build("x", [first], host={"cpu": "given"}, versions={})
    assert (given.host, given.versions) == ({"cpu": "given"}, {})


def test_the_papers_figures_stand_beside_ours_and_say_where_they_are_from() -> None:
    """What it measured apart from what it quotes, each with its place in the paper and the quoted one's hardware."""
    train, infer = report.tables(read("both_modes"))
    assert train.rows[-2][1:] == ("119.636", "212.315", "1.775")
    assert "measured on ecs.hfc7.24xlarge" in train.rows[-2][0]
    for table, ratio, note in ((train, "up to 1.93", "note 2"), (infer, "up to 1.87", "note 3")):
        assert table.rows[-1] == ("Paper, quoted against older hardware", "", "", ratio)
        assert any(note in line and "older Xeon Platinum 8280" in line for line in table.conditions)
    assert not any("measured on ecs" in row[0] for row in infer.rows), "inference was not measured by the paper"
    ratios = json.loads(FORMATS["json"](read("both_modes")))["ratios"]
    assert [
        (one["mode"], one["speedup"], one["paper"]["measured"], one["paper"]["quoted_up_to"]) for one in ratios
    ] == [
        ("train", 1.5, 1.775, 1.93),
        ("infer", 1.75, None, 1.87),
    ]


def test_the_paper_says_nothing_of_other_models() -> None:
    (table,) = report.tables(report.build("x", [leg("float32", 10, model="resnet14")]))
    assert not any("Paper" in text for text in (*(row[0] for row in table.rows), *table.conditions))


def test_bert_counts_sequences_and_has_the_papers_quotes_beside_it() -> None:
    (table,) = report.tables(report.build("x", [leg("float32", 10, model="bert-base")]))
    assert table.header[0] == "BERT-base model training"
    assert table.rows[0][0] == "Throughput (sequences/second)"
    assert table.rows[-1][-1] == "up to 1.7"
    assert any("BERT-Large (QA)" in line for line in table.conditions)


def test_latency_stands_in_every_format() -> None:
    slow = leg("float32", 10, mode="infer", latency_ms={"p50": 20.0, "p90": 21.0, "p99": 29.5})
    fast = leg("bfloat16", 20, mode="infer", latency_ms={"p50": 10.0, "p90": 12.0, "p99": 15.0})
    found = report.build("x", [slow, fast])
    (table,) = report.tables(found)
    cells = ("20.0 / 21.0 / 29.5", "10.0 / 12.0 / 15.0", "2.000 (p50)")
    assert table.rows[1] == ("Latency at batch size 1, p50 / p90 / p99 (ms)", *cells)
    for name in ("table", "md", "html"):
        assert "10.0 / 12.0 / 15.0" in FORMATS[name](found)
    assert json.loads(FORMATS["json"](found))["results"][1]["latency_ms"] == {"p50": 10.0, "p90": 12.0, "p99": 15.0}
    rows = list(csv.DictReader(io.StringIO(FORMATS["csv"](found))))
    assert [row["latency_p99_ms"] for row in rows] == ["29.5", "15.0"]
    assert [(row["speedup"], row["paper_quoted_up_to"]) for row in rows] == [("2.0", "1.87")] * 2
    (half,) = report.tables(report.build("x", [slow]))
    assert half.rows[1][2:] == ("not measured", "needs both")


def test_a_workers_memory_stands_in_the_report() -> None:
    found = report.build("x", [leg("float32", 10), leg("bfloat16", 20, memory_mib=512.4)])
    assert "Peak memory of a worker: 1024 MiB (FP32), 512 MiB (Bfloat16)" in FORMATS["table"](found)
    assert [one["memory_mib"] for one in json.loads(FORMATS["json"](found))["results"]] == [1024.0, 512.4]


def test_a_name_with_markup_is_shown_and_not_obeyed() -> None:
    page = Page()
    page.feed(FORMATS["html"](report.build("<b>bold</b> & brave", [])))
    assert "b" not in page.tags
    assert "<b>bold</b> & brave: float32" in page.text
