"""config.json to an Architecture, or a sentence that says why the model is not one that can be authored."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from e5_onnx.manifest import Architecture, Body
from e5_onnx_export.errors import CheckpointError, UnsupportedModelError

_BODIES: Final[dict[str, Body]] = {
    "bert": "bert",
    "xlm-roberta": "xlm-roberta",
    "roberta": "roberta",
    "camembert": "roberta",
}

_OTHER_MODELS: Final = {
    "albert": "one layer's weights shared by all",
    "deberta": "relative positions",
    "deberta-v2": "relative positions",
    "distilbert": "tensors of its own naming",
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

# What BERT's and RoBERTa's own configs may say, or leave out. Other keys are of no weight in a forward pass.
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
    ("hidden_act", ("gelu",), "its activation is {value!r}, not the exact GELU (`gelu`)"),
    (
        "feed_forward_type",
        ("original",),
        "its FFN is gated or otherwise changed (feed_forward_type is {value!r})",
    ),
    ("lora_adaptations", (), "it has adapters (lora_adaptations is {value!r})"),
    ("pruned_heads", ({},), "some of its attention heads were removed (pruned_heads is {value!r})"),
    ("quantization_config", (), "its weights are stored quantised (quantization_config is {value!r})"),
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
    for key, accepted, sentence in _EXPECTED:
        value = config.get(key)
        if value is not None and value not in accepted:
            raise UnsupportedModelError(source, sentence.format(value=_short(value)))
    architecture = Architecture(
        body=body,
        layers=_positive(config, "num_hidden_layers"),
        hidden=_positive(config, "hidden_size"),
        heads=_positive(config, "num_attention_heads"),
        intermediate=_positive(config, "intermediate_size"),
        vocabulary=_positive(config, "vocab_size"),
        positions=_positive(config, "max_position_embeddings"),
        position_offset=_position_offset(config, body),
        layer_norm_eps=_epsilon(config),
    )
    _check_shape(architecture, source)
    return architecture


def _read_body(config: Mapping[str, Any], source: str) -> Body:
    model_type = config.get("model_type")
    if not isinstance(model_type, str):
        raise CheckpointError("config.json", f"model_type is {model_type!r:.80}, not a model's type")
    if model_type in _BODIES:
        return _BODIES[model_type]
    reason = _OTHER_MODELS.get(model_type)
    raise UnsupportedModelError(source, f"it is of type {model_type!r}" + (f" ({reason})" if reason else ""))


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
            raise UnsupportedModelError(source, f"it is a decoder ({name})")
        if not name.endswith(_ENCODER_CLASSES):
            raise UnsupportedModelError(source, f"it is a {name}, not an encoder that makes embeddings")


def _position_offset(config: Mapping[str, Any], body: Body) -> int:
    # RoBERTa's first position is pad id + 1 (transformers' create_position_ids_from_input_ids); BERT's is 0,
    # whatever its pad id.
    if body == "bert":
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


def _epsilon(config: Mapping[str, Any]) -> float:
    value = config.get("layer_norm_eps")
    if value is None:
        return _DEFAULT_EPS
    if (
        not isinstance(value, int | float)
        or isinstance(value, bool)
        or not math.isfinite(value)
        or value <= 0
    ):
        raise CheckpointError("config.json", f"layer_norm_eps is {value!r:.80}, not a positive number")
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
