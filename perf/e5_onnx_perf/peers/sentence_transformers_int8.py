"""sentence-transformers with its ONNX backend, quantised by its own exporter."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from e5_onnx.errors import MissingExtraError
from e5_onnx_perf.peers import BATCH, PeerSource
from e5_onnx_perf.peers.conversion import converted, folder_bytes, standard_folder

try:
    from sentence_transformers import SentenceTransformer, export_dynamic_quantized_onnx_model

    from e5_onnx.silent import onnxruntime
    from e5_onnx_perf.peers.optimum_int8 import quantisation
except ImportError as error:
    raise MissingExtraError("peers", "sentence-transformers") from error


class SentenceTransformersPeer:
    """A SentenceTransformer over a quantised graph."""

    def __init__(self, folder: Path, threads: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        name = f"onnx/model_qint8_{quantisation()}.onnx"
        if quantisation() == "avx2":
            name = "onnx/model_quint8_avx2.onnx"
        self._model = SentenceTransformer(
            str(folder),
            backend="onnx",
            device="cpu",
            local_files_only=True,
            model_kwargs={"file_name": name, "session_options": options, "provider": "CPUExecutionProvider"},
        )
        self.setting = f"ONNX backend, {Path(name).stem}, {threads} threads, batches of {BATCH} by length"
        self.precision = "int8"
        self.disk_bytes = folder_bytes(folder, Path(name).name, "*.json")

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embeds texts; see `Peer.encode`. It sorts them by length itself."""
        vectors = self._model.encode(list(texts), batch_size=BATCH, normalize_embeddings=True)
        return np.asarray(vectors, np.float32)


def prepare(source: PeerSource) -> Path:
    """Exports with optimum and quantises with sentence-transformers."""
    standard = standard_folder(source)

    def convert(made: Path) -> None:
        shutil.copytree(standard, made, dirs_exist_ok=True)
        model = SentenceTransformer(
            str(made), backend="onnx", device="cpu", local_files_only=True,
            model_kwargs={"file_name": "onnx/model.onnx", "provider": "CPUExecutionProvider"},
        )  # fmt: skip
        export_dynamic_quantized_onnx_model(model, quantisation(), str(made))

    return converted(source, "sentence-transformers", convert)


def load(source: PeerSource, threads: int) -> SentenceTransformersPeer:
    """Loads the quantised graph."""
    return SentenceTransformersPeer(prepare(source), threads)
