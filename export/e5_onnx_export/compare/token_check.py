"""Token ids of the exported tokenizer against those of transformers, where that is installed."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Final

from e5_onnx.model_folder.manifest import TOKENIZER_NAME
from e5_onnx.tokens.tokenization import TextTokenizer
from e5_onnx_export.checkpoint.checkpoint_folder import CONFIG_NAME, MODULES_NAME
from e5_onnx_export.checkpoint.files import read_json_object
from e5_onnx_export.checkpoint.transformer_file import TransformerFile, read_transformer_file
from e5_onnx_export.compare.samples import Samples
from e5_onnx_export.context import ExportContext
from e5_onnx_export.errors import CheckpointError
from e5_onnx_export.reference.foreign import foreign_tool

_SHOWN: Final = 6


def check_tokens(context: ExportContext, tokenizer: TextTokenizer, samples: Samples) -> None:
    """Compares the ids of whole texts, templates and special tokens included, before any cutting.

    Args:
        context: Export. Without a folder, with the reference `none` or without transformers nothing is done.
        tokenizer: The tokenizer of the exported folder.
        samples: The texts.

    Raises:
        CheckpointError: If a text gets other ids; it names the text and the ids.
        ToolError: If transformers cannot open the tokenizer.
    """
    folder = context.checkpoint.encoder_folder
    if context.request.reference == "none" or folder is None or find_spec("transformers") is None:
        return
    file = _transformer_file(context)
    # sentence-transformers alone makes texts lower case before all else; its vectors show whether we do.
    if file.lower_case:
        return
    with foreign_tool("transformers", extra="reference"):
        from transformers import AutoTokenizer, __version__

        theirs = AutoTokenizer.from_pretrained(str(folder), local_files_only=True, **file.tokenizer_options)
    for sample in samples.texts:
        template = context.choice.recipe.template(sample.role)
        ours = tokenizer.tokenize(sample.text, template).ids.tolist()
        with foreign_tool("transformers", extra="reference"):
            expected = theirs(template.before + sample.text + template.after)["input_ids"]
        if ours != expected:
            reason = f"transformers {__version__} makes other tokens of {sample.text!r:.80}: "
            raise CheckpointError(TOKENIZER_NAME, reason + _difference(ours, expected))


def _transformer_file(context: ExportContext) -> TransformerFile:
    top, folder = context.checkpoint.folder, context.checkpoint.encoder_folder
    if top is None or folder is None or not (top / MODULES_NAME).exists():
        return TransformerFile()
    return read_transformer_file(folder, read_json_object(folder / CONFIG_NAME))


def _difference(ours: Sequence[int], theirs: Sequence[int]) -> str:
    first = next(
        (at for at, pair in enumerate(zip(ours, theirs, strict=False)) if pair[0] != pair[1]),
        min(len(ours), len(theirs)),
    )
    end = first + _SHOWN
    return (
        f"from token {first} on {list(theirs[first:end])}, where the exported tokenizer makes "
        f"{list(ours[first:end])}. Save the tokenizer as transformers uses it, "
        "`AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)`, and export again"
    )
