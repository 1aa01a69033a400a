"""Which token of a tokenizer.json is for what: transformers wants to be told, the file itself knows it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

_PADS: Final = ("<pad>", "[PAD]")
_MASKS: Final = ("<mask>", "[MASK]")
# RoBERTa's tokens for the ends of a text are BERT's [CLS] and [SEP] by another name.
_ROBERTA_START: Final = "<s>"


def special_tokens(tokenizer: bytes) -> dict[str, str]:
    """Returns the special tokens by the names that special_tokens_map.json gives them.

    Args:
        tokenizer: A tokenizer.json that was read before.

    Returns:
        The tokens of the file among `cls_token`, `sep_token`, `bos_token`, `eos_token`, `unk_token`,
        `pad_token` and `mask_token`. Without a padding token it is the closing one: padding is masked.
    """
    values = json.loads(tokenizer)
    added = [token["content"] for token in values.get("added_tokens") or ()]
    tokens = dict(_ends(values.get("post_processor")))
    if tokens.get("cls_token") == _ROBERTA_START:
        tokens |= {"bos_token": tokens["cls_token"], "eos_token": tokens["sep_token"]}
    padding = (values.get("padding") or {}).get("pad_token")
    found = {
        "unk_token": _unknown(values["model"]),
        "pad_token": padding or _first(_PADS, added) or tokens.get("sep_token"),
        "mask_token": _first(_MASKS, added),
    }
    return tokens | {name: token for name, token in found.items() if token is not None}


def _ends(processor: Mapping[str, Any] | None) -> Iterator[tuple[str, str]]:
    for step in _steps(processor):
        if step["type"] == "TemplateProcessing":
            names = [piece["SpecialToken"]["id"] for piece in step["single"] if "SpecialToken" in piece]
            if names:
                yield "cls_token", names[0]
                yield "sep_token", names[-1]
        elif "cls" in step:  # RobertaProcessing and BertProcessing: a token and its id
            yield "cls_token", step["cls"][0]
            yield "sep_token", step["sep"][0]


def _steps(processor: Mapping[str, Any] | None) -> Iterator[Mapping[str, Any]]:
    if processor is None:
        return
    if processor["type"] == "Sequence":
        for step in processor["processors"]:
            yield from _steps(step)
    else:
        yield processor


def _unknown(model: Mapping[str, Any]) -> str | None:
    if model.get("unk_id") is not None:  # Unigram: a place in its list of (piece, score)
        return str(model["vocab"][model["unk_id"]][0])
    return model.get("unk_token")


def _first(names: tuple[str, ...], added: list[str]) -> str | None:
    return next((name for name in names if name in added), None)
