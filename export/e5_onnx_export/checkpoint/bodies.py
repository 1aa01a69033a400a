"""The encoders that can be exported, a row for each: what their configs and their tensors are called."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from e5_onnx.model_folder.manifest import Architecture

# `zero`: the first token has position 0. `after pad`: it has the pad id + 1, as in RoBERTa.
FirstPosition = Literal["zero", "after pad"]

LAYERS: Final = "encoder.layer"
WORD_TABLE: Final = "embeddings.word_embeddings.weight"
# TensorFlow's names, still found in checkpoints such as bert-base-uncased.
_OLD_ENDINGS: Final = ((".LayerNorm.gamma", ".LayerNorm.weight"), (".LayerNorm.beta", ".LayerNorm.bias"))


@dataclass(frozen=True, slots=True)
class ConfigKeys:
    """Names of config.json's keys.

    Attributes:
        epsilon: None where the model's code has the number and its config has not.
    """

    layers: str = "num_hidden_layers"
    hidden: str = "hidden_size"
    heads: str = "num_attention_heads"
    intermediate: str = "intermediate_size"
    activation: str = "hidden_act"
    epsilon: str | None = "layer_norm_eps"


@dataclass(frozen=True, slots=True)
class Body:
    """One kind of encoder: absolute positions, LayerNorm after each block, exact GELU.

    Attributes:
        word: The name in the manifest.
        title: The usual name.
        classes: transformers' class of the bare encoder, by `model_type` of config.json.
        prefix: The prefix of the encoder's tensor names in transformers' classes with a head.
        first_position: How positions are counted.
        inputs: The inputs that transformers' tokenizer makes for it.
        keys: Names of config.json's keys.
        layers: The part of a tensor's name before the layer's number.
        renamed: Parts of tensors' names that differ from BERT's, by BERT's.
        has_token_types: Whether a table of token types is added to the embeddings.
        multilingual: Whether every model of this kind is.
    """

    word: str
    title: str
    classes: Mapping[str, str]
    prefix: str
    first_position: FirstPosition
    inputs: tuple[str, ...] = ("input_ids", "attention_mask")
    keys: ConfigKeys = ConfigKeys()
    layers: str = LAYERS
    renamed: Mapping[str, str] = field(default_factory=dict)
    has_token_types: bool = True
    multilingual: bool = False

    def stored(self, canonical: str) -> str:
        """Returns the name that a tensor has in files, of the name that it has in transformers' BertModel."""
        stem, _, kind = canonical.rpartition(".")
        if not stem.startswith(f"{LAYERS}."):
            return f"{self.renamed.get(stem, stem)}.{kind}"
        number, _, part = stem.removeprefix(f"{LAYERS}.").partition(".")
        return f"{self.layers}.{number}.{self.renamed.get(part, part)}.{kind}"


BODIES: Final = {
    body.word: body
    for body in (
        Body(
            word="bert",
            title="BERT",
            classes={"bert": "BertModel"},
            prefix="bert.",
            first_position="zero",
            inputs=("input_ids", "token_type_ids", "attention_mask"),
        ),
        Body(
            word="xlm-roberta",
            title="XLM-RoBERTa",
            classes={"xlm-roberta": "XLMRobertaModel"},
            prefix="roberta.",
            first_position="after pad",
            multilingual=True,
        ),
        Body(
            word="roberta",
            title="RoBERTa/CamemBERT",
            classes={"roberta": "RobertaModel", "camembert": "CamembertModel"},
            prefix="roberta.",
            first_position="after pad",
        ),
        Body(
            word="distilbert",
            title="DistilBERT",
            classes={"distilbert": "DistilBertModel"},
            prefix="distilbert.",
            first_position="zero",
            keys=ConfigKeys(
                layers="n_layers",
                hidden="dim",
                heads="n_heads",
                intermediate="hidden_dim",
                activation="activation",
                epsilon=None,
            ),
            layers="transformer.layer",
            renamed={
                "attention.self.query": "attention.q_lin",
                "attention.self.key": "attention.k_lin",
                "attention.self.value": "attention.v_lin",
                "attention.output.dense": "attention.out_lin",
                "attention.output.LayerNorm": "sa_layer_norm",
                "intermediate.dense": "ffn.lin1",
                "output.dense": "ffn.lin2",
                "output.LayerNorm": "output_layer_norm",
            },
            has_token_types=False,
        ),
    )
}


def body_of(architecture: Architecture) -> Body:
    """Returns the row of an architecture that this exporter read."""
    return BODIES[architecture.body]


def modern(name: str) -> str:
    """Returns today's name of a tensor that may have an old one."""
    for old, new in _OLD_ENDINGS:
        if name.endswith(old):
            return name.removesuffix(old) + new
    return name
