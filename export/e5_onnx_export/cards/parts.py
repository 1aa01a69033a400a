"""What every exported folder's README.md has: front matter, recipe, parity and provenance."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from e5_onnx.model_folder.manifest import Architecture, Parity, Source
from e5_onnx.recipes import Recipe
from e5_onnx_export.cards.languages import languages
from e5_onnx_export.checkpoint.bodies import body_of

CARD_NAME: Final = "README.md"

# Without it the hub cannot say which library a model is for.
_LIBRARY: Final = "library_name: onnx"

POOLINGS: Final[dict[str, str]] = {
    "mean": "the mean of its tokens' vectors",
    "cls": "the vector of its first token",
}
_REFERENCES: Final = {
    "sentence-transformers": "the checkpoint run by sentence-transformers in fp32, from text to vector",
    "torch": "the checkpoint run by transformers and torch in fp32",
    "numpy": "the checkpoint run by a plain NumPy forward pass in fp32",
}
_MEASURES: Final = (
    ("max_abs", "largest difference of a component", "{:.1e}"),
    ("cosine_mean", "cosine, mean", "{:.7f}"),
    ("cosine_p1", "cosine, first percentile", "{:.7f}"),
    ("cosine_min", "cosine, lowest", "{:.7f}"),
    ("centred_cosine_mean", "centred cosine, mean", "{:.7f}"),
    ("centred_cosine_min", "centred cosine, lowest", "{:.7f}"),
)


def front_matter(source: Source, architecture: Architecture, tags: Iterable[str], *, relation: str) -> str:
    """Returns the YAML that the hub reads.

    Args:
        source: The source of the export.
        architecture: Its shape.
        tags: Words to be found by.
        relation: The folder's relation to its base model, in the hub's words; empty for none.
    """
    lines = ["---"]
    if source.license is not None:
        lines.append(f"license: {json.dumps(source.license)}")
    if _is_of_the_hub(source):
        lines.append(f"base_model: {json.dumps(source.name)}")
        if relation:
            lines.append(f"base_model_relation: {relation}")
    spoken = languages(source.name, multilingual=body_of(architecture).multilingual)
    if spoken:
        lines.append(f"language: {json.dumps(spoken)}")
    lines += [_LIBRARY, "pipeline_tag: sentence-similarity", "tags:", *(f"- {tag}" for tag in tags), "---"]
    return "\n".join(lines)


def with_library(card: str) -> str:
    """Returns a card whose front matter, if it has one, names its library."""
    begin, opened, rest = card.partition("---\n")
    front, closed, _ = rest.partition("\n---\n")
    if begin or not opened or not closed or re.search(r"(?m)^library_name:", front):
        return card
    return f"{opened}{_LIBRARY}\n{rest}"


def recipe_section(recipe: Recipe, vector: str, max_tokens: int, *, who_adds: str) -> Iterator[str]:
    """Yields the blocks that say what stands around a text and what becomes of it.

    The templates are JSON strings, so that every space and line break can be seen.

    Args:
        recipe: The templates.
        vector: The definition of a text's vector, before it is scaled.
        max_tokens: The longest text.
        who_adds: A sentence on which programs add the templates.
    """
    templates = {"query": recipe.query_template, "document": recipe.document_template}
    if recipe.default_task is not None:
        templates["default_task"] = recipe.default_task
    yield "## Recipe"
    yield f"Recipe `{recipe.name}`: what stands around a text, as JSON strings. {who_adds}"
    yield fenced("json", json.dumps(templates, indent=2, ensure_ascii=False))
    yield (
        f"A text's vector is {vector}, scaled to length 1. The model takes {max_tokens} tokens, "
        "templates and special tokens included."
    )


def parity_section(parity: Parity) -> Iterator[str]:
    """Yields the blocks that say how far the vectors are from the reference's."""
    yield "## Parity"
    if not parity.checked:
        yield "The vectors were **not** compared with a reference."
        return
    yield (
        f"{parity.texts} texts against {_REFERENCES.get(parity.reference, parity.reference)}. "
        "A centred cosine is taken after the mean vector has been subtracted from both sides."
    )
    measured = ((label, shown, getattr(parity, name)) for name, label, shown in _MEASURES)
    rows = [(label, shown.format(value)) for label, shown, value in measured if value is not None]
    yield table(("measure", "value"), rows)


def provenance_section(source: Source, tools: Mapping[str, str]) -> Iterator[str]:
    """Yields the blocks that say what the folder was made from, and with which versions of what."""
    yield "## Where it comes from"
    revision = f", revision `{source.revision}`" if source.revision else ""
    lines = [f"- source: {linked_name(source)}{revision}"]
    if source.note is not None:
        lines.append(f"- note: {source.note}")
    lines.append(f"- licence: {source.license or 'not stated'}")
    lines.append(f"- sha256 of the weights it was made from: `{source.weights_sha256}`")
    lines.append(f"- made with {', '.join(f'{tool} {version}' for tool, version in tools.items())}")
    yield "\n".join(lines)


def linked_name(source: Source) -> str:
    """Returns the source's name, with a link where it is on the hub."""
    if _is_of_the_hub(source):
        return f"[{source.name}](https://huggingface.co/{source.name})"
    return f"`{source.name}`"


def fenced(language: str, *lines: str) -> str:
    """Returns a block of code."""
    return "\n".join((f"```{language}", *lines, "```"))


def table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """Returns a table."""
    lines = [header, ("---",) * len(header), *rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in lines)


def join(*blocks: str) -> str:
    """Returns a text of blocks with an empty line between them."""
    return "\n\n".join(blocks) + "\n"


def _is_of_the_hub(source: Source) -> bool:
    # A local folder is called by its last part, which has no slash.
    return "/" in source.name
