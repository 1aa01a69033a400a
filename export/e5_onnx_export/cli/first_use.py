"""Where a model folder goes if nobody says, and how it is used."""

from __future__ import annotations

import shlex
from pathlib import Path

from e5_onnx.model_folder.folder import open_folder
from e5_onnx.model_folder.manifest import Precision
from e5_onnx_export.checkpoint import DEMO, is_hub_id
from e5_onnx_export.checkpoint.demo import SOURCE_NAME
from e5_onnx_export.errors import ExportRequestError
from e5_onnx_export.request import GraphKind

_QUERY, _DOCUMENT = "How deep is the sea?", "The sea is 3.7 km deep."


def default_out(source: str, precision: Precision, graph: GraphKind) -> Path:
    """Returns the folder of an export that names none: the model's own name, here.

    Args:
        source: A hub id or `demo`.
        precision: Appended if it is not fp32.
        graph: Appended if it is not packed.

    Raises:
        ExportRequestError: If the source is something else, whose name would be taken.
    """
    name = SOURCE_NAME if source == DEMO else source
    if Path(source).exists() or not is_hub_id(name):
        raise ExportRequestError(f"OUT is missing: name the folder to make of {source}")
    parts = [name.rpartition("/")[2]]
    parts += [] if precision == "fp32" else [precision]
    parts += [] if graph == "packed" else [graph]
    return Path("-".join(parts))


def first_use(folder: Path) -> str:
    """Returns three lines of Python and one command that use a model folder.

    Args:
        folder: A folder with the unpadded graph.

    Raises:
        FolderError: If it is not a sound model folder.
    """
    recipe = open_folder(folder).manifest.recipe
    must_say = recipe.takes_task and recipe.default_task is None
    argument, option = (', task="..."', " --task '...'") if must_say else ("", "")
    name = shlex.quote(str(folder))
    return (
        "\n"
        "from e5_onnx import Embedder\n"
        f"model = Embedder({str(folder)!r})\n"
        f'print(model.embed_queries("{_QUERY}"{argument}) @ model.embed_documents("{_DOCUMENT}"))\n'
        "\n"
        f"echo '{_DOCUMENT}' | e5 search {name} - '{_QUERY}'{option}\n"
    )
