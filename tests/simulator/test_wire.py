"""The line: every way of writing a request that the service takes, and both formats of its answers."""

from __future__ import annotations

import http.client
import os
import socket
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest

from provisioner.simulator.signature import v1_signature
from provisioner.simulator.wire import parse, render
from tests.simulator.client import Client

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def v1_query(client: Client, method: str, action: str, **params: str) -> str:
    """A V1-signed query, with the simulator's own signature code (which the documented vectors hold)."""
    from datetime import datetime, timezone
    from uuid import uuid4

    key_id, secret = client.simulator.key_pair
    pairs = {
        "Action": action,
        "Version": "2014-05-26",
        "AccessKeyId": key_id,
        "SignatureMethod": "HMAC-SHA1",
        "SignatureVersion": "1.0",
        "SignatureNonce": str(uuid4()),
        "Timestamp": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        **params,
    }
    return urlencode({**pairs, "Signature": v1_signature(secret, method, pairs.items())[1]})


def test_query_and_form_are_one(client: Client) -> None:
    """V1 parameters may stand in the query, in the form, or in both."""
    query = v1_query(client, "POST", "DescribeRegions", Format="JSON")
    first, _, rest = query.partition("&")
    for target, form in ((f"/?{query}", ""), ("/", v1_query(client, "POST", "DescribeRegions", Format="JSON"))):
        status, _, body = client.http("POST", target, form.encode(), FORM)
        assert (status, b"cn-hangzhou" in body) == (200, True)
    query = v1_query(client, "POST", "DescribeRegions", Format="JSON")
    first, _, rest = query.partition("&")
    assert client.http("POST", f"/?{first}", rest.encode(), FORM)[0] == 200


def test_whole_url_as_target(client: Client) -> None:
    """A client that believes to speak to a proxy writes the whole URL, with any host."""
    query = v1_query(client, "GET", "DescribeRegions")
    assert client.http("GET", f"http://ecs.cn-hangzhou.aliyuncs.com/?{query}")[0] == 200


@pytest.mark.parametrize(("chosen", "kind"), [("", "xml"), ("XML", "xml"), ("JSON", "json"), ("json", "json")])
def test_format_of_v1_answers(client: Client, chosen: str, kind: str) -> None:
    """XML unless asked otherwise, for answers and errors alike."""
    more = {"Format": chosen} if chosen else {}
    status, headers, body = client.http("GET", "/?" + v1_query(client, "GET", "DescribeRegions", **more))
    assert (status, kind in headers["content-type"]) == (200, True)
    assert body.startswith(b"<?xml" if kind == "xml" else b"{")
    status, headers, body = client.http("GET", "/?" + v1_query(client, "GET", "NoSuchAction", **more))
    assert (status, kind in headers["content-type"]) == (404, True)
    assert b"<Code>InvalidAction.NotFound</Code>" in body or b'"Code":"InvalidAction.NotFound"' in body


def test_xml_mapping() -> None:
    """A list repeats its element, a dict holds elements, booleans are lower case, null is nothing, text is escaped."""
    answer = {"A": {"B": [{"C": 1}, {"C": True}]}, "D": "<&>", "E": None, "F": [], "G": 0.5}
    body = render(answer, root="XResponse", xml=True, headers={}).body.decode()
    assert body.endswith(
        "<XResponse><A><B><C>1</C></B><B><C>true</C></B></A><D>&lt;&amp;&gt;</D><G>0.5</G></XResponse>"
    )


def test_addressing_fields_are_no_parameters() -> None:
    """What signs or addresses a request is not part of what it asks for."""
    request = parse("GET", "/?Action=A&Version=v&Format=JSON&Signature=s&Timestamp=t&X=1&Empty=", {}, b"")
    assert (request.action, request.version, request.xml) == ("A", "v", False)
    assert request.params == {"X": "1", "Empty": ""}


def test_temporary_credentials(client: Client) -> None:
    """A security token rides along, signed like the rest."""
    token = {"x-acs-security-token": "token", "x-acs-accesskey-id": client.simulator.key_pair[0]}
    assert client.send("DescribeRegions", "", {}, **token)[0] == 200


def test_request_ids(client: Client) -> None:
    """Each answer carries an id of its own, in the body and in a header."""
    answers = [client.send("DescribeRegions", "", {}) for _ in range(2)]
    ids = [headers["x-acs-request-id"] for _, headers, _ in answers]
    assert ids[0] != ids[1]
    assert ids[0].encode() in answers[0][2]


def test_long_request_lines(client: Client) -> None:
    """User data of 32 KB makes a request line of 46 KB."""
    instance = client.launch(UserData="QUFB" * (32 * 1024 // 3))
    assert instance


def test_connections_are_kept(client: Client) -> None:
    """Many calls go over one connection, and each answer is one segment sent at once."""
    connection = http.client.HTTPConnection("127.0.0.1", client.simulator.port, timeout=10)
    connection.connect()
    used = connection.sock
    for _ in range(5):
        connection.request("GET", "/?" + v1_query(client, "GET", "DescribeRegions"))
        assert connection.getresponse().read()
    assert connection.sock is used
    connection.close()


def test_lost_reply_closes_the_connection(simulate: Callable[..., Client]) -> None:
    """No byte of an answer comes."""
    client = simulate(faults=[{"kind": "lost-before"}])
    with socket.create_connection(("127.0.0.1", client.simulator.port), timeout=10) as line:
        line.sendall(f"GET /?{v1_query(client, 'GET', 'DescribeRegions')} HTTP/1.1\r\n".encode())
        line.sendall(f"Host: 127.0.0.1:{client.simulator.port}\r\n\r\n".encode())
        assert line.recv(1) == b""


def test_listens_on_loopback_only(client: Client) -> None:
    """Nobody else can reach it."""
    assert client.simulator.endpoint == f"http://127.0.0.1:{client.simulator.port}"
    assert client.simulator._http.socket.getsockname()[0] == "127.0.0.1"


@pytest.mark.parametrize("header", ["Origin", "Sec-Fetch-Site"])
def test_no_web_page_may_call(client: Client, header: str) -> None:
    """The credentials are public and commands are real: a page in the user's browser gets nowhere, signed or not."""
    query = v1_query(client, "GET", "CreateVpc")
    assert client.http("GET", f"/?{query}", headers={header: "cross-site"})[0] == 403
    assert client.http("POST", "/_simulator/shutdown", headers={header: "cross-site"})[0] == 403
    assert client.simulator.calls == []
    assert client.http("GET", "/_simulator/health")[0] == 200


def test_no_other_user_may_call(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel says whose connection it is: this user's, root's, and who called sudo; nobody else's."""
    from provisioner.simulator import callers

    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
        accepted, peer = server.accept()
        with accepted:
            assert callers._owner(peer, server.getsockname()) in (os.getuid(), None)
            assert callers._listed_owner(peer, server.getsockname()) == os.getuid()
            assert callers._listed_owner(("127.0.0.1", 1), server.getsockname()) is None
    monkeypatch.setattr(callers, "_owner", lambda *_: os.getuid() + 1)
    assert client.http("GET", "/_simulator/resources")[0] == 403
    monkeypatch.setenv("SUDO_UID", str(os.getuid() + 1))
    assert client.http("GET", "/_simulator/resources")[0] == 200
    monkeypatch.setattr(callers, "_owner", lambda *_: None)
    monkeypatch.delenv("SUDO_UID")
    assert client.http("GET", "/_simulator/resources")[0] == 200, "the table of connections tells"
    monkeypatch.setattr(callers, "_listed_owner", lambda *_: None)
    assert client.http("GET", "/_simulator/resources")[0] == 403, "nobody tells whose it is"


@pytest.mark.parametrize(
    "name", ["evil.example:{port}", "127.0.0.1", "127.0.0.1:{port}0", "ecs.cn-hangzhou.aliyuncs.com", ""]
)
@pytest.mark.parametrize("path", ["/_simulator/resources", "/?Action=RunCommand"])
def test_a_request_that_names_another_host_is_refused(client: Client, name: str, path: str) -> None:
    """DNS rebinding: a page whose own name was made to lead here."""
    headers = {"Host": name.format(port=client.simulator.port)}
    assert client.http("GET", path, headers=headers)[0] == 403
    assert client.simulator.calls == []


def test_its_own_names_are_taken(client: Client) -> None:
    for name in ("127.0.0.1", "localhost"):
        headers = {"Host": f"{name}:{client.simulator.port}"}
        assert client.http("GET", "/_simulator/resources", headers=headers)[0] == 200


@pytest.mark.parametrize("written", ["true", "True", "TRUE"])
def test_booleans_in_any_case(client: Client, written: str) -> None:
    """SDKs write booleans their own way."""
    (instance,) = client.launch(DeletionProtection=written)
    assert client.instances()[0]["DeletionProtection"] is True
    assert instance


@pytest.mark.parametrize("written", ['["{0}"]', "['{0}']"])
def test_lists_in_either_quotes(client: Client, written: str) -> None:
    """Some clients write JSON lists the Python way."""
    (instance,) = client.launch()
    assert [found["InstanceId"] for found in client.instances(InstanceIds=written.format(instance))] == [instance]


def test_admin(client: Client) -> None:
    """Health, resources, calls, faults and clock, without a signature."""
    import json

    def ask(method: str, name: str, body: Any = None) -> tuple[int, Any]:
        sent = b"" if body is None else json.dumps(body).encode()
        status, _, answer = client.http(method, f"/_simulator/{name}", sent)
        return status, json.loads(answer)

    assert ask("GET", "health")[1]["status"] == "ok"
    vpc = client.call("CreateVpc", CidrBlock="10.0.0.0/8", VpcName="v", Tag_1_Key="a", Tag_1_Value="b")["VpcId"]
    assert ask("GET", "resources") == (200, [{"kind": "vpc", "id": vpc, "name": "v", "tags": {"a": "b"}}])
    (row,) = ask("GET", "calls")[1]
    assert (row["action"], row["version"], row["status"], row["code"]) == ("CreateVpc", "2016-04-28", 200, "")
    assert row["params"]["CidrBlock"] == "10.0.0.0/8"
    assert ask("POST", "faults", [{"kind": "throttle"}])[0] == 200
    assert client.send("DescribeRegions", "", {})[0] == 400
    assert ask("POST", "faults", [{"kind": "earthquake"}])[0] == 400
    assert ask("POST", "clock", {})[0] == 400
    before = client.simulator.now()
    assert ask("POST", "clock", {"advance_s": 1000})[1]["now"] >= before + 1000
    assert ask("GET", "nothing")[0] == 404
