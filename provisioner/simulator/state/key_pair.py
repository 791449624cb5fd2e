"""Key pairs. A pair's name is its id."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass

from provisioner.simulator.account import Resource
from provisioner.simulator.actions import Answer, Call, action, matches
from provisioner.simulator.answers import new_id, second, tag_list
from provisioner.simulator.errors import ApiError

_KEY_TYPES = ("ssh-rsa", "ssh-dss", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521")


@dataclass
class KeyPair(
    Resource, kind="key-pair", table="key_pairs", not_found="InvalidKeyPair.NotFound", quotas={"key-pairs": 500}
):
    """The public half of a key, as an OpenSSH line (`TYPE BASE64`)."""

    key_pair_id: str
    public_key: str
    fingerprint: str

    @property
    def api_id(self) -> str:
        """The name: calls know a pair by no other id."""
        return self.name


@action("CreateKeyPair")
def create_key_pair(call: Call) -> Answer:
    """Make a pair; its private half is in this answer and nowhere else."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    name = _free_name(call)
    call.checked()
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    return {**_keep(call, name, public.decode()), "PrivateKeyBody": private.decode()}


@action("ImportKeyPair")
def import_key_pair(call: Call) -> Answer:
    """Keep somebody's public key under a name."""
    body = call.params.need("PublicKeyBody")
    name = _free_name(call)
    _check_public_key(body)
    call.checked()
    return _keep(call, name, " ".join(body.split()[:2]))


@action("DeleteKeyPairs")
def delete_key_pairs(call: Call) -> Answer:
    """Remove pairs that no instance has; a name that is not there is fine."""
    call.params.need("RegionId")
    call.params.need("KeyPairNames")
    names = call.params.json_list("KeyPairNames", code="InvalidKeyPairNames.ValueNotSupported") or []
    pairs = call.account.table(KeyPair).values()
    keys = [key for key in pairs if key.name in names and key.region == call.region and key.released_at is None]
    for key in keys:
        call.check_removable(key)
    call.checked()
    for key in keys:
        key.released_at = call.now
    return {}


@action("DescribeKeyPairs")
def describe_key_pairs(call: Call) -> Answer:
    """Pairs by name (* as a wildcard), fingerprint, tag."""
    params = call.params
    keys = [
        key
        for key in call.seen(KeyPair)
        if matches(params.text("KeyPairName"), key.name) and params.text("KeyPairFingerPrint") in ("", key.fingerprint)
    ]
    page, paging = call.page(keys)
    pairs = [
        {
            "KeyPairName": key.name,
            "KeyPairFingerPrint": key.fingerprint,
            "CreationTime": second(key.created),
            "Tags": tag_list(key.tags),
            **({"PublicKey": key.public_key} if params.flag("IncludePublicKey") else {}),
        }
        for key in page
    ]
    return {"KeyPairs": {"KeyPair": pairs}, **paging}


def _free_name(call: Call) -> str:
    call.params.need("RegionId")
    name = call.params.need("KeyPairName")
    if not re.fullmatch(r"[^\W\d_][\w:.-]{1,127}", name) or name.startswith(("http://", "https://")):
        raise ApiError("InvalidKeyPairName.Malformed")
    existing = call.existing(KeyPair)
    if any(key.name == name for key in existing):
        raise ApiError("KeyPair.AlreadyExist")
    if len(existing) >= call.account.quotas["key-pairs"]:
        raise ApiError("QuotaExceed.KeyPair")
    return name


def _check_public_key(body: str) -> None:
    """An OpenSSH line of a documented kind: ImportKeyPair lists rsa, dsa and ecdsa; Ed25519 is in no edition."""
    parts = body.split()
    try:
        blob = base64.b64decode(parts[1], validate=True)
        length = int.from_bytes(blob[:4], "big")
        named = blob[4 : 4 + length].decode()
    except (IndexError, ValueError, binascii.Error):
        raise ApiError("InvalidPublicKeyBody.Malformed") from None
    if named != parts[0] or named not in _KEY_TYPES:
        raise ApiError("InvalidPublicKeyBody.Malformed")


def _keep(call: Call, name: str, public_key: str) -> Answer:
    account = call.account
    fingerprint = hashlib.md5(base64.b64decode(public_key.split()[1]), usedforsecurity=False).hexdigest()
    key = KeyPair(
        id=f"{call.region}/{name}/{account.next_serial()}",
        serial=account.serial,
        region=call.region,
        name=name,
        created=call.now,
        tags=call.params.tags(),
        key_pair_id=new_id("ssh"),
        public_key=public_key,
        fingerprint=fingerprint,
    )
    account.add(key)
    return {"KeyPairId": key.key_pair_id, "KeyPairName": name, "KeyPairFingerPrint": fingerprint}
