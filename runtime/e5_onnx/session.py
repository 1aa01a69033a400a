"""The one place that touches onnxruntime: options, the two inputs, the one output, and its errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from e5_onnx.errors import InferenceError, ModelLoadError, RuntimeTooOldError
from e5_onnx.manifest import GRAPH_NAME

_OUTPUT: Final = "sentence_embedding"
_ERRORS_AND_WORSE: Final = 3

_CONFIG: Final = {
    # Waiting threads sleep: spinning burns whole cores after each call and gains little on short calls.
    "session.intra_op.allow_spinning": "0",
    "session.inter_op.allow_spinning": "0",
}


def session_options(
    threads: int, *, exact_int8: bool = False, prepack: bool = True
) -> onnxruntime.SessionOptions:
    """Chooses onnxruntime's options.

    Args:
        threads: At least 1.
        exact_int8: Whether to trade speed for exact products on a CPU without VNNI (`exact_int8.py`).
        prepack: Whether each weight is copied into its kernel's own layout when the graph is loaded. Without,
            it stays in the mapped file: for few texts, large models and little memory.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _ERRORS_AND_WORSE
    # A memory plan is kept for every new shape, and texts bring a new shape with every batch
    # (onnxruntime#11118).
    options.enable_mem_pattern = False
    chosen = {
        "session.x64quantprecision": "1" if exact_int8 else "0",
        "session.disable_prepacking": "0" if prepack else "1",
    }
    for key, value in {**_CONFIG, **chosen}.items():
        options.add_session_config_entry(key, value)
    return options


class Session:
    """A loaded graph. Safe to call from many threads at once."""

    def __init__(self, folder: Path, threads: int, *, exact_int8: bool = False, prepack: bool = True) -> None:
        """Loads the graph; the arguments are those of `session_options`.

        Raises:
            ModelLoadError: If onnxruntime refuses it.
        """
        options = session_options(threads, exact_int8=exact_int8, prepack=prepack)
        with map_load_errors():
            self._session = onnxruntime.InferenceSession(
                str(folder / GRAPH_NAME), options, providers=["CPUExecutionProvider"]
            )

    def run(self, ids: NDArray[np.int64], mask: NDArray[np.int64]) -> NDArray[np.float32]:
        """Embeds one batch.

        Args:
            ids: int64 [batch, sequence].
            mask: int64 [batch, sequence], 1 for tokens and 0 for padding.

        Returns:
            float32 [batch, dimension], each of length 1.

        Raises:
            InferenceError: If onnxruntime fails.
        """
        with map_run_errors(batch=ids.shape[0], tokens=ids.shape[1]):
            (vectors,) = self._session.run([_OUTPUT], {"input_ids": ids, "attention_mask": mask})
        return np.asarray(vectors, np.float32)


# onnxruntime's exceptions share no base of their own: each derives from Exception directly.
@contextmanager
def map_load_errors() -> Iterator[None]:
    """Turns whatever onnxruntime raises while loading into ModelLoadError."""
    try:
        yield
    except Exception as error:
        raise ModelLoadError(GRAPH_NAME, str(error)) from error


@contextmanager
def map_run_errors(*, batch: int, tokens: int) -> Iterator[None]:
    """Turns whatever onnxruntime raises while running into InferenceError."""
    try:
        yield
    except Exception as error:
        raise InferenceError(str(error), batch=batch, tokens=tokens) from error


def require_onnxruntime(minimum: str) -> None:
    """Refuses an onnxruntime that is older than a folder needs.

    Raises:
        RuntimeTooOldError: If it is.
    """
    installed = onnxruntime.__version__
    if _release(installed) < _release(minimum):
        raise RuntimeTooOldError(minimum, installed)


def _release(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("+")[0].split(".")[:2])
