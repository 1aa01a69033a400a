"""What the CPU is called and which of its instructions matter here.

This explains and decides nothing: in a container or under emulation /proc/cpuinfo may be another machine's.
"""

from __future__ import annotations

import hashlib
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Final

INT8_FEATURES: Final = ("avx2", "avx_vnni", "avx512_vnni", "amx_int8", "asimddp", "i8mm")
"""Linux's names of what onnxruntime's 8-bit kernels are chosen by: x86 from slow to fast, then ARM."""


@dataclass(frozen=True, slots=True)
class CpuFacts:
    """A CPU.

    Attributes:
        model: Its name, or the architecture's where the system gives none.
        features: The INT8_FEATURES that the CPU has, in that order; empty where the system does not say.
    """

    model: str
    features: tuple[str, ...]


def cpu_facts(cpuinfo: Path = Path("/proc/cpuinfo")) -> CpuFacts:
    """Reads Linux's cpuinfo; elsewhere only the name is known.

    Args:
        cpuinfo: The file to read.

    Returns:
        The facts.
    """
    values = _first_values(cpuinfo)
    # ARM kernels say `Features` and mostly no model name.
    flags = set((values.get("flags") or values.get("Features") or "").split())
    model = values.get("model name") or platform.processor() or platform.machine() or "unknown"
    return CpuFacts(model, tuple(feature for feature in INT8_FEATURES if feature in flags))


def cpu_digest(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Returns a digest of all of the CPU's features, or of its name where the system does not list them."""
    values = _first_values(cpuinfo)
    flags = values.get("flags") or values.get("Features") or cpu_facts(cpuinfo).model
    features = " ".join([platform.machine(), *sorted(flags.split())])
    return hashlib.sha256(features.encode()).hexdigest()


def _first_values(cpuinfo: Path) -> dict[str, str]:
    """The first value of each key: they repeat for every CPU."""
    try:
        lines = cpuinfo.read_text("utf-8", "replace").splitlines()
    except OSError:
        return {}
    values: dict[str, str] = {}
    for line in lines:
        key, _, value = line.partition(":")
        values.setdefault(key.strip(), value.strip())
    return values
