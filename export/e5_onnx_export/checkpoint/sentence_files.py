"""What sentence-transformers' files say of a model: pooling, length, prompts. All of them are optional."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from e5_onnx.manifest import TOKENIZER_NAME, Pooling
from e5_onnx_export.checkpoint.files import read_json, read_json_object
from e5_onnx_export.checkpoint.model_folder import MODULES_NAME, beside, encoder_folder
from e5_onnx_export.checkpoint.tokenizer_file import read_tokenizer_facts
from e5_onnx_export.errors import CheckpointError, RecipeError, UnsupportedModelError

LENGTH_NAME: Final = "sentence_bert_config.json"
PROMPTS_NAME: Final = "config_sentence_transformers.json"

_LIBRARY: Final = "sentence_transformers."
_MODULES: Final = ("Transformer", "Pooling", "Normalize")
_POOLINGS: Final[dict[str, Pooling]] = {
    "mean": "mean",
    "cls": "cls",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
}
# What encode_query and encode_document of sentence-transformers look for, in this order.
_QUERY_PROMPTS: Final = ("query",)
_DOCUMENT_PROMPTS: Final = ("document", "passage", "corpus")


@dataclass(frozen=True, slots=True)
class Prompts:
    """Texts put before a query and before a document; `unused` are the names of others in the file."""

    query: str
    document: str
    unused: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SentenceFiles:
    """What the files say; None for what they do not.

    Attributes:
        pooling: How token vectors become one.
        normalizes: Whether a Normalize module follows.
        max_tokens: The longest text, in tokens.
        prompts: What is written before a text.
    """

    pooling: Pooling | None = None
    normalizes: bool | None = None
    max_tokens: int | None = None
    prompts: Prompts | None = None


def read_sentence_files(folder: Path, source: str) -> SentenceFiles:
    """Reads modules.json, its pooling's config, the length and the prompts.

    Args:
        folder: A checkpoint.
        source: Its name, for messages.

    Returns:
        What they say.

    Raises:
        UnsupportedModelError: If they ask for something other than mean or CLS pooling and normalisation.
        CheckpointError: If a file is damaged.
        RecipeError: If a prompt cannot be written as a template.
    """
    kinds, pooling = _read_modules(folder, source)
    return SentenceFiles(
        pooling=pooling,
        normalizes="Normalize" in kinds if kinds else None,
        max_tokens=_read_length(encoder_folder(folder), source),
        prompts=_read_prompts(folder),
    )


def _read_modules(folder: Path, source: str) -> tuple[list[str], Pooling | None]:
    if not (folder / MODULES_NAME).exists():
        return [], None
    modules = read_json(folder / MODULES_NAME)
    if not isinstance(modules, list) or not all(_is_module(module) for module in modules):
        raise CheckpointError(MODULES_NAME, f"holds {modules!r:.80}, not a list of modules")
    kinds = []
    pooling = None
    for module in modules:
        kind = _kind(module["type"], source)
        kinds.append(kind)
        if kind == "Pooling":
            pooling = _read_pooling(folder, module["path"], source)
    return kinds, pooling


def _is_module(module: object) -> bool:
    return (
        isinstance(module, Mapping)
        and isinstance(module.get("type"), str)
        and isinstance(module.get("path"), str)
    )


def _kind(module_type: str, source: str) -> str:
    kind = module_type.rpartition(".")[2]
    if not module_type.startswith(_LIBRARY):
        raise UnsupportedModelError(
            source, f"its module {module_type!r:.80} is code of its own, and remote code is never run"
        )
    if kind not in _MODULES:
        raise UnsupportedModelError(
            source, f"{MODULES_NAME} has a module of kind {kind}, and the graph has no such part"
        )
    return kind


def _read_pooling(folder: Path, path: str, source: str) -> Pooling:
    config = read_json_object(beside(folder, path) / "config.json")
    modes = {key for key, value in config.items() if key.startswith("pooling_mode_") and value is True}
    named = config.get("pooling_mode")
    if named is not None:
        modes = {named} if isinstance(named, str) else set(map(str, named))
    if len(modes) != 1 or not modes <= _POOLINGS.keys():
        raise UnsupportedModelError(
            source,
            f"it pools by {' and '.join(sorted(modes)) or 'nothing'}, where only mean or CLS alone is known",
        )
    if config.get("include_prompt") is False:
        raise UnsupportedModelError(
            source, "it leaves the prompt's tokens out of the pooling (include_prompt)"
        )
    return _POOLINGS[modes.pop()]


def _read_length(folder: Path, source: str) -> int | None:
    if not (folder / LENGTH_NAME).exists():
        return None
    values = read_json_object(folder / LENGTH_NAME)
    if values.get("do_lower_case") is True and not read_tokenizer_facts(folder / TOKENIZER_NAME).lower_cases:
        raise UnsupportedModelError(
            source,
            f"{LENGTH_NAME} asks for lower-cased text (do_lower_case), which its tokenizer does not make",
        )
    length = values.get("max_seq_length")
    if length is None:
        return None
    if not isinstance(length, int) or isinstance(length, bool) or length < 1:
        raise CheckpointError(LENGTH_NAME, f"max_seq_length is {length!r:.80}, not a positive number")
    return length


def _read_prompts(folder: Path) -> Prompts | None:
    if not (folder / PROMPTS_NAME).exists():
        return None
    values = read_json_object(folder / PROMPTS_NAME)
    prompts = values.get("prompts") or {}
    if not isinstance(prompts, dict) or not all(isinstance(prompt, str) for prompt in prompts.values()):
        raise CheckpointError(PROMPTS_NAME, f"prompts is {prompts!r:.80}, not an object of texts")
    for name, prompt in prompts.items():
        _refuse_placeholders(name, prompt)
    default = values.get("default_prompt_name")
    used: set[str] = set()
    query, document = (
        _first(prompts, (*names, default), used) for names in (_QUERY_PROMPTS, _DOCUMENT_PROMPTS)
    )
    unused = tuple(sorted(name for name, prompt in prompts.items() if prompt and name not in used))
    # sentence-transformers 5 writes empty prompts for every model: they say nothing.
    return Prompts(query, document, unused) if query or document or unused else None


def _first(prompts: Mapping[str, str], names: tuple[Any, ...], used: set[str]) -> str:
    for name in names:
        if name in prompts:
            used.add(name)
            return prompts[name]
    return ""


def _refuse_placeholders(name: str, prompt: str) -> None:
    if "{text}" in prompt or "{task}" in prompt:
        raise RecipeError(f"{PROMPTS_NAME}: prompt {name!r} contains a placeholder: {prompt!r:.80}")
