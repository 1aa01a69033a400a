from __future__ import annotations

import platform
import shutil
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from e5_onnx.machine.cpu import cpu_facts
from e5_onnx.machine.threads import choose_threads

TINY_FOLDER = Path(__file__).parent / "data" / "tiny_e5"

# Results depend on them, in the last digits of fp32 and more in int8.
REPORTED = ("numpy", "onnxruntime", "tokenizers", "tokie", "onnx", "onnx-ir", "transformers", "torch")

# How long an example takes says nothing of the code: the machine may be slow or busy.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


def pytest_report_header() -> list[str]:
    cpu = cpu_facts()
    features = " ".join(cpu.features) or "no int8 features known"
    return [
        ", ".join(f"{name} {_version(name)}" for name in REPORTED),
        f"{platform.machine()}, {cpu.model}: {features}; {choose_threads(None).reason}",
    ]


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


@pytest.fixture(scope="session")
def tiny_folder() -> Path:
    """The committed model folder, e5-instruct and fp32; not to be written to."""
    return TINY_FOLDER


@pytest.fixture
def tiny_folder_copy(tmp_path: Path) -> Path:
    """A copy of the committed model folder that a test may spoil."""
    return Path(shutil.copytree(TINY_FOLDER, tmp_path / "tiny_e5"))
