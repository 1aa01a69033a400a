"""Sentences on folders that hold no model that can be read: what is there instead, and what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from e5_onnx.model_folder.manifest import TOKENIZER_NAME
from e5_onnx_export.checkpoint.checkpoint_folder import CONFIG_NAME
from e5_onnx_export.checkpoint.files import read_json_object
from e5_onnx_export.checkpoint.tokenizer_classes import SLOW_CLASSES
from e5_onnx_export.errors import CheckpointError

ADAPTER_CONFIG_NAME: Final = "adapter_config.json"

_ADAPTER_FILES: Final = (ADAPTER_CONFIG_NAME, "adapter_model.safetensors", "adapter_model.bin")
_MERGE: Final = (
    "`peft.AutoPeftModelForFeatureExtraction.from_pretrained(FOLDER).merge_and_unload()"
    ".save_pretrained(MERGED)`"
)
_CONVERT: Final = "convert them with transformers 4, `AutoModel.from_pretrained(FOLDER, {flag}=True)"
_NO_INDEX: Final = "one of several, and the index of them is missing", "copy or download the model again"
_OTHER_NAME: Final = "under a name that transformers does not look for", ""
# Weights that are not read: what their files are called, what is wrong with them, what to do.
_OTHER_WEIGHTS: Final = (
    ("*-of-*.safetensors", *_NO_INDEX),
    ("*-of-*.bin", *_NO_INDEX),
    ("*.safetensors", *_OTHER_NAME),
    ("*model*.bin", *_OTHER_NAME),
    ("*.h5", "TensorFlow's", f"{_CONVERT.format(flag='from_tf')}.save_pretrained(FOLDER)`"),
    ("*.msgpack", "Flax's", f"{_CONVERT.format(flag='from_flax')}.save_pretrained(FOLDER)`"),
    ("*.onnx", "an ONNX graph's", "export from the checkpoint that the graph was made from"),
    ("*.gguf", "llama.cpp's", "export from the checkpoint that the file was made from"),
)


def refuse_adapter(folder: Path) -> None:
    """Refuses a folder with an adapter in it, alone or beside a model.

    transformers and sentence-transformers load an adapter that lies beside a model: leaving it out would give
    other vectors than theirs.

    Raises:
        CheckpointError: If there is one.
    """
    found = [name for name in _ADAPTER_FILES if (folder / name).exists()]
    if not found:
        return
    base, kind = _base(folder), _kind(folder)
    alone = not (folder / CONFIG_NAME).exists()
    what = f"is of {kind} of {base}, and not of a whole model" if alone else f"is of {kind} beside a model"
    otherwise = "" if alone else f"; if it does not belong to the model, remove {' and '.join(found)}"
    raise CheckpointError(
        found[0],
        f"{what}: merge it into its base, {_MERGE}, and put the tokenizer's and sentence-transformers' files "
        f"beside the result{otherwise}",
    )


def no_config(folder: Path) -> CheckpointError:
    """Returns the error for a folder without config.json."""
    inner = sorted(file.parent.name for file in folder.glob(f"*/{CONFIG_NAME}") if _is_whole(file.parent))
    where = f", but {' and '.join(inner)} in it has one: give that folder" if inner else ""
    return CheckpointError(
        CONFIG_NAME, f"is missing from {folder}: it is not a Hugging Face model folder{where}"
    )


def no_weights(folder: Path, known: tuple[str, ...]) -> CheckpointError:
    """Returns the error for a folder without a known weight file."""
    missing = f"is missing from {folder}, and so are {', '.join(known[1:-1])} and {known[-1]}"
    for pattern, wrong, remedy in _OTHER_WEIGHTS:
        # Not deeper: a folder may hold anything.
        found = sorted(file for at in ("", "*/") for file in folder.glob(at + pattern) if file.is_file())
        if found:
            then = f": {remedy}" if remedy else ""
            name = found[0].relative_to(folder).as_posix()
            return CheckpointError(known[0], f"{missing}. The weights in {name} are {wrong}{then}")
    return CheckpointError(known[0], f"{missing}: there are no weights")


def no_tokenizer(folder: Path) -> CheckpointError:
    """Returns the error for a folder without tokenizer.json."""
    missing = f"is missing from {folder}"
    own = _tokenizer_class(folder)
    if own in SLOW_CLASSES:
        return CheckpointError(
            TOKENIZER_NAME,
            f"{missing}, and there can be none: {own} is code in Python, without a form for the `tokenizers` "
            "library, which e5-onnx runs. The model cannot be exported",
        )
    return CheckpointError(
        TOKENIZER_NAME,
        f"{missing}: save the fast tokenizer there with transformers, "
        "`AutoTokenizer.from_pretrained(FOLDER, use_fast=True).save_pretrained(FOLDER)`. Where that writes "
        f"no {TOKENIZER_NAME}, the tokenizer is code in Python and the model cannot be exported",
    )


def _is_whole(folder: Path) -> bool:
    return any(folder.glob("*.safetensors")) or any(folder.glob("pytorch_model*.bin"))


def _base(folder: Path) -> str:
    base = _adapter_values(folder).get("base_model_name_or_path")
    return repr(base) if isinstance(base, str) and base else "another model"


def _kind(folder: Path) -> str:
    kind = _adapter_values(folder).get("peft_type", "LORA")
    return "a LoRA adapter" if kind == "LORA" else f"an adapter ({kind!s:.40})"


def _adapter_values(folder: Path) -> dict[str, object]:
    return read_json_object(folder / ADAPTER_CONFIG_NAME) if (folder / ADAPTER_CONFIG_NAME).exists() else {}


def _tokenizer_class(folder: Path) -> object:
    for name in ("tokenizer_config.json", CONFIG_NAME):
        if (folder / name).exists():
            found = read_json_object(folder / name).get("tokenizer_class")
            if found is not None:
                return found
    return None
