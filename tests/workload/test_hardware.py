"""CPU facts from the kernel's own text, and the number of compute threads."""

import os
import platform

import pytest

from workload import hardware

CPUINFO = """processor\t: 0
model name\t: Intel(R) Xeon(R) Platinum 8369HB CPU @ 3.30GHz
flags\t\t: fpu sse2 avx2 avx512f {flags}

processor\t: 1
model name\t: another one
flags\t\t: fpu
"""


ARM64_CPUINFO = """processor\t: 0
BogoMIPS\t: 100.00
Features\t: fp asimd sve sve2 i8mm {flags}
CPU implementer\t: 0x41

processor\t: 1
Features\t: fp
"""


@pytest.mark.parametrize(
    ("flags", "isa", "bf16"),
    [
        ("avx512_vnni", ["avx2", "avx512f", "avx512_vnni"], False),
        ("avx512_vnni avx512_bf16", ["avx2", "avx512f", "avx512_vnni", "avx512_bf16"], True),
        ("amx_bf16 amx_tile", ["avx2", "avx512f", "amx_tile", "amx_bf16"], True),
    ],
)
def test_facts_name_the_processor_and_only_what_matters_for_bf16(tmp_path, flags, isa, bf16):
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(CPUINFO.format(flags=flags))
    facts = hardware.facts(cpuinfo)
    assert facts["cpu"] == "Intel(R) Xeon(R) Platinum 8369HB CPU @ 3.30GHz"
    assert facts["isa"] == isa
    assert facts["cores"] >= 1
    assert hardware.has_bf16(facts) is bf16


@pytest.mark.parametrize(("flags", "bf16"), [("", []), ("svebf16 bf16", ["bf16", "svebf16"]), ("bf16", ["bf16"])])
def test_an_arm64_kernel_names_the_line_of_its_flags_otherwise(tmp_path, flags, bf16):
    """Yitian 710 has bf16; "none, so bfloat16 is emulated" was said of it."""
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(ARM64_CPUINFO.format(flags=flags))
    facts = hardware.facts(cpuinfo)
    assert facts["cpu"] == platform.machine()
    assert facts["isa"] == ["asimd", "i8mm", "sve", "sve2", *bf16]
    assert hardware.has_bf16(facts) is bool(bf16)


def test_hyper_thread_siblings_count_as_one_core(tmp_path, monkeypatch):
    """12 vCPUs of 6 cores with adjacent siblings, the paper's worker, are 6 threads."""
    for cpu in range(12):
        folder = tmp_path / f"cpu{cpu}" / "topology"
        folder.mkdir(parents=True)
        first = cpu // 2 * 2
        (folder / "thread_siblings_list").write_text(f"{first}-{first + 1}\n")
    monkeypatch.setattr(hardware, "_CPU_FOLDER", str(tmp_path))
    assert hardware.physical_cores(range(12)) == 6
    assert hardware.physical_cores([0, 1]) == 1
    assert hardware.physical_cores([0, 2]) == 2
    assert hardware.physical_cores([40, 41]) == 2, "without a shown topology each logical CPU counts"


@pytest.mark.parametrize(("said", "threads"), [("6", 6), ("4,2", 4), ("", None), ("many", None), ("0", None)])
def test_omp_num_threads_decides_when_it_is_a_number(said, threads):
    expected = threads or hardware.physical_cores(os.sched_getaffinity(0))
    assert hardware.threads({"OMP_NUM_THREADS": said}) == expected


def test_the_variables_that_are_told_change_figures_and_hold_no_secret():
    environment = {
        "TF_ENABLE_ONEDNN_OPTS": "0",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "LD_PRELOAD": "libtcmalloc.so",
        "KMP_BLOCKTIME": "0",
        "TF_VAR_password": "s",
        "TF_TOKEN_app_terraform_io": "s",
        "SPARK_AUTH_SECRET": "s",
        "PYSPARK_GATEWAY_SECRET": "s",
        "https_proxy": "http://user:s@proxy",
        "HOME": "/root",
    }
    told = ["KMP_BLOCKTIME", "LD_PRELOAD", "ONEDNN_MAX_CPU_ISA", "TF_ENABLE_ONEDNN_OPTS"]
    assert hardware.variables(environment) == {name: environment[name] for name in told}


@pytest.mark.parametrize(("said", "off"), [("0", True), ("false", True), ("1", False), ("", False)])
def test_onednn_is_off_when_tensorflow_is_told_so(said, off):
    assert hardware.without_onednn({"TF_ENABLE_ONEDNN_OPTS": said}) is off
    assert not hardware.without_onednn({})


def test_versions_leave_out_what_is_not_installed():
    found = hardware.versions("json", "no_such_module_anywhere")
    assert set(found) == {"python", "json"}
