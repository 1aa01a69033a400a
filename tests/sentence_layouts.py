"""Tiny checkpoints in the layouts that people publish and save, for the conformance suite."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from checkpoint_folders import encoded, write_config, write_safetensors, write_shards
from tiny_models import BERT, DISTILBERT, ROBERTA, XLM_ROBERTA, tiny_weights
from tiny_tokenizers import write_tiny_bert_tokenizer, write_tiny_bpe_tokenizer, write_tiny_tokenizer

Kind = Literal["bert", "e5-small", "xlm-roberta", "roberta", "camembert", "distilbert"]
Edit = Callable[[Path], object]

# Two rows to spare for added tokens; 64 tokens fit.
_SIZES: dict[str, Any] = {"hidden": 32, "intermediate": 64, "vocabulary": 302}
_SHAPES = {
    "bert": replace(BERT, positions=64, **_SIZES),
    "e5-small": replace(BERT, positions=64, **_SIZES),
    "distilbert": replace(DISTILBERT, positions=64, **_SIZES),
    "xlm-roberta": replace(XLM_ROBERTA, positions=66, **_SIZES),
    "roberta": replace(ROBERTA, positions=66, **_SIZES),
    "camembert": replace(ROBERTA, positions=66, **_SIZES),
}
# Tokenizer and its class.
_TOKENIZERS = {
    "bert": (write_tiny_bert_tokenizer, "BertTokenizer"),
    "distilbert": (write_tiny_bert_tokenizer, "DistilBertTokenizer"),
    "e5-small": (write_tiny_tokenizer, "XLMRobertaTokenizer"),
    "xlm-roberta": (write_tiny_tokenizer, "XLMRobertaTokenizer"),
    "roberta": (write_tiny_bpe_tokenizer, "RobertaTokenizer"),
    "camembert": (write_tiny_tokenizer, "PreTrainedTokenizerFast"),
}
_BERT_TOKENS = {"unk": "[UNK]", "sep": "[SEP]", "pad": "[PAD]", "cls": "[CLS]", "mask": "[MASK]"}
_ROBERTA_TOKENS = {
    "bos": "<s>",
    "eos": "</s>",
    "unk": "<unk>",
    "sep": "</s>",
    "pad": "<pad>",
    "cls": "<s>",
    "mask": "<mask>",
}

_XLMR_SPLIT = {
    "type": "Sequence",
    "pretokenizers": [
        {"type": "WhitespaceSplit"},
        {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True},
    ],
}


@dataclass(frozen=True)
class Layout:
    """A checkpoint: a kind of encoder, what differs from its usual files, and the flags of its export.

    Attributes:
        prompts: What sentence-transformers is given for a query and a document; None for its own.
        refusal: A part of the sentence by which it is refused, or None where it is exported.
    """

    name: str
    kind: Kind
    edits: tuple[Edit, ...] = ()
    flags: tuple[str, ...] = ("--recipe", "plain")
    prompts: tuple[str, str] | None = None
    refusal: str | None = None


def write(path: str, values: Any) -> Edit:
    def edit(folder: Path) -> None:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(json.dumps(values), "utf-8")

    return edit


def change(path: str, **values: Any) -> Edit:
    def edit(folder: Path) -> None:
        file = folder / path
        found = json.loads(file.read_text("utf-8")) if file.exists() else {}
        write(path, found | values)(folder)

    return edit


def nested(path: str, part: str, **values: Any) -> Edit:
    def edit(folder: Path) -> None:
        found = json.loads((folder / path).read_text("utf-8"))
        found[part] |= values
        write(path, found)(folder)

    return edit


def drop(*paths: str) -> Edit:
    def edit(folder: Path) -> None:
        for path in paths:
            (folder / path).unlink()

    return edit


def weights(kind: Kind, dtype: str = "F32", prefix: str = "", shards: int = 0) -> Edit:
    def edit(folder: Path) -> None:
        shape = _SHAPES[kind]
        tensors = encoded(tiny_weights(shape), dtype, prefix, architecture=shape)
        if shards:
            (folder / "model.safetensors").unlink()
            write_shards(folder, tensors, shards)
        else:
            write_safetensors(folder / "model.safetensors", tensors)

    return edit


def build(folder: Path, layout: Layout) -> Path:
    """Writes a sentence-transformers folder as version 3 saves it, and then what differs."""
    folder.mkdir()
    shape = _SHAPES[layout.kind]
    changes = {"model_type": "camembert", "architectures": ["CamembertModel"]}
    write_config(folder, shape, **(changes if layout.kind == "camembert" else {}))
    weights(layout.kind)(folder)
    write_tokenizer, tokenizer_class = _TOKENIZERS[layout.kind]
    write_tokenizer(folder / "tokenizer.json")
    change("tokenizer.json", truncation=None, padding=None)(folder)
    if tokenizer_class == "XLMRobertaTokenizer":
        # The shape of the published ones, which transformers 5 builds anew from the vocabulary.
        change("tokenizer.json", normalizer=None, pre_tokenizer=_XLMR_SPLIT)(folder)
    tokens = _BERT_TOKENS if write_tokenizer is write_tiny_bert_tokenizer else _ROBERTA_TOKENS
    named = {f"{name}_token": token for name, token in tokens.items()}
    write("tokenizer_config.json", {"tokenizer_class": tokenizer_class, "model_max_length": 64, **named})(
        folder
    )
    write("special_tokens_map.json", named)(folder)
    write("modules.json", modules("models.Transformer", "models.Pooling", "models.Normalize"))(folder)
    write("1_Pooling/config.json", pooling("mean"))(folder)
    write("sentence_bert_config.json", {"max_seq_length": 64, "do_lower_case": False})(folder)
    write("config_sentence_transformers.json", {"__version__": {"sentence_transformers": "3.0.1"}})(folder)
    for edit in layout.edits:
        edit(folder)
    return folder


def modules(
    *kinds: str, paths: tuple[str, ...] = ("", "1_Pooling", "2_Normalize")
) -> list[dict[str, object]]:
    return [
        {"idx": index, "name": str(index), "path": path, "type": f"sentence_transformers.{kind}"}
        for index, (path, kind) in enumerate(zip(paths, kinds, strict=False))
    ]


def pooling(mode: str) -> dict[str, object]:
    flags = {"cls": "cls_token", "mean": "mean_tokens", "max": "max_tokens"}
    return {
        "word_embedding_dimension": 32,
        **{f"pooling_mode_{name}": kind == mode for kind, name in flags.items()},
    }


def prompts(default: str | None = None, **values: Any) -> Edit:
    return change("config_sentence_transformers.json", prompts=values, default_prompt_name=default)


# What version 5.4 and later write: no length, other names of modules, empty prompts.
SAVED_BY_5 = (
    write(
        "modules.json",
        modules(
            "base.modules.transformer.Transformer",
            "sentence_transformer.modules.pooling.Pooling",
            "sentence_transformer.modules.normalize.Normalize",
        ),
    ),
    write(
        "1_Pooling/config.json", {"embedding_dimension": 32, "pooling_mode": "mean", "include_prompt": True}
    ),
    write(
        "sentence_bert_config.json",
        {
            "transformer_task": "feature-extraction",
            "modality_config": {"text": {"method": "forward", "method_output_name": "last_hidden_state"}},
            "module_output_name": "token_embeddings",
        },
    ),
    change(
        "config_sentence_transformers.json",
        model_type="SentenceTransformer",
        prompts={"query": "", "document": ""},
        default_prompt_name=None,
    ),
)
# Version 6 with transformers 5 beside it: a config for Normalize, no special_tokens_map.json.
SAVED_BY_6 = (
    *SAVED_BY_5,
    write(
        "2_Normalize/config.json",
        {"module_input_name": "sentence_embedding", "module_output_name": "sentence_embedding"},
    ),
    drop("special_tokens_map.json"),
    change("tokenizer_config.json", backend="tokenizers", is_local=True, local_files_only=True),
)
