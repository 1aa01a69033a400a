"""The one place that touches onnxruntime: options, the two inputs, the one output, and its errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from e5_onnx.errors import InferenceError, ModelLoadError, RuntimeTooOldError
from e5_onnx.model_folder.manifest import GRAPH_NAME, WEIGHTS_NAME
from e5_onnx.silent import onnxruntime

INPUTS: Final = ("input_ids", "attention_mask")

_OUTPUT: Final = "sentence_embedding"
_ERRORS_AND_WORSE: Final = 3
_LENGTH_TOLERANCE: Final = 1e-3
_NO_VECTORS: Final = (
    "what it gave are no vectors of length 1: the weights or their packed copy were changed or damaged; try "
    "`e5 verify` and `e5 cache verify`"
)
_KEPT_IN_THE_GRAPH: Final = "1024"  # bytes; smaller weights are not worth a mapping


def session_options(
    threads: int, *, exact_int8: bool = False, prepack: bool = True, spinning: bool = False
) -> onnxruntime.SessionOptions:
    """Chooses onnxruntime's options.

    Args:
        threads: At least 1.
        exact_int8: Whether to trade speed for exact products on a CPU without VNNI (`exact_int8.py`).
        prepack: Whether each weight is copied into its kernel's own layout when the graph is loaded. Without,
            it stays in the mapped file: for few texts, large models and little memory.
        spinning: Whether threads that wait for work try again and again, for some milliseconds after a call
            too, instead of sleeping: a tenth faster for one short text, and a CPU's time lost meanwhile.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _ERRORS_AND_WORSE
    # A memory plan is kept for every new shape, and texts bring a new shape with every batch
    # (onnxruntime#11118).
    options.enable_mem_pattern = False
    for key, chosen in {
        "session.x64quantprecision": exact_int8,
        "session.disable_prepacking": not prepack,
        "session.intra_op.allow_spinning": spinning,
        "session.inter_op.allow_spinning": False,
    }.items():
        options.add_session_config_entry(key, "1" if chosen else "0")
    return options


class Session:
    """A loaded graph. Safe to call from many threads at once."""

    def __init__(
        self,
        folder: Path,
        threads: int,
        *,
        exact_int8: bool = False,
        prepack: bool = True,
        optimised: bool = False,
        spinning: bool = False,
    ) -> None:
        """Loads the graph; the other arguments are those of `session_options`.

        Args:
            folder: The folder with model.onnx.
            threads: As for `session_options`.
            exact_int8: As for `session_options`.
            prepack: As for `session_options`.
            optimised: Whether the graph is one that `write_prepacked` wrote.
            spinning: As for `session_options`.

        Raises:
            ModelLoadError: If onnxruntime refuses it.
        """
        options = session_options(threads, exact_int8=exact_int8, prepack=prepack, spinning=spinning)
        if optimised:
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        self._session = _load(folder, options)
        shapes = {entry.name: entry.shape for entry in self._session.get_outputs()}
        last = (shapes.get(_OUTPUT) or [None])[-1]
        self._dimension = last if isinstance(last, int) else None

    @property
    def inputs(self) -> tuple[str, ...]:
        """The names of what the graph takes."""
        return tuple(entry.name for entry in self._session.get_inputs())

    @property
    def dimension(self) -> int | None:
        """Components of the vectors that the graph gives, or None where it does not say."""
        return self._dimension

    def run(self, ids: NDArray[np.int64], mask: NDArray[np.int64]) -> NDArray[np.float32]:
        """Embeds one batch.

        Args:
            ids: int64 [batch, sequence].
            mask: int64 [batch, sequence], 1 for tokens and 0 for padding.

        Returns:
            float32 [batch, dimension], each of length 1.

        Raises:
            InferenceError: If onnxruntime fails, or gives what are no vectors of length 1.
        """
        batch, tokens = ids.shape
        with map_run_errors(batch=batch, tokens=tokens):
            (vectors,) = self._session.run([_OUTPUT], dict(zip(INPUTS, (ids, mask), strict=True)))
        found = np.asarray(vectors, np.float32)
        if not _are_unit(found, batch, self._dimension):
            raise InferenceError(_NO_VECTORS, batch=batch, tokens=tokens)
        return found


def _are_unit(found: NDArray[np.float32], batch: int, dimension: int | None) -> bool:
    """Whether these are vectors of length 1, one for each text; NaN is of no length."""
    if found.ndim != 2 or len(found) != batch or dimension not in (None, found.shape[1]):  # noqa: PLR2004
        return False
    return bool((np.abs(np.linalg.norm(found, axis=1) - 1) <= _LENGTH_TOLERANCE).all())


def write_prepacked(folder: Path, out: Path, *, exact_int8: bool) -> None:
    """Writes a folder's graph as onnxruntime optimises it here, with every weight in its kernel's own layout.

    The weight file holds each weight twice, as it was and packed; a session that loads it maps the packed one
    and leaves the heap alone (onnxruntime#22256).

    Args:
        folder: The folder with model.onnx.
        out: The folder to write model.onnx and model.onnx.data to.
        exact_int8: As for `session_options`.

    Raises:
        ModelLoadError: If onnxruntime refuses the graph, or cannot write.
    """
    options = session_options(1, exact_int8=exact_int8)
    options.optimized_model_filepath = str(out / GRAPH_NAME)
    for key, value in {
        "session.optimized_model_external_initializers_file_name": WEIGHTS_NAME,
        "session.optimized_model_external_initializers_min_size_in_bytes": _KEPT_IN_THE_GRAPH,
        "session.save_external_prepacked_constant_initializers": "1",
    }.items():
        options.add_session_config_entry(key, value)
    _load(folder, options)


def _load(folder: Path, options: onnxruntime.SessionOptions) -> onnxruntime.InferenceSession:
    with map_load_errors():
        return onnxruntime.InferenceSession(
            str(folder / GRAPH_NAME), options, providers=["CPUExecutionProvider"]
        )


# onnxruntime 1.30 follows no link out of the model's own part of the Hub's cache; 1.32 does.
_LINKED: Final = "escapes model directory"
_REMEDY: Final = (
    "; upgrade onnxruntime, or make a folder without links with `hf download REPO --local-dir DIR`"
)


# onnxruntime's exceptions share no base of their own: each derives from Exception directly.
@contextmanager
def map_load_errors() -> Iterator[None]:
    """Turns whatever onnxruntime raises while loading into ModelLoadError."""
    try:
        yield
    except Exception as error:
        raise ModelLoadError(GRAPH_NAME, f"{error}{_REMEDY if _LINKED in str(error) else ''}") from error


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
