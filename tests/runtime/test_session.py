from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from e5_onnx import Embedder
from e5_onnx.errors import InferenceError, ModelLoadError, RuntimeTooOldError
from e5_onnx.inference import session
from e5_onnx.inference.options import Mode
from e5_onnx.inference.session import Session, map_load_errors, map_run_errors, require_onnxruntime
from e5_onnx.silent import onnxruntime

# Every exception type of onnxruntime's C binding: its base is Exception, so a seam must name no type.
ORT_ERRORS = [
    value
    for value in vars(onnxruntime.capi.onnxruntime_pybind11_state).values()
    if isinstance(value, type) and issubclass(value, Exception)
]


def test_there_are_errors_to_map() -> None:
    assert len(ORT_ERRORS) >= 8


@pytest.mark.parametrize("kind", ORT_ERRORS, ids=lambda kind: kind.__name__)
def test_every_error_of_onnxruntime_becomes_ours(kind: type[Exception]) -> None:
    with (
        pytest.raises(ModelLoadError, match=r"model\.onnx cannot be loaded: boom") as loading,
        map_load_errors(),
    ):
        raise kind("boom")
    assert isinstance(loading.value.__cause__, kind)
    with (
        pytest.raises(InferenceError, match="a batch of 3 texts, 7 tokens long: boom") as running,
        map_run_errors(batch=3, tokens=7),
    ):
        raise kind("boom")
    assert isinstance(running.value.__cause__, kind)


def test_an_interrupt_is_not_an_error_of_the_model() -> None:
    with pytest.raises(KeyboardInterrupt), map_run_errors(batch=1, tokens=1):
        raise KeyboardInterrupt


def test_an_empty_row_is_an_inference_error(tiny_folder: Path) -> None:
    opened = Session(tiny_folder, 1)
    with pytest.raises(InferenceError, match="a batch of 1 texts, 4 tokens long"):
        opened.run(np.ones((1, 4), np.int64), np.zeros((1, 4), np.int64))


def test_exact_kernels_give_the_same_vectors(tiny_folder: Path) -> None:
    ids, mask = np.array([[0, 7, 8, 2]]), np.ones((1, 4), np.int64)
    plain = Session(tiny_folder, 1).run(ids, mask)
    exact = Session(tiny_folder, 1, exact_int8=True).run(ids, mask)
    np.testing.assert_allclose(exact, plain, atol=1e-6)


@pytest.mark.parametrize(
    ("mode", "spins", "threads"), [("auto", "0", 2), ("throughput", "0", 1), ("latency", "1", 2)]
)
def test_threads_sleep_unless_latency_is_asked_for(
    mode: Mode, spins: str, threads: int, *, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[onnxruntime.SessionOptions] = []
    load = session._load

    def noted(folder: Path, options: onnxruntime.SessionOptions) -> onnxruntime.InferenceSession:
        seen.append(options)
        return load(folder, options)

    monkeypatch.setattr(session, "_load", noted)
    with Embedder(tiny_folder, threads=2, mode=mode) as model:
        model.embed_documents("moon")
    (options,) = seen
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == spins
    assert options.intra_op_num_threads == threads


@pytest.mark.parametrize("version", ["1.30", "1.0", "0.9.1"])
def test_a_new_enough_onnxruntime(version: str) -> None:
    require_onnxruntime(version)


@pytest.mark.parametrize(("installed", "fits"), [("1.30.0", True), ("1.29.9", False), ("2.0.0+cpu", True)])
def test_versions_compare_as_numbers(monkeypatch: pytest.MonkeyPatch, installed: str, fits: bool) -> None:
    monkeypatch.setattr(onnxruntime, "__version__", installed)
    if fits:
        require_onnxruntime("1.30")
    else:
        with pytest.raises(
            RuntimeTooOldError, match=r"needs onnxruntime 1\.30 or newer, 1\.29\.9 is installed"
        ):
            require_onnxruntime("1.30")


class Answering:
    """Instead of onnxruntime's session."""

    def __init__(self, answer: object) -> None:
        self.answer = answer

    def run(self, _outputs: object, _inputs: object) -> list[object]:
        return [self.answer]


UNIT = np.eye(2, 32, dtype=np.float32)
NO_VECTORS = {
    "not a number": np.full((2, 32), np.nan, np.float32),
    "one row is not a number": UNIT * np.array([[1], [np.nan]], np.float32),
    "infinite": np.full((2, 32), np.inf, np.float32),
    "zero": np.zeros((2, 32), np.float32),
    "too long": UNIT * np.float32(1.01),
    "a scalar": np.float32(1),
    "one component": np.ones((2, 1), np.float32),
    "twice the rows": np.concatenate((UNIT, UNIT)),
    "a row": UNIT[0],
}


@pytest.mark.security
@pytest.mark.parametrize("name", NO_VECTORS)
def test_what_is_no_vector_is_an_error(name: str, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session = Session(tiny_folder, 1)
    ids = np.ones((2, 3), np.int64)
    monkeypatch.setattr(session, "_session", Answering(UNIT))
    assert session.run(ids, ids) is not None
    monkeypatch.setattr(session, "_session", Answering(NO_VECTORS[name]))
    with pytest.raises(InferenceError, match=r"no vectors of length 1: the weights .* `e5 cache verify`"):
        session.run(ids, ids)


@pytest.mark.security
def test_weights_that_change_under_an_open_model_give_no_wrong_vector(tiny_folder_copy: Path) -> None:
    weights = tiny_folder_copy / "model.onnx.data"
    with Embedder(tiny_folder_copy) as model:
        right = model.embed_documents("hello")
        with weights.open("rb+") as file:
            file.write(b"\xff" * weights.stat().st_size)
        with suppress(InferenceError):  # a kernel's own copy is not reached
            np.testing.assert_array_equal(model.embed_documents("hello"), right)
