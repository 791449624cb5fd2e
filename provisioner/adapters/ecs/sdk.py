"""One call through the official SDK: parameters in, the answer's body out, and a Fault for everything else.

Parameters and bodies are dicts in the API's own names. ECS goes through the SDK's typed client and models; VPC and STS,
for which this SDK has no (complete) models, through the generic client underneath it.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from provisioner.errors import UsageError
from provisioner.secret import Secret

CONNECT_TIMEOUT_MS = 5_000
READ_TIMEOUT_MS = 30_000  # RunInstances of 100 instances answers late

VPC_VERSION, STS_VERSION = "2016-04-28", "2015-04-01"
VPC_ACTIONS = frozenset(
    {
        "CreateVpc",
        "CreateVSwitch",
        "DeleteVpc",
        "DeleteVSwitch",
        "DescribeEipAddresses",
        "DescribeVpcs",
        "DescribeVSwitches",
        "ReleaseEipAddress",
        "UnTagResources",
        "UnassociateEipAddress",
    }
)
VPC_TYPES = frozenset({"VPC", "VSWITCH", "EIP"})
"""What ResourceType may say to VPC's actions; an action of this name that ECS has too is VPC's for these."""

STS_ACTIONS = frozenset({"GetCallerIdentity"})

NETWORK_WORDS = {
    "ProxyError": "the proxy does not answer",
    "NameResolutionError": "the host name cannot be resolved",
    "CERTIFICATE_VERIFY_FAILED": "the server's certificate is not trusted",
    "Connection refused": "the connection is refused",
    "ConnectTimeout": "connecting takes too long",
    "Read timed out": "the answer takes too long",
    "Network is unreachable": "the network cannot be reached",
    "IncompleteRead": "the answer breaks off",
    "Connection aborted": "the connection breaks off",
    "Connection broken": "the connection breaks off",
    "Failed to parse the value as json": "the answer is not JSON",
}

# The SDK's loggers write tracebacks and, with DEBUG=sdk, whole requests with their Authorization to stderr.
LOGGERS = ("credentials", "darabonba-core", "alibabacloud-tea", "apscheduler")


@dataclass(frozen=True)
class Credentials:
    """An access key pair given in so many words, instead of the default chain."""

    access_key_id: str
    access_key_secret: Secret


class Fault(Exception):
    """A call that was not answered as it should. Not yet an error of the program: `api` makes one of it, or retries.

    Args:
        code: the service's error code; "" when there was no answer, or none that can be read.
        message: the service's words, or the network's.
        status: the HTTP status, when there was one.
        request_id: to quote to the provider's support.
        retry_after_s: how long the service asks to wait.
        denied_action: what a RAM policy would have to allow.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        status: int | None = None,
        request_id: str = "",
        retry_after_s: float | None = None,
        denied_action: str = "",
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.request_id = request_id
        self.retry_after_s = retry_after_s
        self.denied_action = denied_action


class Sdk:
    """The SDK's clients for one region, made once and shared by all threads.

    Args:
        region: for example cn-hangzhou.
        endpoint: `http://HOST:PORT` in place of every service's own address.
        credentials: in place of the default chain of alibabacloud-credentials.

    Attributes:
        endpoint: ECS's host name, or HOST:PORT.

    Raises Fault when the chain finds no credentials, UsageError for an endpoint that is no address.
    """

    def __init__(self, region: str, *, endpoint: str | None, credentials: Credentials | None) -> None:
        from alibabacloud_ecs20140526 import models
        from alibabacloud_ecs20140526.client import Client
        from alibabacloud_tea_openapi.client import Client as OpenApiClient
        from alibabacloud_tea_openapi.utils_models import Config
        from darabonba.runtime import RuntimeOptions

        _silence()
        common: dict[str, Any] = {
            "region_id": region,
            "connect_timeout": CONNECT_TIMEOUT_MS,
            "read_timeout": READ_TIMEOUT_MS,
            "user_agent": "provisioner",
            **_access(credentials),
        }
        where = _address(endpoint) if endpoint else {}
        self._models = models
        self._runtime = RuntimeOptions()
        self._ecs = Client(Config(**common, **where))
        self.endpoint = str(self._ecs._endpoint)
        self._vpc = OpenApiClient(Config(**common, **(where or {"endpoint": f"vpc.{region}.aliyuncs.com"})))
        self._sts = OpenApiClient(Config(**common, **(where or {"endpoint": "sts.aliyuncs.com"})))

    def __call__(self, action: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Call `action` once. Raises Fault."""
        from Tea.exceptions import TeaException

        try:
            if action in VPC_ACTIONS or parameters.get("ResourceType") in VPC_TYPES:
                body = self._generic(self._vpc, VPC_VERSION, action, parameters)
            elif action in STS_ACTIONS:
                body = self._generic(self._sts, STS_VERSION, action, parameters)
            else:
                body = self._typed(action, parameters)
        except TeaException as error:
            raise fault(error) from error
        if not isinstance(body, dict):
            raise Fault("", "the answer is not of the API's form")
        return body

    def _typed(self, action: str, parameters: Mapping[str, Any]) -> Any:
        request = getattr(self._models, f"{action}Request")().from_map(dict(parameters))
        if _filled(request.to_map()) != _filled(parameters):
            raise TypeError(f"the SDK's {action}Request does not know all of {sorted(parameters)}")
        method = re.sub(r"(?<!^)(?=[A-Z])", "_", action).lower()
        body = getattr(self._ecs, f"{method}_with_options")(request, self._runtime).body
        return None if body is None else body.to_map()  # None: JSON, but not of this action's shape

    def _generic(self, client: Any, version: str, action: str, parameters: Mapping[str, Any]) -> Any:
        from alibabacloud_tea_openapi.utils import Utils
        from alibabacloud_tea_openapi.utils_models import OpenApiRequest, Params

        call = Params(
            action=action,
            version=version,
            protocol="HTTPS",
            pathname="/",
            method="POST",
            auth_type="AK",
            style="RPC",
            req_body_type="formData",
            body_type="json",
        )
        return client.call_api(call, OpenApiRequest(query=Utils.query(dict(parameters))), self._runtime)["body"]


def _filled(value: Any) -> Any:
    """Without empty lists, which the models add."""
    if isinstance(value, Mapping):
        return {key: _filled(part) for key, part in value.items() if part != []}
    return [_filled(part) for part in value] if isinstance(value, list) else value


def fault(error: Any) -> Fault:
    """What the SDK raised, in one form: a service error keeps its code, an answer lost on the way has none."""
    inner = getattr(error, "inner_exception", None)
    if inner is not None:
        if type(inner).__name__ == "CredentialException":
            return _no_credentials()
        return Fault("", _network_words(str(getattr(inner, "message", inner))))
    data = error.data if isinstance(error.data, dict) else {}
    denied = getattr(error, "accessDeniedDetail", None)
    retry_after_ms = getattr(error, "retry_after", None)
    code = str(error.code or "")
    return Fault(
        "" if code == "None" else code,  # the SDK's word for an error body without a code
        str(data.get("Message") or error.message or ""),
        status=getattr(error, "status_code", None),
        request_id=str(data.get("RequestId") or ""),
        retry_after_s=retry_after_ms / 1000 if retry_after_ms else None,
        denied_action=str(denied.get("AuthAction") or "") if isinstance(denied, dict) else "",
    )


def _network_words(text: str) -> str:
    """What went wrong on the way; the libraries' own words quote the whole request."""
    for sign, words in NETWORK_WORDS.items():
        if sign in text:
            return words
    return re.sub(r"url: \S+", "url: …", text)[:300]


def _no_credentials() -> Fault:
    # The chain's own message quotes every provider that it tried, at a length that hides the point.
    return Fault("NoCredentials", "no credentials were found")


def _access(credentials: Credentials | None) -> dict[str, Any]:
    if credentials:
        return {
            "access_key_id": credentials.access_key_id,
            "access_key_secret": credentials.access_key_secret.reveal(),
        }
    from alibabacloud_credentials.client import Client as DefaultChain
    from alibabacloud_credentials.exceptions import CredentialException

    chain = DefaultChain()
    _silence()
    try:
        chain.get_credential()
    except CredentialException as error:
        raise _no_credentials() from error
    return {"credential": chain}


def _address(endpoint: str) -> dict[str, str]:
    """The SDK's settings for another address than the service's own."""
    parts = urlsplit(endpoint)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/") or parts.query:
        raise UsageError(f"{endpoint!r} is no endpoint", "set PROVISIONER_ENDPOINT to http://HOST:PORT")
    settings = {"endpoint": parts.netloc, "protocol": parts.scheme}
    # The SDK sends even loopback through HTTP_PROXY and knows no NO_PROXY. It cannot be told "no proxy", only another
    # one: the server itself, which then gets the request with an absolute target, as every HTTP/1.1 server accepts it.
    if parts.scheme == "http" and _is_loopback(parts.hostname) and _proxy_is_set():
        settings["http_proxy"] = f"http://{parts.netloc}"
    return settings


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _proxy_is_set() -> bool:
    return bool(os.environ.get("HTTP_PROXY") or os.environ.get("http_proxy"))


def _silence() -> None:
    for name in LOGGERS:
        logger = logging.getLogger(name)
        logger.handlers = [logging.NullHandler()]
        logger.propagate = False
