"""Who sent a request, and whether it came as it was sent: V3 (ACS3-HMAC-SHA256) and V1 (HMAC-SHA1) signatures."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timezone
from urllib.parse import quote

from provisioner.simulator.errors import ApiError
from provisioner.simulator.wire import Request

V3_ALGORITHM = "ACS3-HMAC-SHA256"


def v3_canonical_request(
    method: str,
    path: str,
    query: Iterable[tuple[str, str]],
    headers: Mapping[str, str],
    signed_headers: Sequence[str],
    body: bytes,
) -> str:
    """The text whose hash V3 signs. `headers` has lower-case names; `signed_headers` is the request's own list."""
    lines = [
        method,
        quote(path, safe="/~"),
        _canonical_query(query),
        *(f"{name}:{headers.get(name, '').strip()}" for name in signed_headers),
        "",
        ";".join(signed_headers),
        hashlib.sha256(body).hexdigest(),
    ]
    return "\n".join(lines)


def v3_signature(secret: str, canonical_request: str) -> tuple[str, str]:
    """(string to sign, hex signature)."""
    text = f"{V3_ALGORITHM}\n{hashlib.sha256(canonical_request.encode()).hexdigest()}"
    return text, hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()


def v1_signature(secret: str, method: str, params: Iterable[tuple[str, str]]) -> tuple[str, str]:
    """(string to sign, base64 signature) over all parameters but `Signature` itself."""
    pairs = [(name, value) for name, value in params if name != "Signature"]
    text = f"{method}&%2F&{_encode(_canonical_query(pairs))}"
    return text, base64.b64encode(hmac.new(f"{secret}&".encode(), text.encode(), hashlib.sha1).digest()).decode()


def _canonical_query(pairs: Iterable[tuple[str, str]]) -> str:
    return "&".join(f"{_encode(name)}={_encode(value)}" for name, value in sorted(pairs))


def _encode(text: str) -> str:
    return quote(text, safe="~")


class Gate:
    """Lets signed requests of known key pairs through, each once, and only when they are fresh.

    Args:
        secrets: the secret of each access key id that is accepted.
        window_s: how far a request's date may be from `now`, in seconds; None for any date.
        now: the time of day in seconds since 1970 (never the simulated time: clients sign with their own clock).
    """

    def __init__(
        self, secrets: Mapping[str, str], *, window_s: float | None = 900, now: Callable[[], float] = time.time
    ) -> None:
        self._secrets = dict(secrets)
        self._window_s = window_s
        self._now = now
        self._nonces: dict[str, float] = {}

    def admit(self, request: Request) -> None:
        """Return when the request is genuine; raise ApiError with the service's code when not. Not thread-safe."""
        key_id, date, nonce, given = (_v3_claims if request.is_v3 else _v1_claims)(request)
        secret = self._secrets.get(key_id)
        if secret is None:
            raise ApiError("InvalidAccessKeyId.NotFound")
        self._check_date(date)
        if request.is_v3:
            text, expected = self._v3(request, secret)
        else:
            text, expected = v1_signature(secret, request.method, request.query + request.form)
        if not hmac.compare_digest(given.encode(), expected.encode()):
            what = "Specified signature is not matched with our calculation."
            raise ApiError("SignatureDoesNotMatch", f"{what} server string to sign is:{text}")
        if not nonce or nonce in self._nonces:
            raise ApiError("SignatureNonceUsed")
        self._remember(nonce)

    def _v3(self, request: Request, secret: str) -> tuple[str, str]:
        signed = _authorization(request).get("SignedHeaders", "").split(";")
        stated = request.headers.get("x-acs-content-sha256", "")
        if stated != hashlib.sha256(request.body).hexdigest():
            raise ApiError("SignatureDoesNotMatch", "The body is not the one that x-acs-content-sha256 states.")
        canonical = v3_canonical_request(
            request.method, request.path, request.query, request.headers, signed, request.body
        )
        return v3_signature(secret, canonical)

    def _check_date(self, date: str) -> None:
        try:
            sent = datetime.strptime(date, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc).timestamp()
        except ValueError:
            raise ApiError("InvalidTimeStamp.Format") from None
        if self._window_s is not None and abs(self._now() - sent) > self._window_s:
            raise ApiError("InvalidTimeStamp.Expired")

    def _remember(self, nonce: str) -> None:
        now = self._now()
        if self._window_s is not None and len(self._nonces) > 10_000:
            oldest = now - 2 * self._window_s
            self._nonces = {used: at for used, at in self._nonces.items() if at > oldest}
        self._nonces[nonce] = now


def _v3_claims(request: Request) -> tuple[str, str, str, str]:
    parts = _authorization(request)
    if not {"Credential", "SignedHeaders", "Signature"} <= parts.keys():
        raise ApiError("IncompleteSignature")
    headers = request.headers
    return (
        parts["Credential"],
        headers.get("x-acs-date", ""),
        headers.get("x-acs-signature-nonce", ""),
        parts["Signature"],
    )


def _v1_claims(request: Request) -> tuple[str, str, str, str]:
    params = dict(request.query + request.form)
    if "AccessKeyId" not in params:
        raise ApiError("MissingAccessKeyId")
    if params.get("SignatureMethod") != "HMAC-SHA1":
        raise ApiError("IncompleteSignature", "The only supported SignatureMethod is HMAC-SHA1.")
    return (
        params["AccessKeyId"],
        params.get("Timestamp", ""),
        params.get("SignatureNonce", ""),
        params.get("Signature", ""),
    )


def _authorization(request: Request) -> dict[str, str]:
    """The parts of `ACS3-HMAC-SHA256 Credential=…,SignedHeaders=…,Signature=…`."""
    algorithm, _, rest = request.headers["authorization"].partition(" ")
    if algorithm != V3_ALGORITHM:
        return {}
    return dict(part.strip().partition("=")[::2] for part in rest.split(","))
