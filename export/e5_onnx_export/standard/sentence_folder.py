"""The files by which sentence-transformers, and the servers that follow it, know how a model is used."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from e5_onnx.model_folder.manifest import Pooling
from e5_onnx.recipes import Recipe, Role
from e5_onnx_export.checkpoint.checkpoint_folder import MODULES_NAME
from e5_onnx_export.checkpoint.prompts import PROMPTS_NAME
from e5_onnx_export.checkpoint.transformer_file import LENGTH_NAME
from e5_onnx_export.recipe.detection import EncodingChoice
from e5_onnx_export.standard.hf_folder import write_json

POOLING_FOLDER: Final = "1_Pooling"

_MODULES: Final = (("Transformer", ""), ("Pooling", POOLING_FOLDER), ("Normalize", "2_Normalize"))
_MODES: Final[dict[Pooling, str]] = {"mean": "pooling_mode_mean_tokens", "cls": "pooling_mode_cls_token"}
_OTHER_MODES: Final = ("pooling_mode_max_tokens", "pooling_mode_mean_sqrt_len_tokens")
_PROMPTED: Final[tuple[Role, ...]] = ("query", "document")


def write_sentence_files(choice: EncodingChoice, dimension: int, folder: Path) -> None:
    """Writes modules.json, the pooling's config, the length and the prompts.

    Args:
        choice: The recipe that they describe.
        dimension: The dimension of the vectors.
        folder: A Hugging Face folder.
    """
    modules = [
        {"idx": index, "name": str(index), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for index, (kind, path) in enumerate(_MODULES)
    ]
    write_json(folder / MODULES_NAME, modules)
    modes = dict.fromkeys((*_MODES.values(), *_OTHER_MODES), False) | {_MODES[choice.pooling]: True}
    write_json(folder / POOLING_FOLDER / "config.json", {"word_embedding_dimension": dimension, **modes})
    write_json(folder / LENGTH_NAME, {"max_seq_length": choice.max_tokens, "do_lower_case": False})
    prompts = sentence_prompts(choice.recipe)
    write_json(
        folder / PROMPTS_NAME,
        {"prompts": prompts, "default_prompt_name": None, "similarity_fn_name": "cosine"},
    )


def sentence_prompts(recipe: Recipe) -> dict[Role, str]:
    """Returns what stands before a text, by role.

    A prompt of sentence-transformers is nothing but that: a role whose template also has words after the
    text, or an instruction for which there is no default, has none.
    """
    prompts = {}
    for role in _PROMPTED:
        if role == "query" and recipe.takes_task and recipe.default_task is None:
            continue
        template = recipe.template(role)
        if not template.after:
            prompts[role] = template.before
    return prompts
