"""Tensors of a file that are not the encoder's: heads and constants are left out, the rest is refused."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Sequence
from typing import Final

from e5_onnx_export.checkpoint.base import StoredWeights
from e5_onnx_export.checkpoint.bodies import WORD_TABLE, Body, modern
from e5_onnx_export.errors import CheckpointError

# Made again from the config by whoever needs them.
_CONSTANTS: Final = ("embeddings.position_ids", "embeddings.token_type_ids")
# Words of a head's first name, alone or joined to others: pooler, lm_head, qa_outputs, logit_scale.
_HEAD_WORDS: Final = (
    "bias|classifier|cls|criterion|decoder|denses?|heads?|linear|logits?|loss|mlp|nsp|outputs?|pooler|"
    "predictions?|proj|projections?|projectors?|regressor|scale|scores?|scorer|similarity|tau|temp|"
    "temperature|transforms?|vocab"
)
_HEAD: Final = re.compile(rf"(?:\w+_)?(?:{_HEAD_WORDS})(?:_\w+)?")
# peft's names, and those of the library `adapters`.
_ADAPTER: Final = re.compile(
    r"(?:^|\.)(?:lora_\w+|ia3_\w+|hada_\w+|lokr_\w+|vera_\w+|b?oft_\w+|base_layer|modules_to_save|"
    r"original_module|adapters?|loras|prompt_encoder)(?:\.|$)"
)
_MERGE: Final = (
    "where it was trained, `model = model.merge_and_unload()` and then `model.save_pretrained(FOLDER)`"
)


def refuse_adapters(stored: StoredWeights) -> None:
    """Refuses weights whose adapter is not merged into them.

    Raises:
        CheckpointError: If there is a tensor by the name of LoRA's or of another adapter's.
    """
    names = [name for name in stored.names() if _ADAPTER.search(name)]
    if names:
        raise CheckpointError(
            stored.label,
            f"holds tensor {names[0]!r}{more(names)} of an adapter (LoRA or another) that is not merged into "
            f"the encoder's weights: merge it, {_MERGE}",
        )


def account_for(
    stored: StoredWeights, spare: Sequence[str], body: Body, *, prefix: str, places: Collection[str]
) -> str:
    """Says which tensors are left out, or refuses those that cannot be.

    transformers leaves out whatever its class has no place for. This does so only where a name says that an
    encoder does not use it: a gate, or a second encoder, is no head.

    Args:
        stored: A file's tensors.
        spare: The names of those that the encoder does not take.
        body: The kind of encoder.
        prefix: The prefix of the encoder's tensor names.
        places: The encoder's names, without the prefix.

    Returns:
        A sentence for people; empty where nothing is left out.

    Raises:
        CheckpointError: If a tensor is of a second encoder, or of nothing that is known.
    """
    roots = {place.partition(".")[0] for place in places}
    twins = [name for name in spare if _is_of_an_encoder(name, places)]
    if twins:
        raise CheckpointError(
            stored.label,
            f"holds tensor {twins[0]!r}{more(twins)} of a second encoder, or of a part of one, beside the "
            f"encoder with the token embedding matrix {prefix + WORD_TABLE!r}: {one_alone(prefix, roots)}",
        )
    unknown = [name for name in spare if not _is_left_out(name.removeprefix(prefix), roots)]
    if unknown:
        raise CheckpointError(
            stored.label,
            f"holds tensor {unknown[0]!r}{more(unknown)}, which has no place in the encoder of config.json "
            "and is of no head that is known. transformers leaves such tensors out: if that is right for "
            f"this model, save what it takes, `{_save_again(prefix, body)}`",
        )
    return _left_out(stored.label, [name.removeprefix(prefix) for name in spare])


def one_alone(prefix: str, roots: Collection[str]) -> str:
    """Says how to save one of several encoders.

    Args:
        prefix: The prefix of its tensor names.
        roots: First words of an encoder's names.
    """
    starts = prefix if prefix else tuple(f"{root}." for root in sorted(roots))
    return (
        "save the tensors of one alone, such as "
        f"`{{name: tensor for name, tensor in tensors.items() if name.startswith({starts!r})}}`"
    )


def _save_again(prefix: str, body: Body) -> str:
    # transformers takes off its own prefix alone: under another one it would draw random numbers.
    known = prefix in ("", body.prefix)
    mapping = "" if known else f", key_mapping={{{'^' + re.escape(prefix)!r}: ''}}"
    return f"AutoModel.from_pretrained(FOLDER{mapping}).save_pretrained(FOLDER)"


def more(names: Sequence[str]) -> str:
    """Returns ` (and 3 more)` for four names, nothing for one."""
    return f" (and {len(names) - 1} more)" if len(names) > 1 else ""


def _is_of_an_encoder(name: str, places: Collection[str]) -> bool:
    parts = modern(name).split(".")
    return any(".".join(parts[start:]) in places for start in range(len(parts)))


def _is_left_out(name: str, roots: Collection[str]) -> bool:
    root = name.partition(".")[0]
    return name in _CONSTANTS or (root not in roots and _HEAD.fullmatch(root) is not None)


def _left_out(label: str, names: Sequence[str]) -> str:
    counted = Counter(name if name in _CONSTANTS else name.partition(".")[0] for name in names)
    if not counted:
        return ""
    listed = ", ".join(root if count == 1 else f"{root} ({count} tensors)" for root, count in counted.items())
    return f"{label} also holds {listed}, which the encoder does not use: left out"
