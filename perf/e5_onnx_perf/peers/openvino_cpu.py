"""OpenVINO on a CPU: int8 weights with dynamically quantised activations, static int8, or bf16."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from e5_onnx.errors import MissingExtraError
from e5_onnx_export.texts import calibration_texts, held_out_texts, parity_texts
from e5_onnx_perf.errors import ConversionError
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
_SAMPLE: Final = 128  # tokens of a sample at most
_CALIBRATION: Final = 300  # samples, as optimum-intel's OVQuantizationConfig takes


class OpenVinoPeer:
    """A compiled model, pooled in NumPy."""

    def __init__(self, folder: Path, tokenizer: Path, threads: int, *, way: OpenVinoWay) -> None:
        core = openvino.Core()
        kind = "bf16" if _has_bf16(core) else "f32"
        config = {
            "INFERENCE_NUM_THREADS": threads,
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": kind,
        }
        if way.kind == "weights":
            config["DYNAMIC_QUANTIZATION_GROUP_SIZE"] = _GROUP
        self._model = core.compile_model(folder / _NAME, "CPU", config)
        self._inputs = {name for port in self._model.inputs for name in port.get_names()}
        self._tokenizer = _padding_tokenizer(tokenizer)
        self.setting = f"{way.setting}, {kind} between, {threads} threads, batches of {BATCH} by length"
        self.precision = "bf16" if way.kind == "bf16" else "int8"
        self.disk_bytes = folder_bytes(folder) + tokenizer.stat().st_size

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embeds texts; see `Peer.encode`."""
        return in_batches(texts, BATCH, self._embed)

    def _embed(self, texts: list[str]) -> NDArray[np.float32]:
        feeds = _feeds(self._tokenizer, texts)
        found = self._model({name: value for name, value in feeds.items() if name in self._inputs})
        return mean_pool(np.asarray(found[0]), feeds["attention_mask"])


@dataclass(frozen=True, slots=True)
class OpenVinoWay:
    """One of the ways that OpenVINO's tools offer, as a peer.

    Attributes:
        kind: The treatment of the model: `weights` compresses them, `static` quantises activations too, with
            scales of a calibration, `bf16` leaves it to the CPU.
        name: The ending of the converted folder's name.
        setting: The description in tables.
        float_ffn_out: Whether the second linear of each feed-forward layer, the one that static scales harm,
            stays in floating point.
    """

    kind: Literal["weights", "static", "bf16"]
    name: str
    setting: str
    float_ffn_out: bool = False

    def prepare(self, source: PeerSource) -> Path:
        """Converts optimum's export.

        Raises:
            ConversionError: If bf16 is asked for on a CPU that has it not.
        """
        if self.kind == "bf16" and not _has_bf16(openvino.Core()):
            raise ConversionError(str(source.checkpoint), "this CPU has no bf16")
        standard = standard_folder(source)

        def convert(made: Path) -> None:
            model = openvino.convert_model(standard / "onnx" / "model.onnx")
            if self.kind == "weights":
                model = nncf.compress_weights(model, mode=nncf.CompressWeightsMode.INT8_SYM)
            if self.kind == "static":
                model = self._static(model, source.checkpoint / "tokenizer.json")
            openvino.save_model(model, made / _NAME, compress_to_fp16=False)

        return converted(source, self.name, convert)

    def load(self, source: PeerSource, threads: int) -> OpenVinoPeer:
        """Loads what was converted."""
        tokenizer = source.checkpoint / "tokenizer.json"
        return OpenVinoPeer(self.prepare(source), tokenizer, threads, way=self)

    def _static(self, model: openvino.Model, tokenizer: Path) -> openvino.Model:
        """As `export_static_quantized_openvino_model` does it: NNCF's mixed preset for transformers."""
        names = [name for port in model.inputs for name in port.get_names()]
        opened = _padding_tokenizer(tokenizer, _SAMPLE)
        samples = [_feeds(opened, [text]) for text in itertools.islice(_texts(), _CALIBRATION)]
        data = nncf.Dataset([{name: sample[name] for name in names if name in sample} for sample in samples])
        kept = nncf.IgnoredScope(names=_ffn_out(model)) if self.float_ffn_out else None
        return nncf.quantize(
            model,
            data,
            preset=nncf.QuantizationPreset.MIXED,
            model_type=nncf.ModelType.TRANSFORMER,
            subset_size=len(samples),
            ignored_scope=kept,
        )


def _texts() -> Iterator[str]:
    """Ours, of 65 languages and more: nearer to what is measured than the English reviews of its default."""
    for text in (*calibration_texts(), *held_out_texts(), *parity_texts()):
        if text.text.strip():
            yield text.text


def _ffn_out(model: openvino.Model) -> list[str]:
    """Names of the products whose weight has more inputs than outputs: none but those of ffn_out."""
    found = []
    for operator in model.get_ops():
        if operator.get_type_name() == "MatMul":
            shape = operator.input(1).get_partial_shape()
            sides = [side.get_length() for side in shape] if shape.is_static else []
            if len(sides) == 2 and sides[0] != sides[1]:  # noqa: PLR2004
                inputs, outputs = sides[::-1] if operator.get_attributes()["transpose_b"] else sides
                found += [operator.get_friendly_name()] if inputs > outputs else []
    return found


def _has_bf16(core: openvino.Core) -> bool:
    return "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def _padding_tokenizer(file: Path, limit: int = _LIMIT) -> Tokenizer:
    tokenizer = Tokenizer.from_file(str(file))
    tokenizer.enable_truncation(limit)
    tokenizer.enable_padding(pad_id=1)
    return tokenizer


def _feeds(tokenizer: Tokenizer, texts: list[str]) -> dict[str, NDArray[np.int64]]:
    encodings = tokenizer.encode_batch(texts)
    ids = np.array([encoding.ids for encoding in encodings], np.int64)
    mask = np.array([encoding.attention_mask for encoding in encodings], np.int64)
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}


WEIGHTS: Final = OpenVinoWay("weights", "openvino", f"int8 weights, activations int8 by {_GROUP}")
STATIC: Final = OpenVinoWay("static", "openvino-static", "static int8 as documented")
STATIC_BF16: Final = OpenVinoWay(
    "static", "openvino-static-float", "static int8 with FFN-out in floating point", float_ffn_out=True
)
BF16: Final = OpenVinoWay("bf16", "openvino-bf16", "fp32 file")
