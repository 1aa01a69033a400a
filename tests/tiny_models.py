"""Tiny random encoders for the exporter's tests: weights in memory, or a Hugging Face folder on disk."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file
from tiny_tokenizers import write_tokenizer_config

from e5_onnx.model_folder.manifest import Architecture

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of encoder as transformers' own code has it.

    Attributes:
        hf_class: Its class without a head.
        segments: Rows of the token type table; 0 for no such table.
        keys: Its names of config.json's keys, by BERT's; None for a key that it does not have.
        names: Its parts of tensors' names, by BERT's.
    """

    hf_class: str
    segments: int
    keys: dict[str, str | None] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)


KINDS = {
    "bert": Kind("BertModel", 2),
    "xlm-roberta": Kind("XLMRobertaModel", 1),
    "roberta": Kind("RobertaModel", 1),
    "distilbert": Kind(
        "DistilBertModel",
        0,
        keys={
            "num_hidden_layers": "n_layers",
            "hidden_size": "dim",
            "num_attention_heads": "n_heads",
            "intermediate_size": "hidden_dim",
            "hidden_act": "activation",
            "layer_norm_eps": None,
            "type_vocab_size": None,
            "position_embedding_type": None,
        },
        names={
            "encoder.layer": "transformer.layer",
            "attention.self.query": "attention.q_lin",
            "attention.self.key": "attention.k_lin",
            "attention.self.value": "attention.v_lin",
            "attention.output.dense": "attention.out_lin",
            "attention.output.LayerNorm": "sa_layer_norm",
            "intermediate.dense": "ffn.lin1",
            "output.dense": "ffn.lin2",
            "output.LayerNorm": "output_layer_norm",
        },
    ),
}

BERT = Architecture(
    body="bert",
    layers=2,
    hidden=16,
    heads=4,
    intermediate=40,
    vocabulary=300,
    positions=32,
    position_offset=0,
    layer_norm_eps=1e-12,
)
# Pad id 1, so positions start at 2: 34 rows hold 32 tokens.
XLM_ROBERTA = replace(BERT, body="xlm-roberta", positions=34, position_offset=2, layer_norm_eps=1e-5)
ROBERTA = replace(XLM_ROBERTA, body="roberta")
DISTILBERT = replace(BERT, body="distilbert")
BODIES = (BERT, XLM_ROBERTA, ROBERTA, DISTILBERT)


@dataclass(frozen=True, slots=True)
class InMemoryWeights:
    """The exporter's Weights protocol over a dict of float32 arrays."""

    tensors: dict[str, Floats]

    def names(self) -> Iterable[str]:
        return tuple(self.tensors)

    def shape(self, name: str) -> tuple[int, ...]:
        return self.tensors[name].shape

    def read(self, name: str) -> Floats:
        return self.tensors[name].copy()

    def read_rows(self, name: str, start: int, stop: int) -> Floats:
        return self.tensors[name][start:stop].copy()


def stored(architecture: Architecture, name: str) -> str:
    """The name that a tensor has in files, of BERT's name."""
    for bert, own in KINDS[architecture.body].names.items():
        name = name.replace(bert, own)
    return name


def tensor_shapes(architecture: Architecture) -> dict[str, tuple[int, ...]]:
    """Canonical names and shapes of every tensor of the encoder, in checkpoint order."""
    hidden, inner = architecture.hidden, architecture.intermediate
    segments = KINDS[architecture.body].segments
    # In this order: the weights are drawn in it, and committed folders are made of them.
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (architecture.vocabulary, hidden),
        "embeddings.position_embeddings.weight": (architecture.positions, hidden),
        **({"embeddings.token_type_embeddings.weight": (segments, hidden)} if segments else {}),
        "embeddings.LayerNorm.weight": (hidden,),
        "embeddings.LayerNorm.bias": (hidden,),
    }
    linears = {
        "attention.self.query": (hidden, hidden),
        "attention.self.key": (hidden, hidden),
        "attention.self.value": (hidden, hidden),
        "attention.output.dense": (hidden, hidden),
        "intermediate.dense": (inner, hidden),
        "output.dense": (hidden, inner),
    }
    for layer in range(architecture.layers):
        prefix = f"encoder.layer.{layer}."
        for name, (rows, columns) in linears.items():
            shapes[f"{prefix}{name}.weight"] = (rows, columns)
            shapes[f"{prefix}{name}.bias"] = (rows,)
        for name in ("attention.output.LayerNorm", "output.LayerNorm"):
            shapes[f"{prefix}{name}.weight"] = (hidden,)
            shapes[f"{prefix}{name}.bias"] = (hidden,)
    return shapes


def tiny_weights(architecture: Architecture, seed: int = 0) -> InMemoryWeights:
    """Random weights in which every tensor matters: no bias is zero, no LayerNorm is the identity."""
    generator = np.random.default_rng(seed)

    def draw(name: str, shape: tuple[int, ...]) -> Floats:
        if name.endswith("LayerNorm.weight"):
            return (1 + 0.2 * generator.standard_normal(shape)).astype(np.float32)
        # Tables at unit scale, linears at 1/sqrt(inputs): attention is then neither flat nor one-hot.
        scale = 1.0 if "_embeddings" in name else shape[-1] ** -0.5 if len(shape) == 2 else 0.2
        return (scale * generator.standard_normal(shape)).astype(np.float32)

    return InMemoryWeights({name: draw(name, shape) for name, shape in tensor_shapes(architecture).items()})


def config(architecture: Architecture) -> dict[str, object]:
    """The config.json of a Hugging Face checkpoint of this shape."""
    kind = KINDS[architecture.body]
    values = {
        "architectures": [kind.hf_class],
        "model_type": architecture.body,
        "hidden_size": architecture.hidden,
        "num_hidden_layers": architecture.layers,
        "num_attention_heads": architecture.heads,
        "intermediate_size": architecture.intermediate,
        "vocab_size": architecture.vocabulary,
        "max_position_embeddings": architecture.positions,
        "type_vocab_size": kind.segments,
        "layer_norm_eps": architecture.layer_norm_eps,
        "hidden_act": "gelu",
        "pad_token_id": max(architecture.position_offset - 1, 0),
        "position_embedding_type": "absolute",
    }
    named = {kind.keys.get(key, key): value for key, value in values.items()}
    return {key: value for key, value in named.items() if key is not None}


def write_checkpoint(
    folder: Path,
    architecture: Architecture,
    weights: InMemoryWeights,
    tokenizer_json: str | Path,
    *,
    prefix: str = "",
) -> Path:
    """Writes config.json, model.safetensors and tokenizer.json as Hugging Face lays them out.

    Args:
        folder: Made if missing.
        architecture: Its shape goes into config.json.
        weights: Saved in float32.
        tokenizer_json: The text of a tokenizer.json, or the path of one to copy; `{}` for none that is used.
        prefix: Put before each tensor name, such as `roberta.` in checkpoints with a head.

    Returns:
        The folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config(architecture), indent=2), encoding="utf-8")
    tensors = {prefix + stored(architecture, name): weights.read(name) for name in weights.names()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    if isinstance(tokenizer_json, Path):
        shutil.copyfile(tokenizer_json, folder / "tokenizer.json")
    else:
        (folder / "tokenizer.json").write_text(tokenizer_json, encoding="utf-8")
    if tokenizer_json != "{}":
        write_tokenizer_config(folder)
    return folder
