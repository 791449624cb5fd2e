"""The steps, and the one list of them: what `plan` shows, `up` does and `down` undoes, in this order."""

from __future__ import annotations

from provisioner.deployment import Deployment
from provisioner.hosts.expected import unlisted_types
from provisioner.step import Phase, Plan, Step
from provisioner.steps.data import SYNTHETIC, DataStep
from provisioner.steps.docker import DockerStep
from provisioner.steps.history import HistoryStep
from provisioner.steps.host import LoginStep, ProgramsStep
from provisioner.steps.host_key import HostKeyStep
from provisioner.steps.image import ContainerStep, ImageStep
from provisioner.steps.instance_types import InstanceTypesStep
from provisioner.steps.instances import InstancesStep
from provisioner.steps.network import KeyPairStep, SecurityGroupStep, VpcStep, VSwitchStep
from provisioner.steps.spark import ConfigureStep, MasterStep, WorkersStep
from provisioner.steps.training import TrainStep, WorkloadStep

__all__ = ["plan", "training"]


def plan(deployment: Deployment) -> Plan:
    """Everything that this deployment consists of."""
    spec = deployment.spec
    phases: list[Phase] = []
    if spec.creates_instances:
        vpc = VpcStep(deployment)
        vswitch = VSwitchStep(deployment, vpc)
        group = SecurityGroupStep(deployment, vpc)
        key_pair = KeyPairStep(deployment)
        instances = InstancesStep(deployment, vswitch, group, key_pair)
        types = (InstanceTypesStep(deployment),) if unlisted_types(spec.cloud) else ()
        phases.append(Phase("network", (*types, vpc, vswitch, group, key_pair)))
        # Who accepts keys on first use has no need to know them before.
        keys = (HostKeyStep(deployment),) if spec.ssh.host_keys == "strict" else ()
        phases.append(Phase("instances", (instances, *keys)))
    phases.append(Phase("hosts", tuple(step for host in deployment.host_names for step in _host(deployment, host))))
    if spec.workload.engine != "local":
        first = deployment.host_names[0]
        configure = tuple(ConfigureStep(deployment, host) for host in deployment.host_names)
        phases.append(Phase("spark", (*configure, MasterStep(deployment, first))))
        phases.append(Phase("workers", tuple(WorkersStep(deployment, host) for host in deployment.host_names)))
    if spec.workload.data != SYNTHETIC and not spec.workload.source:
        phases.append(Phase("data", tuple(DataStep(deployment, host) for host in deployment.host_names)))
    phases.append(training(deployment))
    # Not beside Analytics Zoo, whose jars are on the class path of all that starts there: the server does not stay up.
    if spec.workload.engine == "spark":
        phases.append(Phase("history", (HistoryStep(deployment, deployment.host_names[0]),)))
    return Plan(spec.name, tuple(phases))


def _host(deployment: Deployment, host: str) -> list[Step]:
    login = LoginStep(deployment, host)
    if deployment.spec.runtime == "host":
        return [login, ProgramsStep(deployment, host)]
    return [login, DockerStep(deployment, host), ImageStep(deployment, host), ContainerStep(deployment, host)]


def training(deployment: Deployment, *, again: bool = False) -> Phase:
    """The measuring part alone; with `again` what was measured before is measured anew (`provisioner run`)."""
    runs = tuple(TrainStep(deployment, dtype, again=again) for dtype in deployment.spec.workload.dtypes)
    return Phase("training", (WorkloadStep(deployment), *runs))
