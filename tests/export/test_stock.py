"""The stock baseline: optimum's graphs behind the unpadded graph's interface."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from tiny_models import BERT, BODIES, XLM_ROBERTA, tiny_weights
from tiny_tokenizers import write_tiny_tokenizer

from e5_onnx.errors import MissingExtraError
from e5_onnx.inference.batching import pad
from e5_onnx.model_folder.graph_scan import scan_graph
from e5_onnx.model_folder.manifest import GRAPH_NAME, WEIGHTS_NAME, Source
from e5_onnx.recipes import PLAIN
from e5_onnx.silent import onnxruntime
from e5_onnx_export.checkpoint import Checkpoint, open_checkpoint
from e5_onnx_export.compare.parity import measure_parity
from e5_onnx_export.compare.samples import run_graph
from e5_onnx_export.recipe.detection import EncodingChoice
from e5_onnx_export.reference import open_reference
from e5_onnx_export.standard.optimum_export import export_with_optimum
from e5_onnx_export.standard.stock import quantise_with_optimum, write_pooled_graph, write_stock_graph

pytestmark = pytest.mark.optimum

LENGTHS = (1, 2, 32, 5, 17, 5, 9, 30)
over_bodies = pytest.mark.parametrize("architecture", BODIES, ids=lambda architecture: architecture.body)
over_poolings = pytest.mark.parametrize("pooling", ["mean", "cls"])


def checkpoint(tmp_path: Path, architecture) -> Checkpoint:
    source = Source("tiny", None, None, "0" * 64)
    tokenizer = write_tiny_tokenizer(tmp_path / "tokenizer.json").read_bytes()
    return Checkpoint(source, architecture, tiny_weights(architecture), tokenizer, None)


def token_ids(vocabulary, lengths=LENGTHS):
    generator = np.random.default_rng(1)
    return [generator.integers(4, vocabulary - 1, length) for length in lengths]


def write_fp32(made: Checkpoint, pooling, tmp_path: Path) -> Path:
    """Stock without quantisation."""
    work, folder = tmp_path / "work", tmp_path / "fp32"
    work.mkdir()
    folder.mkdir()
    write_pooled_graph(export_with_optimum(made, work), pooling, folder)
    return folder


def write_int8(made: Checkpoint, pooling, tmp_path: Path) -> Path:
    folder = tmp_path / "int8"
    folder.mkdir()
    write_stock_graph(made, EncodingChoice(PLAIN, pooling, 32), folder)
    return folder


def run(folder, ids, level):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = level
    session = onnxruntime.InferenceSession(folder / GRAPH_NAME, options, providers=["CPUExecutionProvider"])
    grid, mask = pad(ids)
    (vectors,) = session.run(None, {"input_ids": grid, "attention_mask": mask})
    return vectors


class TestWithoutQuantisation:
    @over_bodies
    @over_poolings
    def test_vectors_are_the_references(self, tmp_path, architecture, pooling):
        made = checkpoint(tmp_path, architecture)
        folder = write_fp32(made, pooling, tmp_path)
        ids = token_ids(architecture.vocabulary)
        expected = open_reference("torch", made, pooling).embed(ids)
        found = run_graph(folder, ids)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, atol=1e-5, rtol=0)
        np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)


class TestInterface:
    @pytest.mark.parametrize("architecture", [BERT, XLM_ROBERTA], ids=lambda architecture: architecture.body)
    @pytest.mark.parametrize("write", [write_fp32, write_int8])
    def test_it_is_that_of_the_packed_graph(self, tmp_path, architecture, write):
        folder = write(checkpoint(tmp_path, architecture), "mean", tmp_path)
        session = onnxruntime.InferenceSession(folder / GRAPH_NAME, providers=["CPUExecutionProvider"])
        described = [
            (value.name, value.type, value.shape) for value in (*session.get_inputs(), *session.get_outputs())
        ]
        assert described == [
            ("input_ids", "tensor(int64)", ["batch", "sequence"]),
            ("attention_mask", "tensor(int64)", ["batch", "sequence"]),
            ("sentence_embedding", "tensor(float)", ["batch", architecture.hidden]),
        ]

    @over_poolings
    def test_two_files_with_all_weights_in_the_second(self, tmp_path, pooling):
        folder = write_int8(checkpoint(tmp_path, BERT), pooling, tmp_path)
        assert {file.name for file in folder.iterdir()} == {GRAPH_NAME, WEIGHTS_NAME}
        graph = onnx.load(folder / GRAPH_NAME, load_external_data=False).graph
        inside = [tensor for tensor in graph.initializer if not tensor.external_data]
        assert all(not tensor.dims or tensor.data_type == onnx.TensorProto.INT64 for tensor in inside)
        assert len(graph.initializer) - len(inside) > 16 * BERT.layers
        onnx.checker.check_model(folder / GRAPH_NAME, full_check=True)

    def test_it_passes_the_runtimes_own_scan(self, tmp_path):
        folder = write_int8(checkpoint(tmp_path, BERT), "mean", tmp_path)
        size = (folder / WEIGHTS_NAME).stat().st_size
        scan = scan_graph((folder / GRAPH_NAME).read_bytes(), weights_size=size)
        assert max(offset + length for offset, length in scan.extents) == size


class TestQuantised:
    def test_linears_and_attention_products_are_integer(self, tmp_path):
        folder = write_int8(checkpoint(tmp_path, BERT), "mean", tmp_path)
        kinds = [node.op_type for node in onnx.load(folder / GRAPH_NAME, load_external_data=False).graph.node]
        assert kinds.count("MatMulInteger") == 8 * BERT.layers
        # The one that pools.
        assert kinds.count("MatMul") == 1

    @over_bodies
    @over_poolings
    def test_vectors_are_near_the_references(self, tmp_path, architecture, pooling):
        made = checkpoint(tmp_path, architecture)
        folder = write_int8(made, pooling, tmp_path)
        ids = token_ids(architecture.vocabulary)
        found = run_graph(folder, ids)
        parity = measure_parity(open_reference("torch", made, pooling).embed(ids), found, "torch")
        assert parity.cosine_mean is not None
        assert 0.98 < parity.cosine_mean < 0.9999999
        levels = onnxruntime.GraphOptimizationLevel
        optimised, plain = (
            run(folder, ids, level) for level in (levels.ORT_ENABLE_ALL, levels.ORT_DISABLE_ALL)
        )
        assert (measure_parity(plain, optimised, "plain").cosine_min or 0) > 0.99

    @pytest.mark.real
    @pytest.mark.slow
    def test_the_demonstration_model(self, tmp_path):
        demo = open_checkpoint("demo")
        folder = write_int8(demo, "mean", tmp_path)
        ids = token_ids(250_002, (3, 8, 40, 8, 130, 12))
        expected = open_reference("torch", demo, "mean").embed(ids)
        assert (measure_parity(expected, run_graph(folder, ids), "torch").cosine_min or 0) > 0.98
        assert sum(file.stat().st_size for file in folder.iterdir()) < 130e6


def test_nothing_is_printed(tmp_path, capfd):
    write_int8(checkpoint(tmp_path, BERT), "mean", tmp_path)
    assert capfd.readouterr() == ("", "")


def test_the_quantiser_is_not_installed(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "optimum.onnxruntime", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'e5-onnx\[optimum\]'"):
        quantise_with_optimum(tmp_path / GRAPH_NAME, tmp_path / "out")
