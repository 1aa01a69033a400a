"""Other engines on a small checkpoint: each gives the vectors of our own fp32 folder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from tokenizers import Tokenizer

from e5_onnx import Embedder
from e5_onnx_export.checkpoint import open_checkpoint
from e5_onnx_perf.peers import PEERS, PeerName, PeerSource, import_peer
from e5_onnx_perf.peers.conversion import converted, in_batches, mean_pool

TEXTS = ["moon", "the river of the city is red", "tea", "what is the capital of the moon", "bread " * 300]

# Least cosine with the authored fp32 graph. The weights are random: what it says is that the work is done.
LEAST = {
    "torch": 1 - 1e-6,
    "fastembed": 1 - 1e-5,
    "sentence-transformers": 0.99,
    "optimum-int8": 0.99,
    "ctranslate2": 0.98,  # rounds these 32 random components more coarsely than the others do
    "openvino": 0.99,
    "openvino-static": 0.9,
    "openvino-static-bf16": 0.95,
    "openvino-bf16": 0.99,
    "llama.cpp": 0.99,
}


def test_the_tables_are_complete() -> None:
    assert set(get_args(PeerName)) == set(PEERS) == set(LEAST)


@pytest.mark.optimum
@pytest.mark.filterwarnings("ignore")  # of six other projects
@pytest.mark.parametrize("name", LEAST)
def test_a_peer_does_the_same_work(
    name: PeerName, exported, tmp_path_factory: pytest.TempPathFactory
) -> None:
    scratch = tmp_path_factory.getbasetemp() / "peers"
    source = PeerSource(exported.checkpoint, scratch)
    if name == "llama.cpp":
        pytest.importorskip("llama_cpp", reason="its binding takes half an hour to compile")
    module = import_peer(name)
    module.prepare(source)
    peer = module.load(source, 2)
    with Embedder(exported.folder, overflow="truncate") as model:
        texts = [text for text in TEXTS if model.count_tokens(text, role="raw") <= 200]
        truth = model.encode(texts, role="raw").vectors
    vectors = peer.encode(texts)
    assert vectors.shape == truth.shape
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-3)
    assert (vectors * truth).sum(axis=1).min() >= LEAST[name]
    # Alone, and in another order.
    assert (peer.encode(texts[:1]) * truth[:1]).sum() >= LEAST[name]
    assert (peer.encode(texts[::-1]) * truth[::-1]).sum(axis=1).min() >= LEAST[name]
    assert peer.disk_bytes > 1000
    assert "2 threads" in peer.setting
    assert peer.precision in ("fp32", "bf16", "int8")


LIBRARIES = {
    "torch": ("torch", "reference"),
    "fastembed": ("fastembed", "peers"),
    "ctranslate2": ("ctranslate2", "peers"),
    "openvino": ("openvino", "peers"),
    "llama.cpp": ("llama_cpp", "llama-cpp"),
    "optimum-int8": ("optimum", "peers"),
    "sentence-transformers": ("sentence_transformers", "peers"),
}


@pytest.mark.parametrize("name", LIBRARIES)
def test_a_peer_that_is_not_installed_is_named(name: str) -> None:
    module, extra = LIBRARIES[name]
    code = (
        f"import sys; sys.modules[{module!r}] = None; sys.modules['nncf'] = sys.modules['gguf'] = None\n"
        "from e5_onnx.errors import MissingExtraError\n"
        "from e5_onnx_perf.peers import import_peer\n"
        f"try: import_peer({name!r})\n"
        "except MissingExtraError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert f"is not installed: `pip install 'e5-onnx[{extra}]'`" in done.stdout


def test_a_conversion_is_made_once_and_whole(tmp_path: Path) -> None:
    source = PeerSource(tmp_path / "checkpoint", tmp_path / "scratch")
    made = []

    def convert(folder: Path) -> None:
        (folder / "file").write_text("half")
        made.append(folder)
        if len(made) == 1:
            raise RuntimeError("interrupted")

    with pytest.raises(RuntimeError, match="interrupted"):
        converted(source, "x", convert)
    assert list((tmp_path / "scratch").iterdir()) == []
    folder = converted(source, "x", convert)
    assert converted(source, "x", convert) == folder
    assert len(made) == 2
    assert [file.name for file in folder.iterdir()] == ["file"]


def test_batches_are_sorted_and_put_back() -> None:
    seen = []

    def embed(texts: list[str]) -> np.ndarray:
        seen.append([len(text) for text in texts])
        return np.array([[len(text)] for text in texts], np.float32)

    texts = ["a" * length for length in (3, 9, 1, 7, 5)]
    assert in_batches(texts, 2, embed)[:, 0].tolist() == [3, 9, 1, 7, 5]
    assert seen == [[9, 7], [5, 3], [1]]


def test_the_mean_leaves_padding_out() -> None:
    states = np.array([[[1, 0], [0, 1], [9, 9]], [[3, 4], [5, 5], [5, 5]]], np.float32)
    pooled = mean_pool(states, np.array([[1, 1, 0], [1, 0, 0]]))
    assert pooled == pytest.approx(np.array([[0.5**0.5, 0.5**0.5], [0.6, 0.8]]), abs=1e-6)


@pytest.mark.optimum
def test_a_gguf_file_holds_the_checkpoint(exported, tmp_path: Path) -> None:
    gguf = pytest.importorskip("gguf")
    from e5_onnx_perf.peers.gguf_file import write_gguf

    write_gguf(exported.checkpoint, tmp_path / "model.gguf")
    reader = gguf.GGUFReader(tmp_path / "model.gguf")
    checkpoint = open_checkpoint(str(exported.checkpoint))
    found = {tensor.name: tensor for tensor in reader.tensors}
    assert len(found) == len(list(checkpoint.weights.names()))
    table = checkpoint.weights.read("embeddings.word_embeddings.weight")
    stored = gguf.quants.dequantize(found["token_embd.weight"].data, found["token_embd.weight"].tensor_type)
    # A block of 32 shares a scale of its largest weight / 127.
    assert np.abs(stored - table).max() <= np.abs(table).max() / 127
    positions = checkpoint.weights.read("embeddings.position_embeddings.weight")
    offset = checkpoint.architecture.position_offset
    np.testing.assert_array_equal(found["position_embd.weight"].data, positions[offset:])
    tokens = reader.fields["tokenizer.ggml.tokens"].contents()
    tokenizer = Tokenizer.from_str(checkpoint.tokenizer.decode())
    assert tokens[: tokenizer.get_vocab_size()] == [
        tokenizer.id_to_token(number) for number in range(tokenizer.get_vocab_size())
    ]
    assert reader.fields["tokenizer.ggml.eos_token_id"].contents() == tokenizer.token_to_id("</s>")
