"""What a host is expected to be: before it exists, so that a plan can show its files, and once it shows itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from provisioner import catalog
from provisioner.errors import CloudRefusedError
from provisioner.hosts.facts import Cpu, HostFacts
from provisioner.inventory.spec import CloudSpec
from provisioner.resources import TypeOffer

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
        kernel=image.kernel if image else "",
    )


def _expected_cpus(instance_type: catalog.InstanceType) -> tuple[Cpu, ...]:
    cpus = []
    for number in range(instance_type.vcpus):
        core = (
            number % instance_type.cores
            if instance_type.siblings == "split"
            else number // instance_type.threads_per_core
        )
        node = core * instance_type.nodes // instance_type.cores
        cpus.append(Cpu(number, core, node, node))
    return tuple(cpus)


def unlisted_types(cloud: CloudSpec) -> list[str]:
    """The inventory's instance types that the catalog lacks, so that the service has to be asked about them."""
    return [name for name in cloud.instance_types if catalog.lookup(name) is None]


def described_types(cloud: CloudSpec, offers: Iterable[TypeOffer]) -> dict[str, catalog.InstanceType]:
    """Those of the inventory's unlisted types that the service knows, as it describes them.

    Raises CloudRefusedError when nobody knows any of the inventory's types, UsageError for one whose processor cannot
    do bfloat16, unless the inventory allows any type.
    """
    described = {
        offer.instance_type: catalog.described(
            offer.instance_type,
            vcpus=offer.vcpus,
            memory_gib=offer.memory_gib,
            cpu=offer.cpu_model,
            architecture=offer.architecture,
            threads_per_core=offer.threads_per_core,
        )
        for offer in offers
    }
    if not cloud.allow_any_type:
        for instance_type in described.values():
            catalog.check_described(instance_type)
    unlisted = unlisted_types(cloud)
    if not described and len(unlisted) == len(cloud.instance_types):
        raise CloudRefusedError(f"the service does not know {', '.join(unlisted)}", catalog.suggestion(unlisted[0]))
    return described


def doubts(cloud: CloudSpec, described: Mapping[str, catalog.InstanceType]) -> list[str]:
    """What in the inventory the catalog cannot vouch for, or foresees to go wrong.

    `described` has the types that the service was asked about.
    """
    warnings = []
    image = None if cloud.image_id else catalog.image_family(cloud.image_family)
    for name in cloud.instance_types:
        instance_type = catalog.lookup(name) or described.get(name)
        if instance_type is None:
            warnings.append(
                f"{name} is not in the catalog ({catalog.suggestion(name)}): `plan --online` and `up` ask the service "
                "for its processor" + ("" if cloud.allow_any_type else ", and refuse one that cannot do bfloat16")
            )
            continue
        if not instance_type.processor:
            warnings.append(
                f"the service calls the processor of {name} {instance_type.cpu!r}, which does not tell its generation: "
                "whether it can do bfloat16 is read on the host"
            )
        hidden = [flag for flag in catalog.bf16_of(instance_type.isa) if image and flag in image.hides]
        if image and hidden:
            warnings.append(
                f"the kernel of {image.name} ({image.kernel}) does not show {', '.join(hidden)} of {name}: bfloat16 "
                f"would be measured without it; {_shown_by(hidden, instance_type.architecture)} shows it"
            )
    if not cloud.image_id and image is None:
        warnings.append(
            f"{cloud.image_family} is not in the catalog: the service is asked for it, and what its system needs is "
            "read on the host"
        )
    return warnings


def missing_flags(facts: HostFacts, rented: catalog.InstanceType | None) -> list[str]:
    """The bf16 instructions that a host ought to have and does not show.

    What it ought to have is known of the instance type that was `rented`, else from the name of its processor.
    """
    processor = catalog.processor(facts.cpu_model)
    promised = rented.isa if rented else processor.isa if processor else ()
    return [flag for flag in catalog.bf16_of(promised) if flag not in facts.cpu_flags]


def missing_words(facts: HostFacts, missing: Sequence[str], rented: catalog.InstanceType | None) -> str:
    """What missing flags mean, and what to do about it."""
    system = f"{facts.distribution} {facts.distribution_version}".strip() or "this system"
    kernel = facts.kernel or "of unknown release"
    owner = rented.name if rented else facts.cpu_model
    remedy = "a newer kernel shows it (AMX: 5.16 or later)"
    if rented:
        remedy += f", as that of cloud.image_family: {_shown_by(missing, rented.architecture)}"
    return (
        f"{system} with kernel {kernel} does not show {', '.join(missing)}, which {owner} has: bfloat16 is measured "
        f"without it; {remedy}"
    )


def _shown_by(flags: Sequence[str], architecture: str) -> str:
    """An image family whose kernel shows these flags."""
    families = (catalog.image_family(name) for name in catalog.image_families())
    return next(
        each.name for each in families if each and each.architecture == architecture and not {*flags} & {*each.hides}
    )
