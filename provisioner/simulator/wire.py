"""What goes over the line: an HTTP request as the service sees it, and its answers in JSON or XML."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit
from xml.sax.saxutils import escape

SIGNING_FIELDS = frozenset(
    {"Signature", "SignatureMethod", "SignatureNonce", "SignatureType", "SignatureVersion", "Timestamp", "AccessKeyId"}
    | {"SecurityToken", "Action", "Version", "Format"}
)
"""Parameters that say how a V1 request is addressed and signed, not what it asks for."""


@dataclass(frozen=True)
class Request:
    """A request, whichever way its client wrote it: `params` are query and form together, without SIGNING_FIELDS.

    Header names are in lower case. `query` and `form` are the decoded pairs as they came, for the signature.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    query: tuple[tuple[str, str], ...]
    form: tuple[tuple[str, str], ...]
    body: bytes
    action: str
    version: str
    xml: bool
    params: dict[str, str] = field(default_factory=dict)

    @property
    def is_v3(self) -> bool:
        """Signed in the Authorization header; otherwise in the parameters (V1)."""
        return "authorization" in self.headers


def parse(method: str, target: str, headers: Mapping[str, str], body: bytes) -> Request:
    """Read a request. `target` may be a path or, through a proxy, a whole URL."""
    url = urlsplit(target)
    headers = {name.lower(): value for name, value in headers.items()}
    query = tuple(parse_qsl(url.query, keep_blank_values=True))
    form: tuple[tuple[str, str], ...] = ()
    if headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        form = tuple(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
    every = dict(query + form)
    fallback = "JSON" if "authorization" in headers else "XML"
    return Request(
        method=method,
        path=unquote(url.path) or "/",
        headers=headers,
        query=query,
        form=form,
        body=body,
        action=headers.get("x-acs-action") or every.get("Action", ""),
        version=headers.get("x-acs-version") or every.get("Version", ""),
        xml=every.get("Format", fallback).upper() == "XML",
        params={name: value for name, value in every.items() if name not in SIGNING_FIELDS},
    )


@dataclass(frozen=True)
class Response:
    """An answer ready to be sent. `status` 0 means that none is sent: the connection is closed instead."""

    status: int
    body: bytes = b""
    content_type: str = "application/json;charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)


def render(
    answer: Mapping[str, Any], *, root: str, xml: bool, status: int = 200, headers: Mapping[str, str]
) -> Response:
    """An answer in the format that was asked for; `root` names the outermost XML element."""
    if xml:
        text = f"<?xml version='1.0' encoding='UTF-8'?>{_element(root, answer)}"
        return Response(status, text.encode(), "text/xml;charset=utf-8", headers)
    return Response(status, json.dumps(answer, separators=(",", ":")).encode(), headers=headers)


def _element(name: str, value: Any) -> str:
    """The service's generic mapping: a list is its element repeated, a dict holds elements, null is nothing."""
    if value is None:
        return ""
    if isinstance(value, (list, tuple)):
        return "".join(_element(name, item) for item in value)
    if isinstance(value, Mapping):
        return f"<{name}>{''.join(_element(key, item) for key, item in value.items())}</{name}>"
    text = str(value).lower() if isinstance(value, bool) else escape(str(value))
    return f"<{name}>{text}</{name}>"
