"""Opens the tokenizer of a model folder, by the library that is chosen."""

from __future__ import annotations

from pathlib import Path
from typing import Final, get_args

from e5_onnx.errors import MissingExtraError, ModelLoadError, OptionError
from e5_onnx.model_folder.manifest import TOKENIZER_NAME, Manifest
from e5_onnx.tokens.tokenization import TextTokenizer, TokenizerChoice

_CHOICES: Final[tuple[TokenizerChoice, ...]] = get_args(TokenizerChoice)


def load_tokenizer(folder: Path) -> TextTokenizer:
    """Opens a folder's tokenizer.json, whether or not the folder has a manifest yet.

    Raises:
        ModelLoadError: If it cannot be read as a tokenizer.
    """
    # Each library is imported where it is used only: `tokenizers` alone takes 4 MB.
    from e5_onnx.tokens.full_tokenizer import FullTokenizer

    return FullTokenizer(folder / TOKENIZER_NAME)


def open_tokenizer(folder: Path, manifest: Manifest, choice: TokenizerChoice) -> TextTokenizer:
    """Opens the tokenizer of a model folder.

    Args:
        folder: The model folder.
        manifest: Its manifest.
        choice: `tokenizers`; or `tokie`; or `auto`: tokie where it is installed and was proved, at export and
            in the very version that is installed, to give the same tokens.

    Raises:
        OptionError: For another choice.
        ModelLoadError: If a file cannot be read, or tokie was chosen and the folder has no proof for it.
        MissingExtraError: If tokie was chosen and is not installed.
    """
    if choice not in _CHOICES:
        raise OptionError("tokenizer", choice, f"one of {', '.join(_CHOICES)}")
    if choice == "tokenizers":
        return load_tokenizer(folder)
    from e5_onnx.tokens.lean_tokenizer import check_proof, open_lean

    try:
        check_proof(manifest)
    except (MissingExtraError, ModelLoadError):
        if choice == "tokie":
            raise
        return load_tokenizer(folder)
    return open_lean(folder)
