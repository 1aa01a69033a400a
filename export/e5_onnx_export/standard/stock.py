"""The stock int8 baseline: optimum's dynamic quantisation of its own export, behind our interface."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Final

import onnx_ir as ir
from onnx_ir.tape import Tape

from e5_onnx.model_folder.manifest import GRAPH_NAME, WEIGHTS_NAME, Pooling
from e5_onnx_export.checkpoint.base import Checkpoint
from e5_onnx_export.recipe.detection import EncodingChoice
from e5_onnx_export.reference.foreign import foreign_tool
from e5_onnx_export.standard.optimum_export import export_with_optimum

_INPUTS: Final = ("input_ids", "attention_mask")
_SEGMENTS: Final = "token_type_ids"
_STATES: Final = "last_hidden_state"
_OUTPUT: Final = "sentence_embedding"


def write_stock_graph(checkpoint: Checkpoint, choice: EncodingChoice, folder: Path) -> None:
    """Writes model.onnx and model.onnx.data as a user of optimum gets them, for the callers of our own.

    Activations have one scale for the whole batch here, so a text's vector changes with its neighbours
    (onnxruntime#10111): that is what the baseline is there to show.

    Args:
        checkpoint: The checkpoint to export.
        choice: Says how token vectors become one.
        folder: The folder for the two files, with room for three temporary fp32 copies of the weights.

    Raises:
        MissingExtraError: If the `[optimum]` extra is not installed.
        ToolError: If optimum fails.
    """
    with tempfile.TemporaryDirectory(dir=folder, prefix="stock-") as scratch:
        work = Path(scratch)
        quantised = quantise_with_optimum(export_with_optimum(checkpoint, work), work / "int8")
        write_pooled_graph(quantised, choice.pooling, folder)


def quantise_with_optimum(graph: Path, out: Path) -> Path:
    """Quantises as optimum's documentation says for CPUs with AVX512-VNNI, per channel.

    Args:
        graph: An fp32 model.onnx that optimum made.
        out: A folder to make.

    Returns:
        The path of the quantised graph; its weights are in a file beside it.

    Raises:
        MissingExtraError: If the `[optimum]` extra is not installed.
        ToolError: If optimum fails.
    """
    with foreign_tool("optimum", extra="optimum"):
        from optimum.onnxruntime import ORTQuantizer
        from optimum.onnxruntime.configuration import AutoQuantizationConfig

        ORTQuantizer.from_pretrained(graph.parent, file_name=graph.name).quantize(
            AutoQuantizationConfig.avx512_vnni(is_static=False, per_channel=True),
            out,
            # Over 2 GB there is no other way, and below it costs nothing.
            use_external_data_format=True,
        )
    return out / f"{graph.stem}_quantized.onnx"


def write_pooled_graph(source: Path, pooling: Pooling, folder: Path) -> None:
    """Turns a conventional graph into one from token ids to unit vectors.

    Args:
        source: A graph from `input_ids`, `attention_mask`, perhaps `token_type_ids`, to `last_hidden_state`.
        pooling: How token vectors become one.
        folder: model.onnx and model.onnx.data are written there, with every weight in the second.
    """
    model = ir.load(source)
    graph = model.graph
    _name_axes(graph)
    _fill_segments(graph)
    _append_pooling(graph, pooling)
    _load_constants(graph)
    _move_weights(graph, folder)
    ir.save(model, folder / GRAPH_NAME)


def _name_axes(graph: ir.Graph) -> None:
    for value in graph.inputs:
        value.shape = ir.Shape(["batch", "sequence"])


def _fill_segments(graph: ir.Graph) -> None:
    """Makes token_type_ids inside the graph: all texts are of the first segment."""
    segments = next((value for value in graph.inputs if value.name == _SEGMENTS), None)
    if segments is None:
        return
    ids = _input(graph, "input_ids")
    graph.inputs.remove(segments)
    tape = Tape()
    zero = ir.tensor([0], dtype=ir.DataType.INT64)
    zeros = tape.op("ConstantOfShape", [tape.op("Shape", [ids])], {"value": zero})
    ir.convenience.replace_all_uses_with(segments, zeros)
    zeros.name = _SEGMENTS
    graph.insert_before(graph[0], tape.nodes)


def _append_pooling(graph: ir.Graph, pooling: Pooling) -> None:
    (states,) = graph.outputs
    dimension = states.shape[-1] if states.shape is not None else None
    tape = Tape()
    if pooling == "cls":
        first = tape.op("Constant", [], {"value_int": 0})
        pooled = tape.op("Gather", [states, first], {"axis": 1})
    else:
        # A sum over the real tokens: what the mean would divide by, normalising takes out again.
        axis = tape.op("Constant", [], {"value_ints": [1]})
        mask = tape.op("Cast", [_input(graph, "attention_mask")], {"to": ir.DataType.FLOAT})
        summed = tape.op("MatMul", [tape.op("Unsqueeze", [mask, axis]), states])
        pooled = tape.op("Squeeze", [summed, axis])
    vectors = tape.op("LpNormalization", [pooled], {"axis": -1, "p": 2})
    vectors.name = _OUTPUT
    vectors.type = ir.TensorType(ir.DataType.FLOAT)
    vectors.shape = ir.Shape(["batch", dimension])
    graph.extend(tape.nodes)
    graph.outputs[:] = [vectors]


def _input(graph: ir.Graph, name: str) -> ir.Value:
    return next(value for value in graph.inputs if value.name == name)


def _move_weights(graph: ir.Graph, folder: Path) -> None:
    weights = {}
    for name, value in graph.initializers.items():
        tensor = value.const_value
        assert tensor is not None  # noqa: S101 - what an initialiser is
        # Scalars and shapes stay in the graph: onnxruntime wants to see them when it infers shapes.
        if len(tensor.shape) and tensor.dtype != ir.DataType.INT64:
            weights[name] = tensor
        else:
            value.const_value = _in_memory(tensor)
    moved = ir.external_data.convert_tensors_to_external(list(weights.values()), folder, WEIGHTS_NAME)
    for name, external in zip(weights, moved, strict=True):
        graph.initializers[name].const_value = external


def _load_constants(graph: ir.Graph) -> None:
    """Takes the constants of nodes back into the graph: onnx moves those, too, into the weights' file."""
    for node in graph.all_nodes():
        for attribute in list(node.attributes.values()):
            if attribute.type == ir.AttributeType.TENSOR:
                node.attributes[attribute.name] = ir.AttrTensor(
                    attribute.name, _in_memory(attribute.as_tensor())
                )


def _in_memory(tensor: ir.TensorProtocol) -> ir.TensorProtocol:
    return ir.tensor(tensor.numpy().copy(), name=tensor.name)
