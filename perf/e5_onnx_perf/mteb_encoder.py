"""A model folder as mteb 2.x wants a model: any of its tasks, with the right words on the right side.

>>> import mteb
>>> from e5_onnx_perf.mteb_encoder import E5OnnxEncoder
>>> mteb.evaluate(E5OnnxEncoder("e5-small-int8"), mteb.get_tasks(tasks=["STS17"]))  # doctest: +SKIP
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from e5_onnx import Embedder
from e5_onnx.errors import MissingExtraError
from e5_onnx_perf.accuracy.instructions import DOCUMENT, Side

try:
    from mteb.models import ModelMeta
    from mteb.models.abs_encoder import AbsEncoder
    from mteb.types import PromptType
except ImportError as error:
    raise MissingExtraError("mteb", "mteb") from error

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mteb.abstasks.task_metadata import TaskMetadata


# mteb, where it is not installed, has no types either.
class E5OnnxEncoder(AbsEncoder):  # type: ignore[misc]
    """A model folder behind mteb's EncoderProtocol.

    What mteb asks for goes through the folder's own recipe:

    ============  ===========================================  ========================
    recipe        queries, and both sides of symmetric tasks   documents
    ============  ===========================================  ========================
    e5-instruct   with the task's instruction, as mteb has it  as they are
    e5-prefix     `query: `; in symmetric tasks nothing        `passage: `
    plain         as they are                                  as they are
    ============  ===========================================  ========================

    Symmetric tasks are those for which mteb names no side. For models with prefixes it writes nothing there,
    and the published figures of multilingual-e5-small were made so; their authors recommend `query: `.

    Attributes:
        mteb_model_meta: Has a name and a revision of its own for each folder: mteb keeps results by these.
    """

    def __init__(self, folder: str | os.PathLike[str], *, threads: int | None = None) -> None:
        """Opens a model folder.

        Args:
            folder: A model folder.
            threads: The number of threads of the session; None chooses.

        Raises:
            FolderError: If it is not a sound model folder.
        """
        self._model = Embedder(folder, threads=threads, overflow="truncate", mode="throughput")
        manifest = self._model.manifest
        # Without one mteb would make up an empty one, and give every precision the same name.
        self.mteb_model_meta = ModelMeta.create_empty(
            {
                "name": f"e5-onnx/{manifest.source.name.rpartition('/')[2]}-{manifest.precision}",
                "revision": manifest.fingerprint,
                "embed_dim": manifest.dimension,
                "max_tokens": manifest.max_tokens,
            }
        )

    def encode(  # noqa: PLR0913 - mteb's own signature
        self,
        inputs: Iterable[dict[str, Any]],
        *,
        task_metadata: TaskMetadata,
        hf_split: str,
        hf_subset: str,
        prompt_type: PromptType | None = None,
        batch_size: int | None = None,
        show_progress_bar: bool | None = None,
        precision: str | None = None,
    ) -> NDArray[np.float32]:
        """Embeds the texts of a task.

        Args:
            inputs: Batches with a list under `text`.
            task_metadata: The task's facts; its prompt is the instruction.
            hf_split: Not needed.
            hf_subset: Not needed.
            prompt_type: The side, or None where a task has only one.
            batch_size: Not needed.
            show_progress_bar: Not needed.
            precision: Not needed.

        Returns:
            float32 [texts, dimension], each of length 1.
        """
        texts = [text for batch in inputs for text in batch["text"]]
        side = self.side(task_metadata, prompt_type)
        return self._model.encode(texts, role=side.role, task=side.task).vectors

    def side(self, task_metadata: TaskMetadata, prompt_type: PromptType | None) -> Side:
        """How the texts of one side of a task are given to the model."""
        if prompt_type == PromptType.document:
            return DOCUMENT
        if self._model.manifest.recipe.takes_task:
            return Side("query", self.get_instruction(task_metadata, prompt_type))
        return Side("raw") if prompt_type is None else Side("query")

    def close(self) -> None:
        """Releases the model; a second call does nothing."""
        self._model.close()
