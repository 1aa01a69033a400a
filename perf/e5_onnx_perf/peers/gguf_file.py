"""A checkpoint as a GGUF file of llama.cpp's, in 8 bits.

llama.cpp's own converter takes an e5-small for a WordPiece model, because its config says BERT, and cuts its
texts into other tokens; this one looks at the tokenizer itself.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from e5_onnx.errors import MissingExtraError
from e5_onnx_export.checkpoint import Checkpoint, open_checkpoint
from e5_onnx_export.checkpoint.encoder_weights import token_types
from e5_onnx_perf.errors import ConversionError

try:
    import gguf
except ImportError as error:
    raise MissingExtraError("llama-cpp", "gguf") from error

_ARCHITECTURE: Final = "bert"
_TABLES: Final = {
    "embeddings.word_embeddings": "token_embd",
    "embeddings.token_type_embeddings": "token_types",
    "embeddings.position_embeddings": "position_embd",
    "embeddings.LayerNorm": "token_embd_norm",
}
_PARTS: Final = {
    "attention.self.query": "attn_q",
    "attention.self.key": "attn_k",
    "attention.self.value": "attn_v",
    "attention.output.dense": "attn_output",
    "attention.output.LayerNorm": "attn_output_norm",
    "intermediate.dense": "ffn_up",
    "output.dense": "ffn_down",
    "output.LayerNorm": "layer_output_norm",
}
# As llama.cpp's quantiser leaves them: norms, biases and the small tables stay in float32.
_IN_8_BITS: Final = (
    "token_embd.weight",
    *(f"{name}.weight" for name in _PARTS.values() if "norm" not in name),
)


def write_gguf(folder: Path, path: Path) -> None:
    """Writes a checkpoint with Q8_0 weights, mean pooling and its tokenizer.

    Args:
        folder: A Hugging Face folder.
        path: The file to write.

    Raises:
        ConversionError: If its tokenizer is not SentencePiece's Unigram, or it has a Dense module.
        CheckpointError: If something is wrong with the folder.
    """
    checkpoint = open_checkpoint(str(folder))
    if checkpoint.projections:
        raise ConversionError(checkpoint.source.name, "it has a Dense module, which GGUF has no place for")
    writer = gguf.GGUFWriter(path, _ARCHITECTURE)
    _add_shape(writer, checkpoint)
    _add_tokenizer(writer, json.loads(checkpoint.tokenizer), checkpoint)
    for name, values in _tensors(checkpoint):
        if name.endswith(_IN_8_BITS):
            kind = gguf.GGMLQuantizationType.Q8_0
            writer.add_tensor(name, gguf.quants.quantize(values, kind), raw_dtype=kind)
        else:
            writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add_shape(writer: gguf.GGUFWriter, checkpoint: Checkpoint) -> None:
    shape = checkpoint.architecture
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    writer.add_context_length(shape.positions - shape.position_offset)
    writer.add_embedding_length(shape.hidden)
    writer.add_feed_forward_length(shape.intermediate)
    writer.add_block_count(shape.layers)
    writer.add_head_count(shape.heads)
    writer.add_layer_norm_eps(shape.layer_norm_eps)
    writer.add_causal_attention(False)
    writer.add_pooling_type(gguf.PoolingType.MEAN)


def _add_tokenizer(writer: gguf.GGUFWriter, tokenizer: dict[str, Any], checkpoint: Checkpoint) -> None:
    model = tokenizer["model"]
    if model["type"] != "Unigram":
        reason = f"its tokenizer is {model['type']}, and only Unigram ones are written as GGUF"
        raise ConversionError(checkpoint.source.name, reason)
    special = {token["id"]: token["content"] for token in tokenizer["added_tokens"]}
    rows = checkpoint.architecture.vocabulary
    pieces = [*model["vocab"], *(("", 0.0) for _ in range(rows - len(model["vocab"])))]
    kinds = [
        _kind(number, special, unknown=model["unk_id"], known=len(model["vocab"])) for number in range(rows)
    ]
    writer.add_tokenizer_model("t5")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(
        [special.get(number, piece or f"[PAD{number}]") for number, (piece, _) in enumerate(pieces)]
    )
    writer.add_token_scores([score for _, score in pieces])
    writer.add_token_types(kinds)
    writer.add_token_type_count(token_types(checkpoint.weights) or 1)
    writer.add_add_space_prefix(True)
    writer.add_remove_extra_whitespaces(True)
    if charsmap := _charsmap(tokenizer["normalizer"]):
        writer.add_precompiled_charsmap(charsmap)
    by_text = {text: number for number, text in special.items()}
    writer.add_bos_token_id(by_text["<s>"])
    writer.add_eos_token_id(by_text["</s>"])
    writer.add_sep_token_id(by_text["</s>"])
    writer.add_unk_token_id(model["unk_id"])
    writer.add_pad_token_id(by_text["<pad>"])
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(True)


def _kind(number: int, special: dict[int, str], *, unknown: int, known: int) -> int:
    if number == unknown:
        return int(gguf.TokenType.UNKNOWN)
    if number in special:
        return int(gguf.TokenType.CONTROL)
    return int(gguf.TokenType.NORMAL if number < known else gguf.TokenType.UNUSED)


def _charsmap(normalizer: dict[str, Any] | None) -> bytes:
    """SentencePiece's compiled rules; tokenizers may have wrapped them in a sequence with others."""
    steps = [] if normalizer is None else normalizer.get("normalizers", [normalizer])
    found = [step["precompiled_charsmap"] for step in steps if step["type"] == "Precompiled"]
    return base64.b64decode(found[0]) if found else b""


def _tensors(checkpoint: Checkpoint) -> Iterator[tuple[str, NDArray[np.float32]]]:
    weights, offset = checkpoint.weights, checkpoint.architecture.position_offset
    for name in weights.names():
        stem, _, kind = name.rpartition(".")
        values = weights.read(name)
        # Positions are counted from 0 there: the rows that no token uses go.
        yield f"{_renamed(stem)}.{kind}", values[offset:] if "position" in stem else values


def _renamed(stem: str) -> str:
    if stem in _TABLES:
        return _TABLES[stem]
    _, _, layer, part = stem.split(".", 3)
    return f"blk.{layer}.{_PARTS[part]}"
