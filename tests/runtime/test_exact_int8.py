from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from e5_onnx import Embedder
from e5_onnx.errors import OptionError
from e5_onnx.inference import exact_int8
from e5_onnx.inference.exact_int8 import kernels_are_exact, needs_exact_kernels
from e5_onnx.model_folder.folder import open_folder


class WrongSession:
    """A CPU that saturates: 255 * 127 + 255 * 127 becomes 32767."""

    def __init__(self, *_args: object, **_options: object) -> None:
        pass

    def run(self, _names: None, feeds: dict[str, np.ndarray]) -> tuple[np.ndarray]:
        return (np.full((len(feeds["x"]), 64), 32 * 32767.0, np.float32),)


@dataclass(frozen=True)
class Weights:
    precision: str
    bits: int | None = None
    pair_sum: int | None = None


ANY_PAIRS, SAFE_PAIRS = Weights("int8", 8), Weights("int8", 8, 128)
# weights, choice, whether this CPU is exact -> whether exact kernels are asked for
CASES = [
    (Weights("fp32"), "auto", False, False),
    (Weights("fp32"), True, False, False),
    (ANY_PAIRS, "auto", True, False),
    (ANY_PAIRS, "auto", False, True),
    (ANY_PAIRS, True, True, True),
    (ANY_PAIRS, False, False, False),
    (SAFE_PAIRS, "auto", False, False),
    (SAFE_PAIRS, True, False, False),
    (Weights("int8", 8, 129), "auto", False, True),
    (Weights("int8", 7), "auto", False, False),
    (Weights("int8", 7), True, False, False),
    (Weights("int8-stock"), "auto", False, True),
    (Weights("int4", 4), "auto", False, False),
    (Weights("of a newer version"), "auto", False, True),
    (Weights("of a newer version", pair_sum=128), "auto", False, False),
]


@pytest.mark.parametrize(("weights", "choice", "cpu_is_exact", "expected"), CASES)
def test_when_exact_kernels_are_used(
    tiny_folder: Path, monkeypatch: pytest.MonkeyPatch, weights: Weights, choice: object, cpu_is_exact: bool,
    expected: bool,
) -> None:  # fmt: skip
    monkeypatch.setattr(exact_int8, "kernels_are_exact", lambda: cpu_is_exact)
    manifest = replace(
        open_folder(tiny_folder).manifest, precision=weights.precision, weight_bits=weights.bits,
        weight_pair_sum=weights.pair_sum,
    )  # fmt: skip
    assert needs_exact_kernels(manifest, choice) is expected  # type: ignore[arg-type]


def test_another_choice_is_refused(tiny_folder: Path) -> None:
    with pytest.raises(OptionError, match="exact_int8 is 'yes'; it must be 'auto', True or False"):
        Embedder(tiny_folder, exact_int8="yes")  # type: ignore[arg-type]


class RightSession(WrongSession):
    """A CPU that does not."""

    def run(self, _names: None, feeds: dict[str, np.ndarray]) -> tuple[np.ndarray]:
        return (np.full((len(feeds["x"]), 64), 255.0 * 127 * 64, np.float32),)


def test_an_exact_cpu_is_recognised(monkeypatch: pytest.MonkeyPatch) -> None:
    kernels_are_exact.cache_clear()
    monkeypatch.setattr("onnxruntime.InferenceSession", RightSession)
    assert kernels_are_exact()
    kernels_are_exact.cache_clear()


def test_a_saturating_cpu_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    kernels_are_exact.cache_clear()
    monkeypatch.setattr("onnxruntime.InferenceSession", WrongSession)
    assert kernels_are_exact() is False
    kernels_are_exact.cache_clear()


def test_the_probe_runs_here() -> None:
    kernels_are_exact.cache_clear()
    assert kernels_are_exact() in (True, False)
