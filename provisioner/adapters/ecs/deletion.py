"""Deleting, until what was deleted is no longer listed."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from provisioner.adapters.ecs.action_group import batches
from provisioner.adapters.ecs.api import DELETE_S
from provisioner.adapters.ecs.lookup import Lookup
from provisioner.errors import CloudError, CloudRefusedError, ProvisionerError
from provisioner.resources import Kind

IN_USE = "InUse"

HINDERED_S: Final = 30.0
"""How long deleting is tried once something else could not be deleted: that may be what holds it."""


class Deletion(Lookup):
    """Deleting, kind by kind, what lookups can follow until it is gone."""

    _stays: Kind | None = None
    """The first kind of which something could not be deleted."""

    def delete(self, kind: Kind, ids: Sequence[str]) -> list[str]:
        """Delete, and wait until they are gone; those that the service says it has deleted now.

        One that is gone already, or that never was, is no error and not among them. Retries while a dependency or the
        state is in the way (an instance that is still Initializing, a group that a released instance still holds),
        with Force for running instances; takes deletion protection off.
        """
        ids = list(dict.fromkeys(ids))
        if not ids:
            return []
        ways: dict[Kind, Callable[[list[str]], list[str]]] = {
            "instance": self._delete_instances,
            "key-pair": self._delete_key_pairs,
            "eip": self._delete_eips,
            "vpc": lambda ids: self._delete_each("DeleteVpc", "VpcId", ids),
            "vswitch": lambda ids: self._delete_each("DeleteVSwitch", "VSwitchId", ids),
            "security-group": lambda ids: self._delete_each("DeleteSecurityGroup", "SecurityGroupId", ids),
            "disk": lambda ids: self._delete_each("DeleteDisk", "DiskId", ids),
        }
        if self._stays:
            words = f"it may be held by what could not be deleted ({self._stays}): tried for {HINDERED_S:.0f} s"
            self._api.progress(f"{kind} {', '.join(ids)}: {words}")
        try:
            deleted = ways[kind](ids)
            self._api.wait(kind, "to be gone", ids, lambda: self._states(kind, ids), deadline_s=self._patience_s)
        except ProvisionerError:
            self._stays = self._stays or kind
            raise
        return deleted

    @property
    def _patience_s(self) -> float:
        return HINDERED_S if self._stays else DELETE_S

    def _delete_each(self, action: str, parameter: str, ids: Sequence[str]) -> list[str]:
        """Every one is tried, also after one that is refused."""
        outcomes = {id_: self._outcome(action, {parameter: id_}) for id_ in ids}
        failures = [outcome for outcome in outcomes.values() if isinstance(outcome, CloudError)]
        if failures:
            raise failures[0]
        return [id_ for id_, outcome in outcomes.items() if outcome]

    def _outcome(self, action: str, asked: Mapping[str, Any]) -> CloudError | bool:
        """Whether it was there, or why it could not be deleted."""
        try:
            return bool(self._api.call(action, asked, patience_s=self._patience_s))
        except CloudError as error:
            return error

    def _delete_instances(self, ids: list[str]) -> list[str]:
        deleted: list[str] = []
        for batch in batches(ids):
            if self._release(batch):
                deleted += batch
            elif len(batch) > 1:
                # One that is gone already makes the service refuse all. What is listed does not tell which, so soon
                # after they were made.
                deleted += [id_ for id_ in batch if self._release([id_])]
        return deleted

    def _release(self, ids: Sequence[str]) -> bool:
        """DeleteInstances, running or protected; whether all of them were there."""
        asked = {"InstanceId": list(ids), "Force": True}
        try:
            return bool(self._api.call("DeleteInstances", asked, patience_s=self._patience_s))
        except CloudRefusedError as error:
            if error.code != "InvalidOperation.DeletionProtection":
                raise
        for id_ in ids:
            self._api.call("ModifyInstanceAttribute", {"InstanceId": id_, "DeletionProtection": False})
        return bool(self._api.call("DeleteInstances", asked, patience_s=self._patience_s))

    def _delete_key_pairs(self, names: list[str]) -> list[str]:
        """The service answers alike for a pair that is there and one that is not: so it is looked first."""
        there = self._states("key-pair", names)
        for batch in batches(names):
            self._api.call("DeleteKeyPairs", {"KeyPairNames": json.dumps(batch)}, patience_s=self._patience_s)
        return [name for name in names if name in there]

    def _delete_eips(self, ids: list[str]) -> list[str]:
        """An address in use is taken off its instance first; releasing is retried until that is through."""
        for item in self._existing("eip", ids):
            if item.get("Status") == IN_USE:
                used = {key: item[key] for key in ("AllocationId", "InstanceId", "InstanceType") if item.get(key)}
                self._api.call("UnassociateEipAddress", used)
        return self._delete_each("ReleaseEipAddress", "AllocationId", ids)
