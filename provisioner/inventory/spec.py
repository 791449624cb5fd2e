"""The inventory, field for field (pydantic: frozen, unknown keys refused). Names carry their units."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Annotated, Any, ClassVar, Literal
from unicodedata import category

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core.core_schema import CoreSchema, no_info_after_validator_function

from provisioner import catalog
from provisioner.forms import (
    AbsolutePath,
    Address,
    BuildArgument,
    Cidr,
    EcsId,
    Folder,
    GitRef,
    GitRepository,
    HostKey,
    HostName,
    Image,
    Ipv4,
    Registry,
    SettingName,
    Url,
    User,
    Variable,
)

Dtype = Literal["float32", "bfloat16"]
Provider = Literal["alibaba", "simulator", "static", "local"]


class _Spec(BaseModel):
    """A section of the inventory. Its text is one line of printable characters, wherever it stands in a field.

    What is said here ends up in scripts, properties files, tags and messages: a line break in it would begin a new
    line there, an escape sequence would command a terminal, half a surrogate pair cannot be written at all.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    of_many_lines: ClassVar[frozenset[str]] = frozenset()

    @field_validator("*")
    @classmethod
    def _is_one_line(cls, value: Any, info: ValidationInfo) -> Any:
        allowed = "\n\r\t" if info.field_name in cls.of_many_lines else ""
        for text in _texts(value):
            for character in text:
                if category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp") and character not in allowed:
                    raise ValueError(f"holds the character {character!a}, which cannot be printed")
        return value


def _texts(value: Any) -> Iterator[str]:
    """All strings in a field's value; sections check their own."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from _texts([*value.keys(), *value.values()])
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _texts(item)


_OURS = {
    "PATH": "the program finds its own programs by it",
    "HOME": "the deployment's files are below it",
    "SPARK_HOME": "say spark.home",
    "SPARK_CONF_DIR": "say spark.settings",
    "SPARK_LOCAL_IP": "say hosts[].private_address",
    "SPARK_LOCAL_HOSTNAME": "say hosts[].private_address",
    "SPARK_PUBLIC_DNS": "say hosts[].private_address",
    "SPARK_LOCAL_DIRS": "the program keeps its files together",
    "SPARK_WORKER_DIR": "the program keeps its files together",
    "PYSPARK_PYTHON": "it is the Python that has TensorFlow",
    "PYSPARK_DRIVER_PYTHON": "it is the Python that has TensorFlow",
    "PYTHONPATH": "the workload is found by it",
    "PYTHONHOME": "it is the Python that has TensorFlow",
}
"""Variables that the program sets itself, and what to do instead of setting them."""


def _variable(name: str) -> str:
    if name in _OURS:
        raise ValueError(f"{name} cannot be set here: {_OURS[name]}")
    return name


class _NamedIn:
    """A name that a table of the catalog has. The table is read when the first name is checked, not at import."""

    def __init__(self, table: Callable[[], Iterable[str]]) -> None:
        self._table = table

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return no_info_after_validator_function(self._checked, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {**handler(schema), "enum": list(self._table())}

    def _checked(self, name: str) -> str:
        if name not in self._table():
            raise ValueError(f"{name!r} is not one of {', '.join(self._table())}")
        return name


Model = Annotated[str, _NamedIn(catalog.models)]
Recipe = Annotated[str, _NamedIn(catalog.image_recipes)]
VariableName = Annotated[Variable, AfterValidator(_variable)]


Port = Annotated[int, Field(ge=1024, le=65535)]


class SystemDiskSpec(_Spec):
    """The system disk; category and level are always sent, since the service's defaults have changed over time."""

    category: Literal["cloud_essd", "cloud_auto", "cloud_essd_entry", "cloud_efficiency", "cloud_ssd"] = "cloud_essd"
    performance_level: Literal["PL0", "PL1", "PL2", "PL3"] = "PL1"
    size_gib: int = Field(default=100, ge=20, le=2048)

    @model_validator(mode="after")
    def _level_has_a_size(self) -> SystemDiskSpec:
        least = {"PL0": 1, "PL1": 20, "PL2": 461, "PL3": 1261}[self.performance_level]
        if self.category == "cloud_essd" and self.size_gib < least:
            raise ValueError(f"performance_level {self.performance_level} needs size_gib of {least} or more")
        return self


class SpotSpec(_Spec):
    """Spot instances: at the market's price, or up to `price_limit_per_hour` (the region's currency, per instance)."""

    price_limit_per_hour: float | None = Field(default=None, gt=0)


class CloudSpec(_Spec):
    """What to create in the cloud (the paper's step 1)."""

    of_many_lines = frozenset({"user_data"})

    region: str = Field(default="cn-hangzhou", pattern=r"^[a-z]{2,}-[a-z0-9-]+$")
    zones: Literal["auto"] | tuple[str, ...] = "auto"
    instance_types: tuple[str, ...] = Field(default=("ecs.hfc7.24xlarge",), min_length=1)
    allow_any_type: bool = False
    count: int = Field(default=1, ge=1, le=100)
    image_family: str = "acs:alibaba_cloud_linux_3_2104_lts_x64"
    image_id: str | None = None
    system_disk: SystemDiskSpec = SystemDiskSpec()
    internet_bandwidth_mbps: int = Field(default=100, ge=1, le=100)
    spot: SpotSpec | None = None
    auto_release_hours: float | None = Field(default=6, ge=0.5, le=3 * 365 * 24)
    deletion_protection: bool = False
    ssh_from: Literal["auto"] | tuple[Cidr, ...] = "auto"
    address_service: str = Field(default="https://checkip.amazonaws.com", pattern=r"^https?://")
    vpc_cidr: Cidr = "172.16.0.0/16"
    vpc_id: EcsId | None = None
    vswitch_id: EcsId | None = None
    security_group_id: EcsId | None = None
    key_pair: str | None = None
    ram_role: str | None = None
    user_data: str = ""
    tags: dict[str, str] = {}

    @model_validator(mode="after")
    def _combinations(self) -> CloudSpec:
        if self.zones != "auto" and not self.zones:
            raise ValueError("zones needs at least one zone, or the word auto")
        if self.vswitch_id and not self.vpc_id:
            raise ValueError("vswitch_id needs vpc_id beside it")
        if self.security_group_id and not self.vpc_id:
            raise ValueError("security_group_id needs vpc_id beside it")
        if self.vswitch_id and self.zones == "auto":
            raise ValueError("vswitch_id needs zones: [the VSwitch's own zone]")
        if len(self.user_data.encode()) > 32 * 1024:
            raise ValueError("user_data is over the service's limit of 32 KiB")
        if len(self.tags) > 18:
            raise ValueError("at most 18 tags: the service takes 20 and two are the program's own")
        return self


class JumpSpec(_Spec):
    """A host to go through on the way to the others (OpenSSH's ProxyJump), with the same key."""

    address: Address
    user: User = "root"
    port: int = Field(default=22, ge=1, le=65535)
    host_key: HostKey | None = None


class SshSpec(_Spec):
    """How hosts are logged into. On new instances `user` is root, or ecs-user, who has sudo."""

    user: User = "root"
    port: int = Field(default=22, ge=1, le=65535)
    key_file: str | None = None
    host_keys: Literal["strict", "accept-new"] = "strict"
    jump: JumpSpec | None = None
    connect_timeout_s: float = Field(default=30, gt=0)
    ready_timeout_s: float = Field(default=300, gt=0)


class HostSpec(_Spec):
    """A host that exists already (`provider: static`). `host_key` is a line as in an `ssh_host_*_key.pub` file.

    `address` is where it is logged into, `private_address` what Spark binds and the other hosts reach it by: unless
    given it is `address` where the host has that itself, else its own address on the way to the rest of the world.
    """

    name: str = Field(pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$")
    address: Address
    private_address: Ipv4 | None = None
    user: User | None = None
    port: int | None = Field(default=None, ge=1, le=65535)
    host_key: HostKey | None = None


class MirrorsSpec(_Spec):
    """Where hosts take packages from, and what they reach.

    `package_index` is used by pip in place of PyPI; `apt` holds debian/ and ubuntu/, for the bundled images. What is
    None follows from the region: Alibaba's mirrors in mainland China, else the originals. `reachable` names hosts that
    are reached all the same where the region's network would not let one think so (`docker.io`, `github.com`).
    """

    package_index: Url | None = None
    apt: Url | None = None
    reachable: tuple[HostName, ...] = ()


class DockerSpec(_Spec):
    """How Docker gets onto a host that has none.

    `auto` takes the distribution's package where there is one, else docker-ce; `docker-io` is the paper's own
    `yum install docker-io`. `repository_mirror` is where docker-ce's packages come from; inside an Alibaba Cloud VPC
    `http://mirrors.cloud.aliyuncs.com/docker-ce` is the nearest.
    """

    package: Literal["auto", "docker-ce", "docker-io"] = "auto"
    repository_mirror: Url = "https://mirrors.aliyun.com/docker-ce"


class RegistryLoginSpec(_Spec):
    """The login at a private registry. The password is read from the environment variable that is named here."""

    username: str
    password_env: str = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")


class ImageSpec(_Spec):
    """The container image (the paper's step 2): `pull` a tag, or `build` one of the bundled recipes.

    `registry_mirror` is a registry that holds the same images under the same paths (`registry.example.com[/path]`).
    `build_arguments` set the Dockerfile's ARGs: base images, versions, package indexes. `volumes` maps folders of the
    host to folders in the container. `needs_gib` is the disk space that must be free before.
    """

    pull: Image | None = None
    build: Recipe | None = None
    registry_mirror: Registry | None = None
    registry_login: RegistryLoginSpec | None = None
    build_arguments: dict[str, BuildArgument] = {}
    volumes: dict[AbsolutePath, AbsolutePath] = {}
    needs_gib: float | None = Field(default=None, gt=0)
    container: str = Field(default="provisioner", pattern=r"^[a-zA-Z0-9][a-zA-Z0-9_.-]*$")
    privileged: bool = False

    @model_validator(mode="after")
    def _one_source(self) -> ImageSpec:
        if bool(self.pull) == bool(self.build):
            raise ValueError(f"give either pull: TAG or build: {' | '.join(catalog.image_recipes())}")
        return self


class SparkSpec(_Spec):
    """The Spark standalone cluster. `workers` counts per host; memory strings are Spark's own (`512m`, `18g`), None is
    what the engine needs. The ports are those of the first host."""

    workers: Literal["auto"] | Annotated[int, Field(ge=1, le=256)] = "auto"
    home: AbsolutePath | None = None
    master: Literal["address", "hostname"] = "address"
    master_port: Port = 7077
    master_page_port: Port = 8080
    history_page_port: Port = 18080
    authenticate: bool = True
    driver_memory: str | None = Field(default=None, pattern=r"^\d+[mg]$")
    executor_memory: str | None = Field(default=None, pattern=r"^\d+[mg]$")
    settings: dict[SettingName, str] = {}
    submit_settings: dict[SettingName, str] = {}

    @model_validator(mode="after")
    def _ports_differ(self) -> SparkSpec:
        if len({self.master_port, self.master_page_port, self.history_page_port}) < 3:
            raise ValueError("master_port, master_page_port and history_page_port have to differ")
        return self


class SampleSpec(_Spec):
    """Somebody else's training code in a git repository, started by the paper's own command line.

    `mirror` is a repository with the same commits, to clone from where `git` itself cannot be reached.
    """

    git: GitRepository
    mirror: GitRepository | None = None
    ref: GitRef
    path: Folder


class WorkloadSpec(_Spec):
    """What to train. `batch_size` counts images per worker and step; `steps` counts all, warm-up included.

    With BERT what is called images is sequences of `sequence_length` tokens.

    `epochs` trains so many times through the data instead of `steps`. `workers` takes fewer than all of the cluster's,
    to see how throughput grows with them. `model_dir` and `export_dir` are folders on the first host, or in its
    container: each model and dtype has one of its own in them (`resnet50-bfloat16`), for checkpoints and TensorBoard's
    events, and for a SavedModel; `resume` goes on from the checkpoints. `environment` sets
    variables for Spark and the training, on purpose: what a host's login has there counts for nothing. What else is
    None is the workload's own default.
    """

    engine: Literal["spark", "tfpark", "local"] = "spark"
    model: Model = "resnet50"
    mode: Literal["train", "infer"] = "train"
    dtypes: tuple[Dtype, ...] = Field(default=("float32", "bfloat16"), min_length=1)
    batch_size: int = Field(default=32, ge=1)
    steps: int = Field(default=20, ge=1)
    warmup_steps: int = Field(default=5, ge=0)
    epochs: int | None = Field(default=None, ge=1)
    data: Folder = "synthetic"
    workers: int | None = Field(default=None, ge=1)
    evaluate: bool = False
    augment: Literal["imagenet", "none"] | None = None
    classes: int | None = Field(default=None, ge=2)
    image_size: int | None = Field(default=None, ge=8)
    sequence_length: int | None = Field(default=None, ge=16, le=512)
    optimizer: Literal["momentum", "lars", "adamw"] | None = None
    learning_rate: float | None = Field(default=None, gt=0)
    label_smoothing: float | None = Field(default=None, ge=0, lt=1)
    seed: int | None = None
    model_dir: Folder | None = None
    export_dir: Folder | None = None
    resume: bool = False
    environment: dict[VariableName, str] = {}
    source: SampleSpec | None = None


class Spec(_Spec):
    """The whole inventory."""

    name: str = Field(pattern=r"^[a-z]([a-z0-9-]{0,28}[a-z0-9])?$")
    provider: Provider
    runtime: Literal["docker", "host"] = "docker"
    cloud: CloudSpec = CloudSpec()
    hosts: tuple[HostSpec, ...] = ()
    ssh: SshSpec = SshSpec()
    image: ImageSpec | None = None
    docker: DockerSpec = DockerSpec()
    mirrors: MirrorsSpec = MirrorsSpec()
    spark: SparkSpec = SparkSpec()
    workload: WorkloadSpec = WorkloadSpec()

    @property
    def creates_instances(self) -> bool:
        """Whether hosts are made in a cloud, real or simulated, and end with the deployment."""
        return self.provider in ("alibaba", "simulator")
