"""A model on the Hugging Face hub, downloaded into the hub's own cache."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from huggingface_hub import constants, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from e5_onnx.model_folder.manifest import TOKENIZER_NAME
from e5_onnx_export.checkpoint.base import Checkpoint
from e5_onnx_export.checkpoint.bin import BIN_INDEX_NAME, BIN_NAME
from e5_onnx_export.checkpoint.checkpoint_folder import CONFIG_NAME, MODULES_NAME, encoder_folder
from e5_onnx_export.checkpoint.large_files import fetch_large_files
from e5_onnx_export.checkpoint.local import open_checkpoint_folder
from e5_onnx_export.checkpoint.missing_files import ADAPTER_CONFIG_NAME
from e5_onnx_export.checkpoint.prompts import PROMPTS_NAME
from e5_onnx_export.checkpoint.tokenizer_settings import (
    ADDED_TOKENS_NAME,
    SPECIAL_TOKENS_NAME,
    TOKENIZER_CONFIG_NAME,
)
from e5_onnx_export.checkpoint.transformer_file import TRANSFORMER_FILE_NAMES
from e5_onnx_export.checkpoint.weights import INDEX_NAME, SINGLE_NAME
from e5_onnx_export.errors import HubError, SourceError, SourceNotFoundError

# Downloads by the Xet protocol begin a file again after an interruption (xet-core#358); plain HTTP goes on.
constants.HF_HUB_DISABLE_XET = True

# Of the encoder, which may be in a folder of its own. No code, no other framework's weights, no ONNX files.
_ENCODER_FILES: Final = (
    CONFIG_NAME,
    TOKENIZER_NAME,
    SINGLE_NAME,
    INDEX_NAME,
    "model-?????-of-?????.safetensors",
    ADAPTER_CONFIG_NAME,
    TOKENIZER_CONFIG_NAME,
    SPECIAL_TOKENS_NAME,
    ADDED_TOKENS_NAME,
    *TRANSFORMER_FILE_NAMES,
)
# Modules have folders such as 1_Pooling.
_DENSE: Final = "?_Dense"
_FILES: Final = (MODULES_NAME, "?_*/config.json", f"{_DENSE}/{SINGLE_NAME}", PROMPTS_NAME, "README.md")
_PICKLES: Final = (BIN_NAME, BIN_INDEX_NAME, "pytorch_model-?????-of-?????.bin")
# Whatever old versions of sentence-transformers called it: 0_Transformer, 0_BERT, ...
_ENCODER_FOLDER: Final = "0_*/"
_LOG_IN: Final = "log in with `hf auth login` or set HF_TOKEN"


def open_hub_model(model: str, *, revision: str | None = None) -> Checkpoint:
    """Downloads what is needed of a model, or takes it from the hub's cache, and opens it.

    Interrupted downloads are resumed. HF_HUB_OFFLINE, HF_HOME, HF_ENDPOINT and HF_TOKEN are honoured.

    Args:
        model: `organisation/model`.
        revision: A branch, tag or commit; None for the main branch.

    Returns:
        The checkpoint; its revision is the commit.

    Raises:
        SourceNotFoundError: If the hub has no such model or revision.
        HubError: If it cannot be downloaded and is not in the cache.
        SourceError: Whatever `open_checkpoint_folder` raises.
    """
    in_its_folder = tuple(_ENCODER_FOLDER + file for file in _ENCODER_FILES)
    folder = _download(model, revision, (*_FILES, *_ENCODER_FILES, *in_its_folder))
    pickles = _pickles_needed(folder)
    if pickles:
        # By commit: the branch may have moved on since.
        folder = _download(model, folder.name, pickles)
    _refuse_incomplete_cache(model, folder)
    return open_checkpoint_folder(folder, name=model, revision=folder.name)


def _pickles_needed(folder: Path) -> tuple[str, ...]:
    """Weights of the parts that have no safetensors."""
    parts = (encoder_folder(folder), *sorted(folder.glob(_DENSE)))
    lacking = [
        part for part in parts if not any((part / name).exists() for name in (SINGLE_NAME, INDEX_NAME))
    ]
    return tuple((part / name).relative_to(folder).as_posix() for part in lacking for name in _PICKLES)


def _download(model: str, revision: str | None, files: tuple[str, ...]) -> Path:
    try:
        large = [pattern for pattern in files if pattern.endswith((".safetensors", ".bin"))]
        fetch_large_files(model, revision=revision, patterns=large)
        return Path(
            snapshot_download(model, revision=revision, allow_patterns=list(files), library_name="e5-onnx")
        )
    except HubError:
        raise
    # The one seam: the hub's errors, those of its HTTP library (requests or httpx) and of the disk.
    except Exception as error:
        raise explain(error, model, revision) from error


def _refuse_incomplete_cache(model: str, folder: Path) -> None:
    # Offline, the hub's library returns whatever part of the model it has.
    encoder = encoder_folder(folder)
    if (encoder / ADAPTER_CONFIG_NAME).exists():
        return
    weights = (SINGLE_NAME, INDEX_NAME, BIN_NAME, BIN_INDEX_NAME)
    missing = [name for name in (CONFIG_NAME, TOKENIZER_NAME) if not (encoder / name).exists()]
    if not any((encoder / name).exists() for name in weights):
        missing.append(SINGLE_NAME)
    if missing and constants.HF_HUB_OFFLINE:
        raise HubError(
            model,
            f"the cached copy has no {missing[0]} and HF_HUB_OFFLINE is set: unset it to download the rest",
        )


def explain(error: Exception, model: str, revision: str | None) -> SourceError:
    """Returns our error for one that the hub's library raised.

    Args:
        error: Any exception of the hub's library, of its HTTP library or of the disk.
        model: The model that was asked for.
        revision: The revision that was asked for.
    """
    for kind, explain in _EXPLANATIONS:
        if isinstance(error, kind):
            return explain(error, model, revision)
    return HubError(
        model,
        f"{_first_line(error)}; what has arrived is kept, so the same command goes on where this one stopped",
    )


def _not_in_cache(error: Exception, model: str, revision: str | None) -> SourceError:
    what = "it is not in the cache" if revision is None else f"revision {revision!r} is not in the cache"
    if constants.HF_HUB_OFFLINE:
        reason = f"{what} and HF_HUB_OFFLINE is set: unset it to download the model once"
    else:
        cause = _first_line(error.__cause__ or error)
        reason = f"{what} and the hub cannot be reached ({cause}): check the connection and proxy"
    return HubError(model, f"{reason}; there is no folder of this name here either")


def _gated(error: Exception, model: str, revision: str | None) -> SourceError:
    return HubError(model, f"its owners ask for consent: accept their terms on its page, then {_LOG_IN}")


def _no_such_revision(error: Exception, model: str, revision: str | None) -> SourceError:
    return SourceNotFoundError(model, f"the hub has this model, but no revision {revision!r}")


def _no_such_model(error: Exception, model: str, revision: str | None) -> SourceError:
    return SourceNotFoundError(
        model, f"there is no such folder here, and no such model on the hub; if it is private, {_LOG_IN}"
    )


def _not_an_id(error: Exception, model: str, revision: str | None) -> SourceError:
    return SourceNotFoundError(
        model, f"there is no such folder here, and it is not a model's id on the hub ({_first_line(error)})"
    )


def _refused(error: Exception, model: str, revision: str | None) -> SourceError:
    status = getattr(getattr(error, "response", None), "status_code", None)
    remedy = _LOG_IN if status in (401, 403) else "try again later"
    return HubError(model, f"the hub answered with status {status}: {remedy}")


def _first_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]:.200}"


# Derived classes before their bases.
_EXPLANATIONS: Final[
    tuple[tuple[type[Exception], Callable[[Exception, str, str | None], SourceError]], ...]
] = (
    (LocalEntryNotFoundError, _not_in_cache),
    (GatedRepoError, _gated),
    (RevisionNotFoundError, _no_such_revision),
    (RepositoryNotFoundError, _no_such_model),
    (HFValidationError, _not_an_id),
    (HfHubHTTPError, _refused),
)
