"""What this machine is: processor, bf16-relevant instructions, cores, versions, memory used."""

import fnmatch
import importlib
import json
import os
import pkgutil
import platform
import resource

_ISA = json.loads(pkgutil.get_data("workload", "isa.json").decode("utf-8"))  # also out of a zip
BF16_FLAGS = tuple(_ISA["bf16"])
_SHOWN_FLAGS = tuple(_ISA["beside"]) + BF16_FLAGS
_RECORDED = tuple(json.loads(pkgutil.get_data("workload", "environment.json").decode("utf-8"))["recorded"])
GLIBC_TUNABLES = "glibc.malloc.hugetlb=1"  # transparent huge pages for what malloc maps
_CPU_FOLDER = "/sys/devices/system/cpu"


def facts(cpuinfo="/proc/cpuinfo"):
    """``{"cpu", "isa", "cores"}``: model name, bf16-relevant flags, physical cores of the machine.

    Source: ``/proc/cpuinfo`` and the kernel's CPU topology. Where the kernel tells no model name (arm64), "cpu" is the
    architecture.
    """
    cpu, flags = platform.machine(), set()
    with open(cpuinfo) as lines:
        for line in lines:
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                cpu = value.strip()
            elif key.strip() in ("flags", "Features"):  # x86, arm64
                flags = set(value.split())
                break
    return {
        "cpu": cpu,
        "isa": [flag for flag in _SHOWN_FLAGS if flag in flags],
        "cores": physical_cores(range(os.cpu_count() or 1)),
    }


def has_bf16(host_facts):
    """Whether the processor of ``facts()`` multiplies bf16 in hardware."""
    return any(flag in host_facts["isa"] for flag in BF16_FLAGS)


def physical_cores(cpus):
    """How many physical cores the given logical CPUs are; hyper-thread siblings count once."""
    cores = set()
    for cpu in cpus:
        try:
            with open("%s/cpu%d/topology/thread_siblings_list" % (_CPU_FOLDER, cpu)) as siblings:
                cores.add(siblings.read().strip())
        except OSError:  # no topology shown (some containers): each logical CPU counts
            cores.add(str(cpu))
    return max(1, len(cores))


def threads(environment=None):
    """Compute threads for this process: OMP_NUM_THREADS when set, else the physical cores it is pinned to."""
    value = (os.environ if environment is None else environment).get("OMP_NUM_THREADS", "").split(",")[0].strip()
    if value.isdigit() and int(value) > 0:
        return int(value)
    return physical_cores(os.sched_getaffinity(0))


def versions(*modules):
    """``{"python": ..., module: version}`` of this process; a module that is not installed is left out."""
    numbers = {"python": platform.python_version()}
    for name in modules:
        try:
            numbers[name] = importlib.import_module(name).__version__
        except ImportError:
            continue
    return numbers


def variables(environment=None):
    """``{name: value}`` of the variables in force that change what is measured (``environment.json``)."""
    environment = os.environ if environment is None else environment
    return {
        name: environment[name]
        for name in sorted(environment)
        if any(fnmatch.fnmatchcase(name, pattern) for pattern in _RECORDED)
    }


def without_onednn(environment=None):
    """Whether TF_ENABLE_ONEDNN_OPTS turns oneDNN off."""
    value = (os.environ if environment is None else environment).get("TF_ENABLE_ONEDNN_OPTS", "")
    return value.strip().lower() in ("0", "false")


def peak_memory_mib():
    """The largest resident size this process has had, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0
