"""optimum's own export, dynamically quantised by optimum, in onnxruntime: the stock int8."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from e5_onnx.errors import MissingExtraError
from e5_onnx.machine.cpu import cpu_facts
from e5_onnx_perf.peers import BATCH, PeerSource
from e5_onnx_perf.peers.conversion import (
    converted,
    copy_beside,
    folder_bytes,
    in_batches,
    mean_pool,
    standard_folder,
)

try:
    from optimum.onnxruntime import ORTModelForFeatureExtraction, ORTQuantizer
    from optimum.onnxruntime.configuration import AutoQuantizationConfig
    from transformers import AutoTokenizer

    from e5_onnx.silent import onnxruntime
except ImportError as error:
    raise MissingExtraError("peers", "optimum") from error

_NAME = "model_quantized.onnx"


def quantisation() -> str:
    """Optimum's name of the configuration for this CPU."""
    return "avx512_vnni" if "avx512_vnni" in cpu_facts().features else "avx2"


class OptimumPeer:
    """A dynamically quantised graph behind optimum's own class, pooled in NumPy."""

    def __init__(self, folder: Path, threads: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self._tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        self._model = ORTModelForFeatureExtraction.from_pretrained(
            folder, file_name=_NAME, session_options=options, local_files_only=True
        )
        config = quantisation()
        self.setting = (
            f"optimum {config} dynamic per channel, {threads} threads, batches of {BATCH} by length"
        )
        self.precision = "int8"
        self.disk_bytes = folder_bytes(folder)

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embeds texts; see `Peer.encode`."""
        return in_batches(texts, BATCH, self._embed)

    def _embed(self, texts: list[str]) -> NDArray[np.float32]:
        batch = self._tokenizer(texts, padding=True, truncation=True, max_length=512, return_tensors="np")
        states = self._model(**batch).last_hidden_state
        return mean_pool(np.asarray(states), batch["attention_mask"])


def prepare(source: PeerSource) -> Path:
    """Exports with optimum and quantises."""
    standard = standard_folder(source)

    def convert(made: Path) -> None:
        copy_beside(standard, made)
        work = made / "onnx"
        shutil.copytree(standard / "onnx", work)
        shutil.copy2(standard / "config.json", work / "config.json")
        config = getattr(AutoQuantizationConfig, quantisation())(is_static=False, per_channel=True)
        ORTQuantizer.from_pretrained(work, file_name="model.onnx").quantize(
            config, made, use_external_data_format=True
        )
        shutil.rmtree(work)

    return converted(source, "optimum-int8", convert)


def load(source: PeerSource, threads: int) -> OptimumPeer:
    """Loads the quantised graph."""
    return OptimumPeer(prepare(source), threads)
