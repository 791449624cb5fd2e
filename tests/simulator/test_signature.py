"""Signatures: the documented vectors, and what is turned away."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

import pytest

from provisioner.simulator.errors import ApiError
from provisioner.simulator.signature import Gate, v1_signature, v3_canonical_request, v3_signature
from provisioner.simulator.wire import Request, parse

EMPTY = hashlib.sha256(b"").hexdigest()
V3_HEADERS = {
    "host": "ecs.cn-shanghai.aliyuncs.com",
    "x-acs-action": "RunInstances",
    "x-acs-version": "2014-05-26",
    "x-acs-date": "2023-10-26T10:22:32Z",
    "x-acs-signature-nonce": "3156853299f313e23d1673dc12e1703d",
    "x-acs-content-sha256": EMPTY,
}
V3_SIGNED = ["host", "x-acs-action", "x-acs-content-sha256", "x-acs-date", "x-acs-signature-nonce", "x-acs-version"]
V3_TARGET = "/?ImageId=win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd&RegionId=cn-shanghai"
V3_SIGNATURE = "06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0"
V3_TIME = datetime(2023, 10, 26, 10, 22, 32, tzinfo=timezone.utc).timestamp()

V1_TARGET = (
    "/?Format=XML&AccessKeyId=testid&Action=DescribeRegions&SignatureMethod=HMAC-SHA1&SignatureVersion=1.0"
    "&SignatureNonce=3ee8c1b8-83d3-44af-a94f-4e0ad82fd6cf&Timestamp=2016-02-23T12%3A46%3A24Z&Version=2014-05-26"
    "&Signature=OLeaidS1JvxuMvnyHOwuJ%2BuX5qY%3D"
)
V1_TIME = datetime(2016, 2, 23, 12, 46, 24, tzinfo=timezone.utc).timestamp()


def v3_request(signature: str = V3_SIGNATURE, key_id: str = "YourAccessKeyId", **headers: str) -> Request:
    signed = ";".join(V3_SIGNED)
    claim = f"ACS3-HMAC-SHA256 Credential={key_id},SignedHeaders={signed},Signature={signature}"
    return parse("POST", V3_TARGET, {**V3_HEADERS, **headers, "Authorization": claim}, b"")


def v3_gate(**options: Any) -> Gate:
    return Gate({"YourAccessKeyId": "YourAccessKeySecret"}, **{"now": lambda: V3_TIME, **options})


def v1_gate() -> Gate:
    return Gate({"testid": "testsecret"}, now=lambda: V1_TIME)


def test_v3_documented_vector() -> None:
    """The documentation's example gives the documentation's signature."""
    request = v3_request()
    canonical = v3_canonical_request("POST", "/", request.query, request.headers, V3_SIGNED, b"")
    assert hashlib.sha256(canonical.encode()).hexdigest() == (
        "7ea06492da5221eba5297e897ce16e55f964061054b7695beedaac1145b1e259"
    )
    assert v3_signature("YourAccessKeySecret", canonical)[1] == V3_SIGNATURE


def test_v1_documented_vector() -> None:
    """The documentation's example gives the documentation's signature."""
    request = parse("GET", V1_TARGET, {}, b"")
    assert v1_signature("testsecret", "GET", request.query)[1] == "OLeaidS1JvxuMvnyHOwuJ+uX5qY="


def test_genuine_requests_pass() -> None:
    """Both kinds of genuine requests come through."""
    v3_gate().admit(v3_request())
    v1_gate().admit(parse("GET", V1_TARGET, {}, b""))


def test_a_request_passes_once() -> None:
    """A nonce that was used is turned away."""
    gate = v3_gate()
    gate.admit(v3_request())
    with pytest.raises(ApiError) as caught:
        gate.admit(v3_request())
    assert (caught.value.code, caught.value.status) == ("SignatureNonceUsed", 400)


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (v3_request(signature="0" * 64), "SignatureDoesNotMatch"),
        (v3_request(key_id="somebody"), "InvalidAccessKeyId.NotFound"),
        (v3_request(**{"x-acs-action": "DeleteInstances"}), "SignatureDoesNotMatch"),
        (v3_request(**{"x-acs-content-sha256": "0" * 64}), "SignatureDoesNotMatch"),
        (v3_request(**{"x-acs-date": "yesterday"}), "InvalidTimeStamp.Format"),
        (replace(v3_request(), query=(("ImageId", "other"),)), "SignatureDoesNotMatch"),
        (replace(v3_request(), body=b"x"), "SignatureDoesNotMatch"),
        (replace(v3_request(), headers={"authorization": "Bearer x"}), "IncompleteSignature"),
        (parse("GET", "/?Action=DescribeRegions", {}, b""), "MissingAccessKeyId"),
        (parse("GET", "/?AccessKeyId=YourAccessKeyId&SignatureMethod=MD5", {}, b""), "IncompleteSignature"),
    ],
)
def test_forged_requests_are_turned_away(request_: Request, code: str) -> None:
    """Whatever was changed on the way, or never signed."""
    with pytest.raises(ApiError) as caught:
        v3_gate().admit(request_)
    assert caught.value.code == code


@pytest.mark.parametrize("target", [V1_TARGET.replace("DescribeRegions", "DescribeZones"), V1_TARGET + "&More=1"])
def test_forged_v1_requests_are_turned_away(target: str) -> None:
    """V1 signs every parameter."""
    with pytest.raises(ApiError, match="SignatureDoesNotMatch"):
        v1_gate().admit(parse("GET", target, {}, b""))


@pytest.mark.parametrize(("late_s", "passes"), [(0, True), (899, True), (-899, True), (901, False), (-901, False)])
def test_clock_window(late_s: float, passes: bool) -> None:
    """A quarter of an hour either way, and no more."""
    gate = v3_gate(now=lambda: V3_TIME + late_s)
    if passes:
        gate.admit(v3_request())
    else:
        with pytest.raises(ApiError, match=r"InvalidTimeStamp\.Expired"):
            gate.admit(v3_request())


def test_clock_window_can_be_switched_off() -> None:
    """With no window any date passes."""
    v3_gate(window_s=None, now=lambda: 0.0).admit(v3_request())


def test_signature_does_not_depend_on_how_the_wire_escapes() -> None:
    """A space as + or %20, an asterisk escaped or not: the same request."""
    one = parse("POST", "/?Name=a+b%2A~%C3%A9", {}, b"")
    other = parse("POST", "/?Name=a%20b*%7E%C3%A9", {}, b"")
    assert v1_signature("s", "POST", one.query) == v1_signature("s", "POST", other.query)
    assert "Name%3Da%2520b%252A~%25C3%25A9" in v1_signature("s", "POST", one.query)[0]
