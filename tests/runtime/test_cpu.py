from __future__ import annotations

import platform
from pathlib import Path

import pytest

from e5_onnx.machine.cpu import CpuFacts, cpu_digest, cpu_facts

XEON = """\
processor\t: 0
model name\t: Intel(R) Xeon(R) Platinum 8480+
flags\t\t: fpu avx2 avx512f avx512_vnni amx_bf16 amx_tile amx_int8 avx_vnni

processor\t: 1
model name\t: something else
flags\t\t: fpu
"""
HASWELL = "model name\t: Intel Core Processor (Haswell, no TSX)\nflags\t\t: fpu sse4_2 avx avx2 fma\n"
GRAVITON = """\
processor\t: 0
BogoMIPS\t: 2100.00
Features\t: fp asimd evtstrm aes asimddp sve i8mm bf16
CPU implementer\t: 0x41
CPU part\t: 0xd40
"""


@pytest.fixture(autouse=True)
def named_by_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "processor", lambda: "")
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")


@pytest.mark.parametrize(
    ("cpuinfo", "expected"),
    [
        (
            XEON,
            CpuFacts("Intel(R) Xeon(R) Platinum 8480+", ("avx2", "avx_vnni", "avx512_vnni", "amx_int8")),
        ),
        (HASWELL, CpuFacts("Intel Core Processor (Haswell, no TSX)", ("avx2",))),
        (GRAVITON, CpuFacts("aarch64", ("asimddp", "i8mm"))),
        ("", CpuFacts("aarch64", ())),
        ("no colon here\n", CpuFacts("aarch64", ())),
    ],
    ids=["AMX", "without VNNI", "ARM", "empty", "malformed"],
)
def test_linux(tmp_path: Path, cpuinfo: str, expected: CpuFacts) -> None:
    file = tmp_path / "cpuinfo"
    file.write_text(cpuinfo, "utf-8")
    assert cpu_facts(file) == expected


def test_without_proc_only_the_name_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "processor", lambda: "arm")
    assert cpu_facts(tmp_path / "cpuinfo") == CpuFacts("arm", ())


def test_a_machine_without_any_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "")
    assert cpu_facts(tmp_path / "cpuinfo") == CpuFacts("unknown", ())


def test_the_digest_is_of_all_features_whatever_their_order(tmp_path: Path) -> None:
    def digest(cpuinfo: str) -> str:
        (tmp_path / "cpuinfo").write_text(cpuinfo, "utf-8")
        return cpu_digest(tmp_path / "cpuinfo")

    several = ["flags: fpu avx2", "flags: fpu", "Features: fp i8mm", "model name: a", "model name: b"]
    assert len(set(map(digest, several))) == len(several)
    assert digest("model name: a\nflags: fpu avx2") == digest("model name: b\nflags: avx2 fpu")
