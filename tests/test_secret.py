"""Secrets that do not show."""

from __future__ import annotations

import copy
import dataclasses
import json
import logging
import pickle
from typing import Any

import pytest

from provisioner.secret import Secret

HIDDEN = "correct horse battery staple"


@pytest.fixture(name="secret")
def _secret() -> Secret:
    return Secret(HIDDEN)


@pytest.mark.parametrize(
    "show",
    [
        str,
        repr,
        "{}".format,
        "{!r}".format,
        "{!s}".format,
        "{:>40}".format,
        lambda secret: f"{secret}",
        lambda secret: f"{secret!r:>20}",
        lambda secret: "%s %r" % (secret, secret),  # noqa: UP031
        lambda secret: str([secret]) + str({"password": secret}) + str((secret,)),
        lambda secret: repr(dataclasses.make_dataclass("Login", ["password"])(secret)),
        lambda secret: str(ValueError(secret)) + repr(ValueError(secret)),
        lambda secret: json.dumps({"password": secret}, default=str),
        lambda secret: logging.makeLogRecord({"msg": "%s", "args": (secret,)}).getMessage(),
        lambda secret: str(getattr(secret, "__dict__", "")),
    ],
)
def test_a_secret_does_not_show_itself(secret: Secret, show: Any) -> None:
    shown = show(secret)
    assert HIDDEN not in shown
    assert "correct" not in shown


def test_its_value_is_there_for_who_asks(secret: Secret) -> None:
    assert secret.reveal() == HIDDEN
    assert str(secret) == "********"
    assert secret == Secret(HIDDEN)
    assert secret != Secret("another")
    assert secret != HIDDEN
    assert len({secret, Secret(HIDDEN), Secret("another")}) == 2


def test_it_is_neither_pickled_nor_written_as_json(secret: Secret) -> None:
    with pytest.raises(TypeError):
        pickle.dumps(secret)
    with pytest.raises(TypeError):
        copy.deepcopy(secret)
    with pytest.raises(TypeError):
        json.dumps(secret)
