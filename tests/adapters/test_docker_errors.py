"""What the docker SDK raises, as the errors that callers tell apart."""

from __future__ import annotations

import docker.errors
import pytest
import requests.exceptions

from provisioner.adapters.docker.errors import ClosedError, MissingError, RefusedError, SilentError, translated
from provisioner.errors import ConnectError, HostError

REFUSED = [
    (docker.errors.APIError("500", explanation="disk full"), RefusedError),
    (docker.errors.NotFound("404", explanation="no such container"), MissingError),
    (docker.errors.ImageNotFound("404", explanation="no such image"), MissingError),
]
SILENT = [
    (requests.exceptions.ConnectionError("refused"), ClosedError),
    (requests.exceptions.ReadTimeout("60 s"), SilentError),
    (docker.errors.DockerException("no version"), SilentError),
    (OSError("broken"), SilentError),
]


@pytest.mark.parametrize(("raised", "kind"), REFUSED, ids=lambda value: getattr(value, "__name__", ""))
def test_an_answer_that_says_no_is_told_in_the_engines_own_words(raised: Exception, kind: type[RefusedError]) -> None:
    with pytest.raises(RefusedError) as caught, translated("web-001", "do it"):
        raise raised
    assert type(caught.value) is kind
    assert caught.value.message == "the Docker engine on web-001 could not do it"
    assert (caught.value.host, caught.value.tail) == ("web-001", (caught.value.explanation,))
    assert caught.value.__cause__ is raised


@pytest.mark.parametrize(("raised", "kind"), SILENT, ids=lambda value: getattr(value, "__name__", ""))
def test_no_answer_says_whether_nothing_listens(raised: Exception, kind: type[SilentError]) -> None:
    with pytest.raises(SilentError) as caught, translated("web-001", "do it"):
        raise docker.errors.DockerException("while connecting") from raised
    assert type(caught.value) is kind
    assert caught.value.message == "no Docker engine answered on web-001 when it was to do it"


def test_a_host_that_is_out_of_reach_is_that_whatever_the_sdk_makes_of_it() -> None:
    """So it is never taken for a host on which no engine listens."""
    lost = ConnectError("the connection was lost", host="web-001")
    aborted = requests.exceptions.ConnectionError("aborted")
    aborted.__cause__ = lost
    with pytest.raises(ConnectError) as caught, translated("web-001", "do it"):
        raise docker.errors.DockerException("while connecting") from aborted
    assert caught.value is lost


def test_other_errors_are_left_alone() -> None:
    with pytest.raises(HostError, match="as it is"), translated("web-001", "do it"):
        raise HostError("as it is")
    with pytest.raises(KeyError), translated("web-001", "do it"):
        raise KeyError("a mistake")
