"""README.md of a model folder: what it is, how to use it and how true it is, for people and for the hub."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from e5_onnx.model_folder.manifest import Manifest
from e5_onnx.recipes import Recipe
from e5_onnx_export.cards.parts import (
    POOLINGS,
    fenced,
    front_matter,
    join,
    linked_name,
    parity_section,
    provenance_section,
    recipe_section,
    table,
)

ACCURACY_BEGIN: Final = "<!-- accuracy:begin -->"
ACCURACY_END: Final = "<!-- accuracy:end -->"

_PRECISIONS: Final[dict[str, str]] = {
    "fp32": "32-bit floating point",
    "int8": "8-bit integers; activation scales are fixed at export or per token, never per batch",
    "int4": "4-bit integers in blocks",
    "int8-stock": "8-bit integers, as optimum's dynamic quantisation makes them",
}
_WHO_ADDS: Final = "`Embedder` and the command line add it; other programs must do so themselves."
_NO_ACCURACY: Final = "No retrieval or similarity figures have been measured for this folder yet."
_BASELINE: Final = """\
> This is a baseline to compare with, not a folder to use: activations have one scale for a whole batch, so a
> text's vector changes with the texts that happen to run beside it."""
_ON_A_GRID: Final = (
    "These figures flatter 4-bit weights: the weights of the source already lay on a 4-bit grid."
)


def model_card(manifest: Manifest) -> str:
    """Writes the card of a folder with the unpadded graph.

    Args:
        manifest: The content of its e5.json.

    Returns:
        Markdown with YAML front matter; the same manifest always gives the same text.
    """
    source, precision = manifest.source, manifest.precision
    return join(
        front_matter(
            source,
            manifest.architecture,
            ("onnx", "onnxruntime", "e5-onnx", "embeddings", precision),
            relation="" if precision == "fp32" else "quantized",
        ),
        f"# {source.name} as ONNX, {precision}",
        *_about(manifest),
        *_usage(manifest.recipe),
        *recipe_section(manifest.recipe, _vector(manifest), manifest.max_tokens, who_adds=_WHO_ADDS),
        *parity_section(manifest.parity),
        *_remarks(manifest),
        "## Accuracy",
        _between_markers(_NO_ACCURACY),
        *_files(manifest),
        *provenance_section(source, manifest.tools),
    )


def merge_accuracy(card: str, table: str) -> str:
    """Puts accuracy figures where the card keeps room for them, in place of any that stand there.

    Args:
        card: A card; where it has no room a section is added at its end.
        table: Markdown.

    Returns:
        The card with the table.
    """
    before, begin, rest = card.partition(ACCURACY_BEGIN)
    _, end, after = rest.partition(ACCURACY_END)
    if not (begin and end):
        return join(card.rstrip("\n"), "## Accuracy", _between_markers(table))
    return before + _between_markers(table) + after


def _about(manifest: Manifest) -> Iterator[str]:
    size = sum(entry.bytes for entry in manifest.files.values())
    yield (
        f"{linked_name(manifest.source)} for e5-onnx: texts to vectors of {manifest.dimension} numbers on a "
        f"plain CPU, without torch. Weights are {_PRECISIONS[manifest.precision]}; the folder has "
        f"{size / 1e6:.0f} MB and needs onnxruntime {manifest.onnxruntime_min} or newer."
    )
    if manifest.baseline:
        yield _BASELINE


def _usage(recipe: Recipe) -> Iterator[str]:
    must_say = recipe.takes_task and recipe.default_task is None
    argument, option = (', task="..."', " --task '...'") if must_say else ("", "")
    yield "## Use"
    yield fenced("sh", "pip install e5-onnx")
    yield fenced(
        "python",
        "from e5_onnx import Embedder",
        "",
        'with Embedder("path/to/this/folder") as embedder:',
        f'    queries = embedder.embed_queries(["How deep is the sea?"]{argument})',
        "    documents = embedder.embed_documents(",
        '        ["The sea is 3.7 km deep on average.", "Bread is baked from flour and water."]',
        "    )",
        "    print(queries @ documents.T)",
    )
    yield fenced(
        "sh",
        "e5 verify path/to/this/folder",
        "e5 embed path/to/this/folder documents.txt --role document --output vectors.npy",
        f"e5 search path/to/this/folder documents.txt 'How deep is the sea?'{option}",
    )
    yield (
        "Any ONNX program can run `model.onnx`: it takes `input_ids` and `attention_mask` (int64, batch x "
        "sequence) and gives `sentence_embedding` (float32, batch x dimension, of length 1)."
    )


def _vector(manifest: Manifest) -> str:
    layers = manifest.extra.get("projections", [])
    named = [f"a dense layer to {layer['dimension']} ({layer['activation']})" for layer in layers]
    return ", passed through ".join((POOLINGS[manifest.pooling], *named))


def _remarks(manifest: Manifest) -> Iterator[str]:
    if manifest.precision == "int4" and "Q4_0" in (manifest.source.note or ""):
        yield _ON_A_GRID
    kept = manifest.extra.get("kept_in_fp32")
    if kept:
        yield f"Kept in fp32, being the most sensitive: {', '.join(f'`{name}`' for name in kept)}."


def _files(manifest: Manifest) -> Iterator[str]:
    yield "## Files"
    entries = sorted(manifest.files.items())
    yield table(
        ("file", "bytes", "sha256"),
        [(f"`{name}`", f"{entry.bytes:,}", f"`{entry.sha256}`") for name, entry in entries],
    )
    yield (
        f"Fingerprint `{manifest.fingerprint}`: pin it with `Embedder(folder, fingerprint=...)`. "
        "Folders with the same one may share an index."
    )


def _between_markers(text: str) -> str:
    return f"{ACCURACY_BEGIN}\n{text.strip()}\n{ACCURACY_END}"
