from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from e5_onnx import Embedder, exact_int8
from e5_onnx.errors import OptionError
from e5_onnx.exact_int8 import kernels_are_exact, needs_exact_kernels
from e5_onnx.folder import open_folder


class WrongSession:
    """A CPU that saturates: 255 * 127 + 255 * 127 becomes 32767."""

    def __init__(self, *_args: object, **_options: object) -> None:
        pass

    def run(self, _names: None, feeds: dict[str, np.ndarray]) -> tuple[np.ndarray]:
        return (np.full((len(feeds["x"]), 64), 32 * 32767.0, np.float32),)


# precision, weight bits, choice, whether this CPU is exact -> whether exact kernels are asked for
CASES = [
    ("fp32", None, "auto", False, False),
    ("fp32", None, True, False, False),
    ("int8", 8, "auto", True, False),
    ("int8", 8, "auto", False, True),
    ("int8", 8, True, True, True),
    ("int8", 8, False, False, False),
    ("int8", 7, "auto", False, False),
    ("int8", 7, True, False, False),
    ("int8-stock", None, "auto", False, True),
    ("int4", None, "auto", False, False),
]


@pytest.mark.parametrize(("precision", "bits", "choice", "cpu_is_exact", "expected"), CASES)
def test_when_exact_kernels_are_used(
    tiny_folder: Path, monkeypatch: pytest.MonkeyPatch, precision: str, bits: int | None, choice: object,
    cpu_is_exact: bool, expected: bool,
) -> None:  # fmt: skip
    monkeypatch.setattr(exact_int8, "kernels_are_exact", lambda: cpu_is_exact)
    manifest = replace(open_folder(tiny_folder).manifest, precision=precision, weight_bits=bits)
    assert needs_exact_kernels(manifest, choice) is expected  # type: ignore[arg-type]


def test_another_choice_is_refused(tiny_folder: Path) -> None:
    with pytest.raises(OptionError, match="exact_int8 is 'yes'; it must be 'auto', True or False"):
        Embedder(tiny_folder, exact_int8="yes")  # type: ignore[arg-type]


def test_a_saturating_cpu_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    kernels_are_exact.cache_clear()
    monkeypatch.setattr(exact_int8.onnxruntime, "InferenceSession", WrongSession)
    assert kernels_are_exact() is False
    kernels_are_exact.cache_clear()


def test_the_probe_runs_here() -> None:
    kernels_are_exact.cache_clear()
    assert kernels_are_exact() in (True, False)
