"""OpenVINO with int8 weights and dynamically quantised activations."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from e5_onnx.errors import MissingExtraError
from e5_onnx_perf.peers import BATCH, PeerSource
from e5_onnx_perf.peers.conversion import converted, folder_bytes, in_batches, mean_pool, standard_folder

try:
    import nncf
    import openvino
except ImportError as error:
    raise MissingExtraError("peers", "openvino") from error

_NAME: Final = "openvino_model.xml"
_GROUP: Final = "32"  # activations that share a scale; with one a row it was no faster
_LIMIT: Final = 512


class OpenVinoPeer:
    """A compiled model, pooled in NumPy."""

    def __init__(self, folder: Path, tokenizer: Path, threads: int) -> None:
        core = openvino.Core()
        bf16 = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        config = {
            "INFERENCE_NUM_THREADS": threads,
            "PERFORMANCE_HINT": "LATENCY",
            "DYNAMIC_QUANTIZATION_GROUP_SIZE": _GROUP,
            "INFERENCE_PRECISION_HINT": "bf16" if bf16 else "f32",
        }
        self._model = core.compile_model(folder / _NAME, "CPU", config)
        self._inputs = {name for port in self._model.inputs for name in port.get_names()}
        self._tokenizer = Tokenizer.from_file(str(tokenizer))
        self._tokenizer.enable_truncation(_LIMIT)
        self._tokenizer.enable_padding(pad_id=1)
        kind = config["INFERENCE_PRECISION_HINT"]
        self.setting = (
            f"int8 weights, activations int8 by {_GROUP}, {kind} between, {threads} threads, "
            f"batches of {BATCH} by length"
        )
        self.precision = "int8"
        self.disk_bytes = folder_bytes(folder) + tokenizer.stat().st_size

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embeds texts; see `Peer.encode`."""
        return in_batches(texts, BATCH, self._embed)

    def _embed(self, texts: list[str]) -> NDArray[np.float32]:
        encodings = self._tokenizer.encode_batch(texts)
        ids = np.array([encoding.ids for encoding in encodings], np.int64)
        mask = np.array([encoding.attention_mask for encoding in encodings], np.int64)
        feeds = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        found = self._model({name: value for name, value in feeds.items() if name in self._inputs})
        return mean_pool(np.asarray(found[0]), mask)


def prepare(source: PeerSource) -> Path:
    """Converts optimum's export and compresses its weights."""
    standard = standard_folder(source)

    def convert(made: Path) -> None:
        model = openvino.convert_model(standard / "onnx" / "model.onnx")
        compressed = nncf.compress_weights(model, mode=nncf.CompressWeightsMode.INT8_SYM)
        openvino.save_model(compressed, made / _NAME, compress_to_fp16=False)

    return converted(source, "openvino", convert)


def load(source: PeerSource, threads: int) -> OpenVinoPeer:
    """Loads the compressed model."""
    return OpenVinoPeer(prepare(source), source.checkpoint / "tokenizer.json", threads)
