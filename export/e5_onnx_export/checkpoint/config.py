"""config.json to an Architecture, or a sentence that says why the model is not one that can be authored."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from e5_onnx.model_folder.manifest import Architecture
from e5_onnx_export.checkpoint.bodies import BODIES, Body
from e5_onnx_export.errors import CheckpointError, UnsupportedArchitectureError, UnsupportedModelError

_BODIES: Final = {model_type: body for body in BODIES.values() for model_type in body.classes}

_OTHER_MODELS: Final = {
    "albert": "one layer's weights shared by all",
    "deberta": "relative positions",
    "deberta-v2": "relative positions",
    "electra": "embeddings of their own width",
    "gemma3_text": "a decoder",
    "gpt2": "a decoder",
    "llama": "a decoder",
    "mistral": "a decoder",
    "modernbert": "rotary positions and a gated FFN",
    "mpnet": "relative positions",
    "mt5": "relative positions",
    "new": "rotary positions and a gated FFN",
    "nomic_bert": "rotary positions and a gated FFN",
    "qwen2": "a decoder",
    "qwen3": "a decoder",
    "t5": "relative positions",
    "xlm-roberta-xl": "normalisation before each block",
}

# What a config of these encoders may say, or leave out. Other keys are of no weight in a forward pass.
_EXPECTED: Final[tuple[tuple[str, tuple[object, ...], str], ...]] = (
    ("is_decoder", (False,), "it is a decoder (is_decoder is {value!r})"),
    ("is_encoder_decoder", (False,), "it is an encoder-decoder (is_encoder_decoder is {value!r})"),
    (
        "add_cross_attention",
        (False,),
        "it has a decoder's cross-attention (add_cross_attention is {value!r})",
    ),
    ("position_embedding_type", ("absolute",), "its positions are {value!r}, not absolute"),
    ("alibi_starting_size", (), "its positions are ALiBi (alibi_starting_size is {value!r})"),
    ("rope_theta", (), "its positions are rotary (rope_theta is {value!r})"),
    ("rope_scaling", (), "its positions are rotary (rope_scaling is {value!r})"),
    ("rotary_emb_base", (), "its positions are rotary (rotary_emb_base is {value!r})"),
    (
        "feed_forward_type",
        ("original",),
        "its FFN is gated or otherwise changed (feed_forward_type is {value!r})",
    ),
)
# transformers' two names of it; all others are approximations or something else.
_EXACT_GELU: Final = ("gelu", "gelu_python")
_CHANGED_WEIGHTS: Final[tuple[tuple[str, tuple[object, ...], str], ...]] = (
    ("lora_adaptations", (), "it has adapters (lora_adaptations is {value!r})"),
    ("pruned_heads", ({},), "some of its attention heads were removed (pruned_heads is {value!r})"),
    (
        "quantization_config",
        (),
        "its weights are stored quantised (quantization_config is {value!r}): export from the weights as "
        "they were before they were quantised",
    ),
)

_CAUSAL_CLASSES: Final = ("LMHeadModel", "ForCausalLM", "ForConditionalGeneration")
# A masked-LM head is left out; a classifier's or reranker's body makes no vectors that mean anything.
_ENCODER_CLASSES: Final = ("Model", "ForMaskedLM", "ForPreTraining")

_QUOTED: Final = 80

# transformers' defaults, for keys that a config may leave out.
_DEFAULT_EPS: Final = 1e-12
_DEFAULT_ROBERTA_PAD: Final = 1


def read_architecture(config: Mapping[str, Any], source: str) -> Architecture:
    """Reads the encoder's shape out of a config.

    The body is what `model_type` says; the tokenizer has no part in it, because multilingual-e5-small has a
    BERT body (first position 0) and an XLM-R tokenizer (pad id 1).

    Args:
        config: The contents of config.json.
        source: The checkpoint's name, for messages.

    Returns:
        The architecture.

    Raises:
        UnsupportedModelError: If it is not an encoder that this exporter can author.
        CheckpointError: If a value is missing or of the wrong type.
    """
    body = _read_body(config, source)
    _refuse_own_code(config, source)
    _refuse_class(config, source)
    _check_values(config, source, body)
    keys = body.keys
    architecture = Architecture(
        body=body.word,
        layers=_positive(config, keys.layers),
        hidden=_positive(config, keys.hidden),
        heads=_positive(config, keys.heads),
        intermediate=_positive(config, keys.intermediate),
        vocabulary=_positive(config, "vocab_size"),
        positions=_positive(config, "max_position_embeddings"),
        position_offset=_position_offset(config, body),
        layer_norm_eps=_epsilon(config, keys.epsilon),
    )
    _check_shape(architecture, source)
    return architecture


def architecture_values(architecture: Architecture, *, token_types: int | None) -> dict[str, Any]:
    """Returns what config.json says of a shape, under the keys of its kind of encoder.

    Args:
        architecture: The encoder's shape.
        token_types: Rows of the token type table; None where there is no such table.
    """
    body = BODIES[architecture.body]
    keys = body.keys
    values: dict[str, Any] = {
        keys.hidden: architecture.hidden,
        keys.layers: architecture.layers,
        keys.heads: architecture.heads,
        keys.intermediate: architecture.intermediate,
        "vocab_size": architecture.vocabulary,
        "max_position_embeddings": architecture.positions,
        keys.activation: "gelu",
    }
    if token_types is not None:
        values["type_vocab_size"] = token_types
    if keys.epsilon is not None:
        values[keys.epsilon] = architecture.layer_norm_eps
    if body.first_position == "after pad":
        values["pad_token_id"] = architecture.position_offset - 1
    return values


def _read_body(config: Mapping[str, Any], source: str) -> Body:
    model_type = config.get("model_type")
    if not isinstance(model_type, str):
        raise CheckpointError("config.json", f"model_type is {model_type!r:.80}, not a model's type")
    if model_type in _BODIES:
        return _BODIES[model_type]
    reason = _OTHER_MODELS.get(model_type)
    raise _other_architecture(source, f"it is of type {model_type!r}" + (f" ({reason})" if reason else ""))


def _other_architecture(source: str, found: str) -> UnsupportedArchitectureError:
    return UnsupportedArchitectureError(source, found, [body.title for body in BODIES.values()])


def _check_values(config: Mapping[str, Any], source: str, body: Body) -> None:
    for key, accepted, sentence in _EXPECTED:
        value = config.get(key)
        if value is not None and value not in accepted:
            raise _other_architecture(source, sentence.format(value=_short(value)))
    activation = config.get(body.keys.activation)
    if activation is not None and activation not in _EXACT_GELU:
        found = f"its activation is {_short(activation)!r}, not the exact GELU (`gelu`)"
        raise _other_architecture(source, found)
    for key, accepted, sentence in _CHANGED_WEIGHTS:
        value = config.get(key)
        if value is not None and value not in accepted:
            raise UnsupportedModelError(source, sentence.format(value=_short(value)))


def _refuse_own_code(config: Mapping[str, Any], source: str) -> None:
    # Code of the model's own may compute anything from weights that look like BERT's. A class for another
    # purpose (AutoTokenizer, say) does not matter: it is not used.
    auto_map = config.get("auto_map")
    if isinstance(auto_map, Mapping) and "AutoModel" in auto_map:
        raise UnsupportedModelError(
            source,
            f"its encoder is code of its own ({auto_map['AutoModel']!r:.80}), and remote code is never run",
        )


def _refuse_class(config: Mapping[str, Any], source: str) -> None:
    classes = config.get("architectures") or []
    if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
        raise CheckpointError("config.json", f"architectures is {classes!r:.80}, not a list of names")
    for name in classes:
        if name.endswith(_CAUSAL_CLASSES):
            raise _other_architecture(source, f"it is a decoder ({name})")
        if not name.endswith(_ENCODER_CLASSES):
            raise UnsupportedModelError(source, f"it is a {name}, not an encoder that makes embeddings")


def _position_offset(config: Mapping[str, Any], body: Body) -> int:
    # RoBERTa's first position is pad id + 1 (transformers' create_position_ids_from_input_ids); BERT's is 0,
    # whatever its pad id.
    if body.first_position == "zero":
        return 0
    pad = config.get("pad_token_id")
    if pad is None:
        pad = _DEFAULT_ROBERTA_PAD
    if not isinstance(pad, int) or isinstance(pad, bool) or pad < 0:
        raise CheckpointError("config.json", f"pad_token_id is {pad!r:.80}, not a token id")
    return pad + 1


def _positive(config: Mapping[str, Any], key: str) -> int:
    value = config.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise CheckpointError("config.json", f"{key} is {value!r:.80}, not a positive number")
    return value


def _epsilon(config: Mapping[str, Any], key: str | None) -> float:
    value = None if key is None else config.get(key)
    if value is None:
        return _DEFAULT_EPS
    if (
        not isinstance(value, int | float)
        or isinstance(value, bool)
        or not math.isfinite(value)
        or value <= 0
    ):
        raise CheckpointError("config.json", f"{key} is {value!r:.80}, not a positive number")
    return float(value)


def _check_shape(architecture: Architecture, source: str) -> None:
    if architecture.hidden % architecture.heads:
        raise UnsupportedModelError(
            source, f"its {architecture.hidden} hidden units cannot be shared by {architecture.heads} heads"
        )
    if architecture.positions <= architecture.position_offset:
        raise UnsupportedModelError(
            source,
            f"its {architecture.positions} positions are all below the first one used, "
            f"{architecture.position_offset}",
        )


def _short(value: object) -> object:
    return value if len(repr(value)) <= _QUOTED else type(value).__name__
