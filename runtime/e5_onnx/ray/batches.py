"""The actor class that embeds a column of a Ray data set."""

from __future__ import annotations

import os
from typing import Any

import pyarrow as pa
import ray

from e5_onnx.embedder import Embedder
from e5_onnx.ray.node_folder import node_folder
from e5_onnx.recipes import Role
from e5_onnx.tokens.tokenization import OverflowPolicy


class EmbedBatches:
    """Adds a column of vectors to batches of texts: an actor class for `Dataset.map_batches`.

    It takes as many threads as its actor has CPUs, of which a text each is worked on; the actor's copy of the
    model is one, so that an actor of eight CPUs needs an eighth of the memory of eight of one.

        data.map_batches(
            EmbedBatches,
            fn_constructor_kwargs={"model": "s3://bucket/my-e5", "role": "document"},
            compute=ray.data.ActorPoolStrategy(min_size=1, max_size=16),
            num_cpus=4,
            batch_size=1024,
        )
    """

    def __init__(
        self,
        model: str | os.PathLike[str],
        *,
        role: Role | None = None,
        task: str | None = None,
        text_column: str = "text",
        output_column: str = "embedding",
        overflow: OverflowPolicy = "warn",
    ) -> None:
        """Opens the model.

        Args:
            model: As for `node_folder`: a path, or a URI that each node fetches once.
            role: The role of all texts; required where queries and documents have different prompt templates.
            task: The instruction of queries, where the model takes one.
            text_column: The column with the texts.
            output_column: The column for the vectors: float32, of the model's dimension.
            overflow: As for `Embedder`.

        Raises:
            E5Error: A leaf of it.
        """
        self._model = Embedder(node_folder(model), threads=actor_cpus(), overflow=overflow, mode="throughput")
        self._role = self._model.manifest.recipe.choose_role(role)
        self._task = task
        self._text_column, self._output_column = text_column, output_column

    def __call__(self, batch: Any) -> Any:  # noqa: ANN401 - whichever batch_format was chosen
        """Embeds a batch.

        Args:
            batch: In any of Ray's formats: a dictionary of arrays, a pandas data frame, an Arrow table.

        Returns:
            The same batch with the vectors in it.

        Raises:
            E5Error: A leaf of it, for a text that is none.
        """
        table = isinstance(batch, pa.Table)
        column = batch[self._text_column]
        texts = column.to_pylist() if table else list(column)
        vectors = self._model.encode(texts, role=self._role, task=self._task).vectors
        if table:
            flat = pa.array(vectors.reshape(-1))
            rows = pa.FixedSizeListArray.from_arrays(flat, self._model.dimension)
            return batch.append_column(self._output_column, rows)
        batch[self._output_column] = vectors if isinstance(batch, dict) else list(vectors)
        return batch


def actor_cpus() -> int:
    """How many CPUs Ray gave to the actor that asks; at least 1."""
    return max(1, int(ray.get_runtime_context().get_assigned_resources().get("CPU", 1)))
