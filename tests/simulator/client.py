"""A small client for these tests: V3-signed calls, written after the documentation and not after the simulator."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import uuid
from datetime import datetime, timezone
from typing import Any
from urllib.parse import quote, urlencode

from provisioner.simulator.server import Simulator

VERSIONS = {"Vpc": "2016-04-28", "VSwitch": "2016-04-28", "Eip": "2016-04-28", "CallerIdentity": "2015-04-01"}


class Refused(Exception):
    """An error answer."""

    def __init__(self, status: int, body: dict[str, Any], headers: dict[str, str]) -> None:
        super().__init__(f"{status} {body.get('Code')}: {body.get('Message')}")
        self.status = status
        self.code = body.get("Code", "")
        self.headers = headers


class Client:
    """Calls actions of one simulator."""

    def __init__(self, simulator: Simulator, region: str = "cn-hangzhou") -> None:
        self.simulator = simulator
        self.region = region

    def call(self, action: str, version: str = "", **params: Any) -> dict[str, Any]:
        """Call an action; `Tag_1_Key` stands for `Tag.1.Key`. Raises Refused."""
        status, headers, body = self.send(action, version, params)
        answer: dict[str, Any] = json.loads(body)
        if status >= 400:
            raise Refused(status, answer, headers)
        return answer

    def send(self, action: str, version: str, params: dict[str, Any], **more: str) -> tuple[int, dict[str, str], bytes]:
        """Send a signed call; (status, headers, body)."""
        version = version or next((v for name, v in VERSIONS.items() if name in action), "2014-05-26")
        query = {name.replace("_", "."): str(value) for name, value in {"RegionId": self.region, **params}.items()}
        headers = {
            "host": f"127.0.0.1:{self.simulator.port}",
            "x-acs-action": action,
            "x-acs-version": version,
            "x-acs-date": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "x-acs-signature-nonce": uuid.uuid4().hex,
            "x-acs-content-sha256": hashlib.sha256(b"").hexdigest(),
            **more,
        }
        names = sorted(headers)
        canonical = "\n".join(
            [
                "POST",
                "/",
                "&".join(f"{quote(k, safe='~')}={quote(v, safe='~')}" for k, v in sorted(query.items())),
                *(f"{name}:{headers[name]}" for name in names),
                "",
                ";".join(names),
                headers["x-acs-content-sha256"],
            ]
        )
        key_id, secret = self.simulator.key_pair
        text = "ACS3-HMAC-SHA256\n" + hashlib.sha256(canonical.encode()).hexdigest()
        signature = hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()
        headers["Authorization"] = (
            f"ACS3-HMAC-SHA256 Credential={key_id},SignedHeaders={';'.join(names)},Signature={signature}"
        )
        return self.http("POST", "/?" + urlencode(query), headers=headers)

    def http(
        self, method: str, target: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        """Any HTTP request, on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.simulator.port, timeout=20)
        try:
            connection.request(method, target, body, headers or {})
            response = connection.getresponse()
            return response.status, {k.lower(): v for k, v in response.getheaders()}, response.read()
        finally:
            connection.close()

    def network(self, zone: str = "cn-hangzhou-i") -> dict[str, str]:
        """A VPC, a VSwitch and a group: what RunInstances needs of the network."""
        vpc = self.call("CreateVpc", CidrBlock="10.0.0.0/16", VpcName="net")["VpcId"]
        switch = self.call("CreateVSwitch", VpcId=vpc, ZoneId=zone, CidrBlock="10.0.1.0/24")["VSwitchId"]
        group = self.call("CreateSecurityGroup", VpcId=vpc, SecurityGroupName="group")["SecurityGroupId"]
        return {"vpc": vpc, "switch": switch, "group": group}

    def launch(self, network: dict[str, str] | None = None, **params: Any) -> list[str]:
        """RunInstances with what it needs; the ids."""
        network = network or self.network()
        answer = self.call("RunInstances", **{**self.request(network), **params})
        ids: list[str] = answer["InstanceIdSets"]["InstanceIdSet"]
        return ids

    def request(self, network: dict[str, str]) -> dict[str, Any]:
        """The parameters of a RunInstances that passes."""
        return {
            "InstanceType": "ecs.hfc7.large",
            "ImageFamily": "acs:alibaba_cloud_linux_3_2104_lts_x64",
            "VSwitchId": network["switch"],
            "SecurityGroupId": network["group"],
            "SystemDisk_Category": "cloud_essd",
            "SystemDisk_PerformanceLevel": "PL1",
            "SystemDisk_Size": 40,
            "InternetMaxBandwidthOut": 5,
        }

    def instances(self, **params: Any) -> list[dict[str, Any]]:
        """DescribeInstances, one page."""
        found: list[dict[str, Any]] = self.call("DescribeInstances", **{"MaxResults": 100, **params})["Instances"][
            "Instance"
        ]
        return found
