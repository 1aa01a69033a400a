"""Which tokens transformers adds to a tokenizer.json, from what its other files say.

The order and the conditions are those of `PreTrainedTokenizerBase._from_pretrained` and
`PreTrainedTokenizerFast.__init__` of transformers 4.57; version 5 does the same for the files that it writes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

from tokenizers import AddedToken

from e5_onnx_export.checkpoint.tokenizer_settings import TokenizerSettings

_NAMED: Final = (
    "bos_token",
    "eos_token",
    "unk_token",
    "sep_token",
    "pad_token",
    "cls_token",
    "mask_token",
)
_MASK: Final = "mask_token"
_ADDITIONAL: Final = "additional_special_tokens"
_EXTRA: Final = "extra_special_tokens"
_DECODER: Final = "added_tokens_decoder"
_OPTIONS: Final = ("single_word", "lstrip", "rstrip", "normalized", "special")

# A str or an AddedToken of the library, which says nothing of its types.
AnyToken: TypeAlias = Any


def tokens_to_add(settings: TokenizerSettings, own: Mapping[int, AddedToken]) -> list[AddedToken]:
    """Returns the tokens that transformers adds to a tokenizer, in its order.

    Args:
        settings: The settings of the files next to tokenizer.json.
        own: Added tokens of tokenizer.json, by id.

    Returns:
        New tokens, and such as are there already but matched in another way.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: If a file has a token that is none.
    """
    values = _special_values(settings)
    decoder = _decoder(settings, values, own)
    known = {token.content: token for token in (decoder if _DECODER in values else own).values()}
    special = _special_tokens(settings, values, known)
    present = {repr(token) for token in own.values()}
    new: list[AnyToken] = [token for _, token in sorted(decoder.items()) if repr(token) not in present]
    contents = [token.content for token in own.values()] + [_content(token) for token in new]
    # An AddedToken equals no text, so one that is there is added again: that sets how it is matched.
    new += [token for token in special if token not in contents and token not in new]
    names = {_content(token) for token in special}
    return [_as_added(token, names) for token in new]


def _special_values(settings: TokenizerSettings) -> dict[str, Any]:
    """Special tokens by attribute, from tokenizer_config.json or, where that lists none, the older file."""
    values = dict(settings.values)
    if _DECODER in values:
        return values
    for key, value in settings.special.items():
        if isinstance(value, dict) and "content" in value:
            values[key] = _token(value, special=True)
        elif key == _ADDITIONAL and isinstance(value, list):
            listed = values.get(_ADDITIONAL) or []
            tokens = [_token(token, special=True) if isinstance(token, dict) else token for token in value]
            values[key] = listed + [token for token in tokens if token not in listed]
        else:
            values[key] = value
    return values


def _decoder(
    settings: TokenizerSettings, values: Mapping[str, Any], own: Mapping[int, AddedToken]
) -> dict[int, AddedToken]:
    if _DECODER in values:
        return {int(index): _token(token) for index, token in values[_DECODER].items()}
    special = {_content(values[key]) for key in _NAMED if values.get(key) is not None}
    special |= {_content(token) for token in values.get(_ADDITIONAL) or ()}
    added = {
        int(index): AddedToken(content, normalized=content not in special, special=content in special)
        for content, index in settings.added.items()
    }
    return added | dict(own)


def _special_tokens(
    settings: TokenizerSettings, values: Mapping[str, Any], known: Mapping[str, AddedToken]
) -> list[AnyToken]:
    """All special tokens in transformers' order, each once."""
    found: list[AnyToken] = []
    named = dict(settings.kind.tokens) | _named(values, known)
    for key in _NAMED:
        token = named.get(key)
        if token and _content(token) not in map(_content, found):
            found.append(_masked(settings, token) if key == _MASK else token)
    additional = values.get(_ADDITIONAL)
    extra = values.get(_EXTRA) or ()
    for listed in (
        settings.kind.additional if additional is None else additional,
        extra.values() if isinstance(extra, Mapping) else extra,
    ):
        # Within a list one token may stand twice, matched in two ways: the last is the one.
        seen = {_content(token) for token in found}
        found += [_listed(token) for token in listed if _content(token) not in seen]
    return found


def _named(values: Mapping[str, Any], known: Mapping[str, AddedToken]) -> dict[str, AnyToken]:
    """The special tokens that the files name, None for those that they say there are not."""
    named = {key: values[key] for key in _NAMED if key in values}
    return {
        key: None if token is None else known.get(_content(token), _listed(token))
        for key, token in named.items()
    }


def _masked(settings: TokenizerSettings, token: AnyToken) -> AnyToken:
    mask = settings.kind.mask
    return AddedToken(token, **mask) if mask and isinstance(token, str) else token


def _listed(token: Any) -> AnyToken:  # noqa: ANN401 - as the file has it
    return token if isinstance(token, str) else _token(token)


def _as_added(token: AnyToken, special: Sequence[str] | set[str]) -> AddedToken:
    # `special` is passed where the token is made: whether it is normalised follows from it.
    made = isinstance(token, str)
    added: AddedToken = AddedToken(token, special=token in special) if made else token
    added.special = added.special or added.content in special
    return added


def _token(value: Any, *, special: bool | None = None) -> AddedToken:  # noqa: ANN401
    if isinstance(value, AddedToken):
        return value
    options = {key: value[key] for key in _OPTIONS if key in value}
    if special is not None:
        options["special"] = special
    return AddedToken(value["content"], **options)


def _content(token: Any) -> str:  # noqa: ANN401
    if isinstance(token, str):
        return token
    content: str = token.content if isinstance(token, AddedToken) else token["content"]
    return content
