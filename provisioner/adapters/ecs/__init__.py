"""Alibaba Cloud ECS and VPC: the only import of the cloud's SDK, which is loaded by `connect` and not before.

sdk     one call through the SDK; whatever it raises becomes a Fault
codes   what an error code means: data/errors.tsv
api     a call with its retries; pages; waiting for states
find, network, instances, assistant, offers    the service's actions, by topic
cloud   EcsCloud, all of it together
"""

from provisioner.adapters.ecs.cloud import EcsCloud, connect
from provisioner.adapters.ecs.sdk import Credentials

__all__ = ["Credentials", "EcsCloud", "connect"]
