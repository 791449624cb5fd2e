"""What a host is expected to be before it exists, so that a plan can show its files."""

from __future__ import annotations

from provisioner import catalog
from provisioner.hosts.facts import Cpu, HostFacts

_DEFAULT_IMAGE_FAMILY = "acs:alibaba_cloud_linux_3_2104_lts_x64"


def expected_facts(
    instance_type: catalog.InstanceType, hostname: str, image_family_name: str = _DEFAULT_IMAGE_FAMILY
) -> HostFacts:
    """What a new instance of this type is expected to say of itself, so that a plan can show its files.

    CPUs are numbered as the type's siblings are, NUMA nodes hold equal shares of the cores, one socket each. An image
    family that the catalog lacks leaves distribution and package manager empty. `programs` counts numactl as there,
    since a step installs it; `disk_free_gib` is 0, not being known.
    """
    image = catalog.image_family(image_family_name)
    user = image.login if image else "root"
    return HostFacts(
        hostname=hostname,
        home="/root" if user == "root" else f"/home/{user}",
        user=user,
        distribution=image.distribution if image else "",
        distribution_version=image.version if image else "",
        package_manager=image.package_manager if image else "",
        cpu_model=instance_type.cpu,
        cpu_flags=frozenset(instance_type.isa),
        cpus=_expected_cpus(instance_type),
        memory_gib=instance_type.memory_gib,
        disk_free_gib=0,
        programs=frozenset({"numactl"}),
    )


def _expected_cpus(known: catalog.InstanceType) -> tuple[Cpu, ...]:
    cpus = []
    for number in range(known.vcpus):
        core = number % known.cores if known.siblings == "split" else number // known.threads_per_core
        node = core * known.nodes // known.cores
        cpus.append(Cpu(number, core, node, node))
    return tuple(cpus)
