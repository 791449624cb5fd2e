"""Deleting, until what was deleted is no longer listed."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from provisioner.adapters.ecs.api import DELETE_S
from provisioner.adapters.ecs.find import Find
from provisioner.adapters.ecs.part import batches
from provisioner.errors import CloudError, CloudRefusedError
from provisioner.resources import Kind

IN_USE = "InUse"


class Removal(Find):
    """delete, for every kind."""

    def delete(self, kind: Kind, ids: Sequence[str]) -> None:
        """Delete, and wait until they are gone. What is gone already counts as deleted.

        Retries while a dependency or the state is in the way (an instance that is still Initializing, a group that a
        released instance still holds), with Force for running instances; takes deletion protection off.
        """
        ids = list(dict.fromkeys(ids))
        if not ids:
            return
        ways: dict[Kind, Callable[[list[str]], None]] = {
            "instance": self._delete_instances,
            "key-pair": self._delete_key_pairs,
            "eip": self._delete_eips,
            "vpc": lambda ids: self._delete_each("DeleteVpc", "VpcId", ids),
            "vswitch": lambda ids: self._delete_each("DeleteVSwitch", "VSwitchId", ids),
            "security-group": lambda ids: self._delete_each("DeleteSecurityGroup", "SecurityGroupId", ids),
            "disk": lambda ids: self._delete_each("DeleteDisk", "DiskId", ids),
        }
        ways[kind](ids)
        self._api.wait(kind, "to be gone", ids, lambda: self._states(kind, ids), deadline_s=DELETE_S)

    def _delete_each(self, action: str, parameter: str, ids: Sequence[str]) -> None:
        """Every one is tried, also after one that is refused."""
        failures = [error for id_ in ids if (error := self._failure(action, {parameter: id_}))]
        if failures:
            raise failures[0]

    def _failure(self, action: str, asked: Mapping[str, Any]) -> CloudError | None:
        try:
            self._api.call(action, asked, patience_s=DELETE_S)
        except CloudError as error:
            return error
        return None

    def _delete_instances(self, ids: list[str]) -> None:
        for batch in batches(ids):
            if not self._release(batch) and len(batch) > 1:
                # One that is gone already makes the service refuse all. What is listed does not tell which, so soon
                # after they were made.
                for id_ in batch:
                    self._release([id_])

    def _release(self, ids: Sequence[str]) -> bool:
        """DeleteInstances, running or protected; whether all of them were there."""
        asked = {"InstanceId": list(ids), "Force": True}
        try:
            return bool(self._api.call("DeleteInstances", asked, patience_s=DELETE_S))
        except CloudRefusedError as error:
            if error.code != "InvalidOperation.DeletionProtection":
                raise
        for id_ in ids:
            self._api.call("ModifyInstanceAttribute", {"InstanceId": id_, "DeletionProtection": False})
        return bool(self._api.call("DeleteInstances", asked, patience_s=DELETE_S))

    def _delete_key_pairs(self, names: list[str]) -> None:
        for batch in batches(names):
            self._api.call("DeleteKeyPairs", {"KeyPairNames": json.dumps(batch)}, patience_s=DELETE_S)

    def _delete_eips(self, ids: list[str]) -> None:
        """An address in use is taken off its instance first; releasing is retried until that is through."""
        for item in self._existing("eip", ids):
            if item.get("Status") == IN_USE:
                used = {key: item[key] for key in ("AllocationId", "InstanceId", "InstanceType") if item.get(key)}
                self._api.call("UnassociateEipAddress", used)
        self._delete_each("ReleaseEipAddress", "AllocationId", ids)
