"""The whole graph, from token ids to unit vectors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import onnx_ir as ir

from e5_onnx.model_folder.manifest import GRAPH_NAME, WEIGHTS_NAME, Architecture, Pooling
from e5_onnx_export.checkpoint.base import Projection
from e5_onnx_export.graph.builder import GraphBuilder
from e5_onnx_export.graph.embeddings import author_embeddings
from e5_onnx_export.graph.layer import LayerAuthor
from e5_onnx_export.graph.layout import TokenGrid, author_layout
from e5_onnx_export.graph.linear import FloatLinear, LinearFormat
from e5_onnx_export.graph.linear_id import LinearId, linear_ids
from e5_onnx_export.graph.pooling import author_pooling, author_unit_length
from e5_onnx_export.graph.projection import author_projections
from e5_onnx_export.graph.tables import FloatTable, WordTable
from e5_onnx_export.graph.tensors import EncoderTensors
from e5_onnx_export.graph.weight_file import WeightFile
from e5_onnx_export.progress import Progress


@dataclass(frozen=True, slots=True)
class Formats:
    """How every large tensor is stored."""

    word_table: WordTable
    linears: Mapping[LinearId, LinearFormat]


def float_formats(architecture: Architecture) -> Formats:
    """float32 throughout."""
    return Formats(FloatTable(), dict.fromkeys(linear_ids(architecture), FloatLinear()))


@dataclass(frozen=True, slots=True)
class Encoder:
    """The description of the graph to build."""

    architecture: Architecture
    tensors: EncoderTensors
    pooling: Pooling
    formats: Formats
    projections: tuple[Projection, ...] = ()
    further_inputs: tuple[ir.Value, ...] = ()

    def author(self, folder: Path, progress: Progress) -> str:
        """Writes model.onnx and model.onnx.data into `folder` and returns the sha256 of the latter.

        Inputs `input_ids` and `attention_mask`, int64 [batch, sequence]; output `sentence_embedding`, float32
        [batch, dimension] of length 1.
        """
        with WeightFile(folder / WEIGHTS_NAME) as weight_file:
            graph = GraphBuilder(weight_file)
            grid = TokenGrid(_input("input_ids"), _input("attention_mask"))
            output = self._body(graph, grid, progress)
            output.name = "sentence_embedding"
            output.type = ir.TensorType(ir.DataType.FLOAT)
            output.shape = ir.Shape(["batch", self._dimension()])
            graph.save(folder / GRAPH_NAME, [grid.ids, grid.mask, *self.further_inputs], [output])
        return weight_file.sha256

    def _body(self, graph: GraphBuilder, grid: TokenGrid, progress: Progress) -> ir.Value:
        layout = author_layout(graph, grid.mask)
        hidden = author_embeddings(
            graph,
            grid,
            layout,
            architecture=self.architecture,
            tensors=self.tensors,
            word_table=self.formats.word_table,
        )
        layers = LayerAuthor(graph, self.architecture, self.tensors, layout, self.formats.linears)
        total = self.architecture.layers
        for layer in progress.track(range(total), label="layers", total=total):
            hidden = layers.author(hidden, layer)
        pooled = author_pooling(graph, hidden, layout, pooling=self.pooling)
        return author_unit_length(graph, author_projections(graph, pooled, self.projections))

    def _dimension(self) -> int:
        return len(self.projections[-1].bias) if self.projections else self.architecture.hidden


def _input(name: str) -> ir.Value:
    return ir.Value(name=name, type=ir.TensorType(ir.DataType.INT64), shape=ir.Shape(["batch", "sequence"]))
