"""What transformers does to a tokenizer.json, a row for each class that a checkpoint may name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True, slots=True)
class TokenizerClass:
    """The additions of a tokenizer class, as in the constructors of transformers 4.57.

    Attributes:
        tokens: Its special tokens where no file names others, by attribute.
        mask: Options of its mask token where only the token's text is known.
        additional: Further special tokens where no file names others.
        sets_normalizer: Whether `do_lower_case`, `strip_accents` and `tokenize_chinese_chars` of
            tokenizer_config.json, or their defaults, replace those of a BertNormalizer.
    """

    tokens: tuple[tuple[str, str], ...] = ()
    mask: Mapping[str, bool] = field(default_factory=dict)
    additional: tuple[str, ...] = ()
    sets_normalizer: bool = False


_BERT_TOKENS: Final = (
    ("unk_token", "[UNK]"),
    ("sep_token", "[SEP]"),
    ("pad_token", "[PAD]"),
    ("cls_token", "[CLS]"),
    ("mask_token", "[MASK]"),
)
_HERBERT_TOKENS: Final = (
    ("unk_token", "<unk>"),
    ("sep_token", "</s>"),
    ("pad_token", "<pad>"),
    ("cls_token", "<s>"),
    ("mask_token", "<mask>"),
)
_ROBERTA_TOKENS: Final = (("bos_token", "<s>"), ("eos_token", "</s>"), *_HERBERT_TOKENS)
_BERT: Final = TokenizerClass(_BERT_TOKENS, sets_normalizer=True)

# By name, without the `Fast` at its end.
CLASSES: Final[dict[str, TokenizerClass]] = {
    "BertTokenizer": _BERT,
    "DistilBertTokenizer": _BERT,
    "ElectraTokenizer": _BERT,
    "HerbertTokenizer": TokenizerClass(_HERBERT_TOKENS),
    "XLMRobertaTokenizer": TokenizerClass(_ROBERTA_TOKENS, {"lstrip": True}),
    "RobertaTokenizer": TokenizerClass(_ROBERTA_TOKENS, {"lstrip": True, "normalized": False}),
    "CamembertTokenizer": TokenizerClass(
        _ROBERTA_TOKENS,
        {"lstrip": True, "special": True},
        additional=("<s>NOTUSED", "</s>NOTUSED", "<unk>NOTUSED"),
    ),
    "PreTrainedTokenizer": TokenizerClass(),
    "TokenizersBackend": TokenizerClass(),  # what transformers 5 calls it
}
# Where no file names a class, by the type of the model.
CLASS_OF_MODEL: Final = {
    "bert": "BertTokenizer",
    "xlm-roberta": "XLMRobertaTokenizer",
    "roberta": "RobertaTokenizer",
    "camembert": "CamembertTokenizer",
    "distilbert": "DistilBertTokenizer",
}
# Python code in transformers: no tokenizer.json does the same.
SLOW_CLASSES: Final = ("BertJapaneseTokenizer", "BertweetTokenizer", "FlaubertTokenizer", "PhobertTokenizer")
