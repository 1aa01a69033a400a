"""Tiny tokenizers for tests, made with the `tokenizers` library; all have the tiny models' 300 tokens."""

from __future__ import annotations

import json
import string
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, normalizers, pre_tokenizers, processors
from tokenizers.models import BPE, Unigram, WordPiece

VOCABULARY_SIZE = 300
# What MiniLM's file does with 128: cut and pad whatever the caller wants.
BAKED_IN_LENGTH = 16

# By the kind of tokenizer.json.
TOKENIZER_CONFIGS: dict[str, dict[str, object]] = {
    "Unigram": {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<s>",
        "eos_token": "</s>",
        "unk_token": "<unk>",
        "sep_token": "</s>",
        "pad_token": "<pad>",
        "cls_token": "<s>",
        "mask_token": "<mask>",
    },
    "BPE": {
        "tokenizer_class": "RobertaTokenizer",
        "bos_token": "<s>",
        "eos_token": "</s>",
        "unk_token": "<unk>",
        "sep_token": "</s>",
        "pad_token": "<pad>",
        "cls_token": "<s>",
        "mask_token": "<mask>",
    },
    "WordPiece": {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "unk_token": "[UNK]",
        "sep_token": "[SEP]",
        "pad_token": "[PAD]",
        "cls_token": "[CLS]",
        "mask_token": "[MASK]",
    },
}

_WORDS = tuple(
    "the a of and to in is it for that what who where when how why was city river capital king moon sun tea "  # noqa: SIM905
    "bread water house book year red small large".split()
)
_TEMPLATE_WORDS = ("query", "passage", "Query", "Instruct", "Given", "web", "search", "relevant", "retrieve")
_SUFFIXES = ("ing", "ed", "er", "es", "ly", "en", "ch", "sh", "th", "qu", "ie", "ou")
_LETTERS = (
    "αβγδεθικλμνοπρστως"
    "абвгдежзийклмнопрстуыья"
    "ابتدرسعفقكلمنهوي"
    "אבהולמרשת"
    "अआकतनमरलसहाि"
    "กนมรสาไ"
    "가나다한국"
    "あいのはをカ"
    "東京的是中国"
    "äéñöüß"
    "😀❤"
)
# Private-use characters bring both vocabularies to their size.
_FILLER = [chr(0xE000 + index) for index in range(VOCABULARY_SIZE)]


def write_tiny_tokenizer(path: Path) -> Path:
    """Writes a tokenizer.json of XLM-R's shape: Unigram, Metaspace, `<s> $A </s>`, pad 1, `<mask>` last."""
    specials = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    pieces = [*specials, *_scored()[: VOCABULARY_SIZE - len(specials) - 1], ("<mask>", 0.0)]
    tokenizer = Tokenizer(Unigram(pieces, unk_id=3, byte_fallback=False))
    # Stands in for SentencePiece's Precompiled normaliser, which is 300 kB of tables.
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.NFKC(),
            normalizers.Replace(Regex(r"[\t\n\r]"), " "),
            normalizers.Replace(Regex(" {2,}"), " "),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    tokenizer.add_special_tokens(
        [AddedToken(name, normalized=False) for name in ("<s>", "<pad>", "</s>", "<unk>", "<mask>")]
    )
    return _save(tokenizer, path)


def write_plain_tiny_tokenizer(path: Path) -> Path:
    """Writes the same without its normaliser, which is not among those that tokie knows."""
    content = json.loads(write_tiny_tokenizer(path).read_text("utf-8"))
    content["normalizer"] = None
    path.write_text(json.dumps(content), "utf-8")
    return path


def write_tiny_bert_tokenizer(path: Path) -> Path:
    """Writes a tokenizer.json of BERT's shape, with truncation and padding baked in as MiniLM's has."""
    specials = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
    characters = string.ascii_lowercase + string.digits
    whole = list(dict.fromkeys([*(word.lower() for word in (*_WORDS, *_TEMPLATE_WORDS)), *characters]))
    pieces = [*specials, *whole, *string.punctuation, *(f"##{piece}" for piece in (*characters, *_SUFFIXES))]
    pieces += [letter for letter in _LETTERS if letter.lower() == letter and letter not in "äéñöü"]
    vocabulary = {piece: index for index, piece in enumerate((pieces + _FILLER)[:VOCABULARY_SIZE])}
    tokenizer = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]"))  # noqa: S106
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    tokenizer.add_special_tokens([AddedToken(name, normalized=False) for name in specials])
    tokenizer.enable_truncation(BAKED_IN_LENGTH)
    tokenizer.enable_padding(length=BAKED_IN_LENGTH, pad_id=0, pad_token="[PAD]")  # noqa: S106
    return _save(tokenizer, path)


def write_tiny_bpe_tokenizer(path: Path) -> Path:
    """Writes a tokenizer.json of RoBERTa's shape: byte-level BPE, `<s> $A </s>`, pad 1, `<mask>` last."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [
        ("t", "e"),
        ("te", "a"),
        ("Ġ", "tea"),
        ("Ġ", "t"),
        ("h", "e"),
        ("Ġt", "he"),
        ("Ġ", "a"),
        ("i", "n"),
    ]
    pieces = ["<s>", "<pad>", "</s>", "<unk>", *alphabet, *map("".join, merges)]
    vocabulary = {piece: index for index, piece in enumerate((pieces + _FILLER)[: VOCABULARY_SIZE - 1])}
    tokenizer = Tokenizer(BPE({**vocabulary, "<mask>": VOCABULARY_SIZE - 1}, merges, unk_token="<unk>"))  # noqa: S106
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    plain = [AddedToken(name, normalized=True) for name in ("<s>", "<pad>", "</s>", "<unk>")]
    tokenizer.add_special_tokens([*plain, AddedToken("<mask>", lstrip=True, normalized=False)])
    return _save(tokenizer, path)


def write_tokenizer_config(folder: Path, **changes: object) -> Path:
    """Writes the tokenizer_config.json of a folder's tiny tokenizer, whatever the model's body is."""
    kind = json.loads((folder / "tokenizer.json").read_text("utf-8"))["model"]["type"]
    path = folder / "tokenizer_config.json"
    inputs = {"model_input_names": ["input_ids", "attention_mask"]}
    path.write_text(json.dumps(TOKENIZER_CONFIGS[kind] | inputs | changes), "utf-8")
    return path


def _scored() -> list[tuple[str, float]]:
    """Pieces in the order of their ids; a longer piece beats the sum of its parts, as in a trained model."""
    words = [f"▁{word}" for word in (*_WORDS, *_TEMPLATE_WORDS)]
    printable = string.ascii_letters + string.digits + string.punctuation
    pieces = dict.fromkeys(["▁", *words, *_SUFFIXES, *printable, *_LETTERS, *_FILLER])
    # No two scores are equal: which of two equally good splits wins is not what the tests are about.
    return [(piece, -5.0 - index / 256 - 1.0 / len(piece)) for index, piece in enumerate(pieces)]


def _save(tokenizer: Tokenizer, path: Path) -> Path:
    tokenizer.save(str(path))
    return path
