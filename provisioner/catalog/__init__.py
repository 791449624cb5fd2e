"""What the program knows without asking anybody: processors, instance types, images, distributions, mirrors.

The facts are data (`provisioner/data/`), read at the first question and kept. They decide what can do bfloat16 and what
a plan expects of hosts that do not exist yet; stock, price and the newest image are always asked of the service, and
CPU topology of the running host.
"""

from provisioner.catalog.distributions import DockerRecipe, HostPrograms, docker_recipe, host_programs
from provisioner.catalog.flags import bf16_of, isa_of
from provisioner.catalog.images import (
    ContainerImage,
    ImageFamily,
    ImageRecipe,
    bf16_tags,
    container_image,
    image_families,
    image_family,
    image_recipes,
    usual_recipe,
)
from provisioner.catalog.instance_types import (
    InstanceType,
    bf16_types,
    check_described,
    check_name,
    described,
    lookup,
    nearest_bf16,
    suggestion,
)
from provisioner.catalog.mirrors import RegionMirrors, region_mirrors
from provisioner.catalog.processors import processor
from provisioner.catalog.variables import cleared_variables, is_cleared
from provisioner.catalog.workload_models import Model, models

__all__ = [
    "ContainerImage",
    "DockerRecipe",
    "HostPrograms",
    "ImageFamily",
    "ImageRecipe",
    "InstanceType",
    "Model",
    "RegionMirrors",
    "bf16_of",
    "bf16_tags",
    "bf16_types",
    "check_described",
    "check_name",
    "cleared_variables",
    "container_image",
    "described",
    "docker_recipe",
    "host_programs",
    "image_families",
    "image_family",
    "image_recipes",
    "is_cleared",
    "isa_of",
    "lookup",
    "models",
    "nearest_bf16",
    "processor",
    "region_mirrors",
    "suggestion",
    "usual_recipe",
]
