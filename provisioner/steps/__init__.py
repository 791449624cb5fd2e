"""The steps, and the one list of them: what `plan` shows, `up` does and `down` undoes, in this order."""

from __future__ import annotations

from functools import partial

from provisioner.deployment.host import Host
from provisioner.deployment.session import Session
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
from provisioner.steps.training import TrainStep
from provisioner.steps.workload import WorkloadStep

__all__ = ["plan", "training"]


def plan(session: Session) -> Plan:
    """Everything that a deployment consists of. Each step is given what it may touch, and nothing else."""
    spec, hosts = session.spec, session.hosts
    work, first = spec.workload, hosts[0]
    phases: list[Phase] = []
    # Who accepts keys on first use has no need to know them before.
    keys = None
    if spec.creates_instances:
        if spec.ssh.host_keys == "strict":
            keys = HostKeyStep(session.access, hosts, session.known_hosts)
        phases += _cloud(session, keys)
    phases.append(Phase("hosts", tuple(step for host in hosts for step in _host(host, keys))))
    if work.engine != "local":
        configure = tuple(ConfigureStep(host, first, partial(session.secret, "spark")) for host in hosts)
        phases.append(Phase("spark", (*configure, MasterStep(first, first))))
        phases.append(Phase("workers", tuple(WorkersStep(host, first) for host in hosts)))
    if work.data != SYNTHETIC and not work.source:
        # Only the workload can tell whether the data is what it expects, and each host has its own.
        phases.append(Phase("workload", tuple(WorkloadStep(host) for host in hosts)))
        phases.append(Phase("data", tuple(DataStep(host, first) for host in hosts)))
        phases.append(Phase("training", _runs(session)))
    else:
        phases.append(training(session))
    # Not beside Analytics Zoo, whose jars are on the class path of all that starts there: the server does not stay up.
    if work.engine == "spark":
        phases.append(Phase("history", (HistoryStep(first, first),)))
    return Plan(spec.name, tuple(phases))


def _cloud(session: Session, keys: HostKeyStep | None) -> list[Phase]:
    access = session.access
    types = (InstanceTypesStep(access),) if unlisted_types(access.spec.cloud) else ()
    vpc = VpcStep(access)
    vswitch = VSwitchStep(access, vpc)
    group = SecurityGroupStep(access, vpc, session.caller_cidrs)
    key_pair = KeyPairStep(access, session.public_key)
    instances = InstancesStep(access, vswitch, group, key_pair)
    return [
        Phase("network", (*types, vpc, vswitch, group, key_pair)),
        Phase("instances", (instances, keys) if keys else (instances,)),
    ]


def _host(host: Host, keys: HostKeyStep | None) -> list[Step]:
    login = LoginStep(host, keys.read if keys else None)
    if host.spec.runtime == "host":
        return [login, ProgramsStep(host)]
    return [login, DockerStep(host), ImageStep(host), ContainerStep(host)]


def training(session: Session, *, again: bool = False) -> Phase:
    """The measuring part alone; with `again` what was measured before is measured anew (`provisioner run`)."""
    return Phase("training", (WorkloadStep(session.hosts[0]), *_runs(session, again=again)))


def _runs(session: Session, *, again: bool = False) -> tuple[TrainStep, ...]:
    return tuple(
        TrainStep(session.hosts, session.results, dtype, session.progress, session.program, again=again)
        for dtype in session.spec.workload.dtypes
    )
