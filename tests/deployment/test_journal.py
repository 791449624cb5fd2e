"""Creations: each made once, however often it is begun, and looked for until it shows."""

from __future__ import annotations

import pytest

from provisioner.deployment.journal import LAG_S, Journal
from provisioner.errors import CloudRefusedError, CloudUnavailableError, NoCapacityError
from provisioner.hosts.address import HostAddress
from provisioner.resources import Resource
from provisioner.step import Observed
from tests.support.cloud import Killed
from tests.support.deployments import Bench, left_open, spec


@pytest.fixture
def bench() -> Bench:
    return Bench(spec())


@pytest.fixture
def journal(bench: Bench) -> Journal:
    return bench.session.journal


class Calls:
    """A creating call that answers or fails as it is told, and keeps the tokens it got."""

    def __init__(self, *answers: list[str] | BaseException) -> None:
        self.answers = list(answers)
        self.tokens: list[str] = []

    def __call__(self, token: str) -> list[str]:
        self.tokens.append(token)
        answer = self.answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer


def vpcs(*ids: str) -> list[Resource]:
    return [Resource("vpc", id_, "") for id_ in ids]


@pytest.mark.parametrize("end", [Killed(), KeyboardInterrupt(), CloudUnavailableError("lost"), OSError()], ids=repr)
def test_a_call_whose_answer_is_not_known_is_sent_again_with_its_token(bench: Bench, end: BaseException) -> None:
    calls = Calls(end, ["vpc-1"], ["vpc-2"])
    with pytest.raises(type(end)):
        bench.session.journal.create("vpc", "", calls)
    again = bench.again()
    assert [creation.token for creation in again.store.state.unresolved] == calls.tokens
    assert again.session.journal.create("vpc", "", calls) == ["vpc-1"]
    assert again.store.state.unresolved == []
    again.session.journal.create("vpc", "", calls)
    assert calls.tokens[0] == calls.tokens[1] != calls.tokens[2]
    assert again.session.journal.made("vpc") == ["vpc-1", "vpc-2"]


@pytest.mark.parametrize("end", [NoCapacityError("none"), CloudRefusedError("no")], ids=repr)
def test_a_refused_call_made_nothing_and_its_token_is_not_used_again(journal: Journal, end: Exception) -> None:
    calls = Calls(end, ["i-1"])
    with pytest.raises(type(end)):
        journal.create("instance", "", calls)
    journal.create("instance", "", calls)
    assert len(set(calls.tokens)) == 2
    assert journal.made("instance") == ["i-1"]


def test_the_token_is_on_the_disk_before_the_call_goes_out_and_is_one_the_service_takes(bench: Bench) -> None:
    kept = []

    def call(token: str) -> list[str]:
        kept.extend(bench.again().store.state.unresolved)
        assert token.isascii()
        assert 0 < len(token) <= 64
        return [token]

    (token,) = bench.session.journal.create("vswitch", "z", call)
    assert [(creation.kind, creation.key, creation.token) for creation in kept] == [("vswitch", "z", token)]


def test_an_abandoned_token_is_never_used_again(bench: Bench, journal: Journal) -> None:
    left_open(journal, "vpc")
    left_open(journal, "instance")
    journal.abandon("instance")
    journal.abandon("key-pair")
    assert [creation.kind for creation in bench.again().store.state.unresolved] == ["vpc"]


def test_creations_of_one_kind_are_told_apart_by_their_key(journal: Journal) -> None:
    calls = Calls(Killed(), ["vsw-2"], ["vsw-1"])
    with pytest.raises(Killed):
        journal.create("vswitch", "z1", calls)
    journal.create("vswitch", "z2", calls)
    journal.create("vswitch", "z1", calls)
    assert calls.tokens[0] == calls.tokens[2] != calls.tokens[1]


# ------------------------------------------------------------------------------------------------ what was made


def test_what_was_made_is_looked_for_until_it_shows(bench: Bench, journal: Journal) -> None:
    journal.create("vpc", "", Calls(["vpc-1"]))
    looks = iter([vpcs(), vpcs("vpc-0"), vpcs("vpc-0", "vpc-1")])
    assert journal.listed("vpc", lambda: next(looks)) == vpcs("vpc-0", "vpc-1")
    assert len(bench.clock.slept) == 2
    assert bench.told == ["looking for vpc-1"] * 2


def test_what_does_not_show_for_long_is_gone_and_not_looked_for_again(bench: Bench, journal: Journal) -> None:
    """Somebody removed it. Looking writes nothing; keeping what was seen does."""
    journal.create("vpc", "", Calls(["vpc-1"]))
    journal.create("vpc", "", Calls(["vpc-2"]))
    assert journal.listed("vpc", lambda: vpcs("vpc-2")) == vpcs("vpc-2")
    assert bench.clock.monotonic() == pytest.approx(LAG_S, abs=2)
    assert journal.made("vpc") == ["vpc-1", "vpc-2"]
    journal.observe(Observed("vpc", {"": ("vpc-2",)}))
    assert bench.again().session.journal.made("vpc") == ["vpc-2"]
    bench.clock.slept.clear()
    journal.listed("vpc", lambda: vpcs("vpc-2"))
    assert bench.clock.slept == []


def test_what_was_never_made_is_not_looked_for_twice(bench: Bench, journal: Journal) -> None:
    assert journal.listed("vpc", list) == []
    assert bench.clock.slept == []


def test_a_look_answers_what_was_not_answered_for_its_own_key_only(bench: Bench, journal: Journal) -> None:
    left_open(journal, "vswitch", "z1")
    left_open(journal, "vswitch", "z2")
    journal.observe(Observed("vswitch", {"z2": ("vsw-2",)}))
    assert journal.made("vswitch") == ["vsw-2"]
    assert [creation.key for creation in bench.store.state.unresolved] == ["z1"]
    journal.observe(Observed("vpc", {}))
    assert journal.made("vswitch") == ["vsw-2"], "another kind"


def test_where_the_hosts_are_is_kept(bench: Bench, journal: Journal) -> None:
    host = HostAddress("demo-001", "192.0.2.1", "10.0.0.1")
    journal.observe(Observed("instance", {}, (host,)))
    journal.observe(Observed("instance", {}))
    assert bench.store.state.hosts == (host,)


def test_what_is_known_already_is_not_written_again(bench: Bench, journal: Journal) -> None:
    journal.create("vpc", "", Calls(["vpc-1"]))
    bench.light(None)
    journal.observe(Observed("vpc", {"": ("vpc-1",)}))
    assert bench.cloud.fuse.crossed == 0


def test_after_removal_only_what_is_not_answered_stays(bench: Bench, journal: Journal) -> None:
    journal.create("vswitch", "z1", Calls(["vsw-1"]))
    left_open(journal, "vswitch", "z2")
    journal.deleted("vswitch", [])
    assert journal.made("vswitch") == []
    assert [creation.key for creation in bench.store.state.unresolved] == ["z2"]
