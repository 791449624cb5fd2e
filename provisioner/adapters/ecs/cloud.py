"""EcsCloud: ports.Cloud on Alibaba Cloud's own SDK."""

from __future__ import annotations

from collections.abc import Callable

from provisioner.adapters.ecs.api import Api
from provisioner.adapters.ecs.assistant import Assistant
from provisioner.adapters.ecs.codes import verdict
from provisioner.adapters.ecs.deletion import Deletion
from provisioner.adapters.ecs.instances import Instances
from provisioner.adapters.ecs.network import Network
from provisioner.adapters.ecs.offers import Offers
from provisioner.adapters.ecs.sdk import Credentials, Fault, Sdk
from provisioner.adapters.ecs.tags import Tags
from provisioner.errors import CredentialsError
from provisioner.ports import Clock, Cloud


class EcsCloud(Network, Instances, Tags, Assistant, Offers, Deletion, Cloud):
    """Implements ports.Cloud; `caller_identity` and `free_vcpus` come on top. One may be shared by several threads."""


def connect(
    region: str,
    *,
    endpoint: str | None,
    credentials: Credentials | None,
    clock: Clock,
    progress: Callable[[str], None],
) -> EcsCloud:
    """Load the SDK and make its clients; no call is made yet.

    Args:
        region: for example cn-hangzhou.
        endpoint: `http://HOST:PORT` to call instead of the real service (PROVISIONER_ENDPOINT).
        credentials: a key pair; None for the default chain (environment, CLI profile, RAM role, …).
        clock: the time, for retries and deadlines.
        progress: is told in a few words what is being waited for.

    Raises CredentialsError when the default chain finds none, UsageError for an endpoint that is no address.
    """
    try:
        send = Sdk(region, endpoint=endpoint, credentials=credentials)
    except Fault as fault:
        meaning = verdict("*", fault.code)
        raise CredentialsError(
            f"{fault.message} for Alibaba Cloud", meaning.remedy if meaning else "", code=fault.code
        ) from fault
    return EcsCloud(Api(send, region, clock, progress, endpoint=send.endpoint))
