from __future__ import annotations

import hashlib
import json
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from checkpoint_folders import as_stored, encoded, write_json, write_safetensors, write_shards
from tiny_models import BERT, BODIES, XLM_ROBERTA, tensor_shapes, tiny_weights

from e5_onnx_export.checkpoint import encoder_weights
from e5_onnx_export.checkpoint.encoder_weights import select_encoder
from e5_onnx_export.checkpoint.weights import open_safetensors, sha256_of
from e5_onnx_export.errors import CheckpointError

WORDS = "embeddings.word_embeddings.weight"
DTYPES = ("F32", "F16", "BF16")


@pytest.fixture
def weights():
    return tiny_weights(BERT)


def opened(folder, architecture=BERT):
    stored = open_safetensors(folder)
    assert stored is not None
    return select_encoder(stored, architecture)


def assert_same(read, expected, dtype="F32"):
    assert set(read.names()) == set(expected.names())
    for name in expected.names():
        values = read.read(name)
        assert values.dtype == np.float32
        assert read.shape(name) == values.shape
        np.testing.assert_array_equal(values, as_stored(expected.read(name), dtype), err_msg=name)


@pytest.mark.parametrize("architecture", BODIES, ids=lambda row: row.body)
def test_the_shapes_expected_are_those_of_the_reference_list(architecture):
    shapes = encoder_weights.tensor_shapes(architecture)
    expected = tensor_shapes(architecture)
    types = "embeddings.token_type_embeddings.weight"
    if types in expected:
        expected[types] = (None, architecture.hidden)  # type: ignore[assignment]
    assert shapes == expected


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_number_format_comes_back_as_float32(tmp_path, weights, dtype):
    write_safetensors(tmp_path / "model.safetensors", encoded(weights, dtype))
    assert_same(opened(tmp_path), weights, dtype)


def test_bfloat16_keeps_infinities_signs_and_subnormals(tmp_path):
    bits = np.array([[0x7F80, 0xFF80, 0x8000, 0x0001], [0x3F80, 0xBF80, 0x7F7F, 0x0080]], np.uint16)
    write_safetensors(tmp_path / "model.safetensors", {"values": ("BF16", bits)})
    stored = open_safetensors(tmp_path)
    assert stored is not None
    expected = (bits.astype(np.uint32) << 16).view(np.float32)
    np.testing.assert_array_equal(stored.read("values"), expected)
    np.testing.assert_array_equal(np.signbit(stored.read("values")), np.signbit(expected))
    assert stored.read("values")[1, 0] == 1.0


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("count", [1, 2, 5])
def test_shards_are_read_as_one(tmp_path, weights, dtype, count):
    write_shards(tmp_path, encoded(weights, dtype), count)
    assert_same(opened(tmp_path), weights, dtype)


@pytest.mark.parametrize("prefix", ["", "bert.", "roberta.", "model.", "model.encoder.0.auto_model."])
def test_any_prefix_is_stripped(tmp_path, weights, prefix):
    write_safetensors(tmp_path / "model.safetensors", encoded(weights, prefix=prefix))
    assert_same(opened(tmp_path), weights)


def test_tensorflow_names_of_layer_norms_are_understood(tmp_path, weights):
    renamed = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
            "LayerNorm.bias", "LayerNorm.beta"
        ): tensor
        for name, tensor in encoded(weights).items()
    }
    write_safetensors(tmp_path / "model.safetensors", renamed)
    assert_same(opened(tmp_path), weights)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("start", "stop"), [(0, 1), (7, 9), (290, 300), (295, 400), (0, 300), (5, 5), (300, 310)]
)
def test_rows_are_the_rows_of_the_whole(tmp_path, weights, dtype, start, stop):
    write_safetensors(tmp_path / "model.safetensors", encoded(weights, dtype))
    read = opened(tmp_path)
    rows = read.read_rows(WORDS, start, stop)
    assert rows.dtype == np.float32
    np.testing.assert_array_equal(rows, read.read(WORDS)[start:stop])


@pytest.mark.parametrize("dtype", DTYPES)
def test_reading_rows_does_not_load_the_table(tmp_path, dtype):
    large = replace(BERT, vocabulary=100_000)
    write_safetensors(tmp_path / "model.safetensors", encoded(tiny_weights(large), dtype))
    tracemalloc.start()
    try:
        rows = opened(tmp_path, large).read_rows(WORDS, 50_000, 50_100)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert rows.shape == (100, 16)
    # The table alone is 3.2 or 6.4 MB.
    assert peak < 1_000_000


def test_what_is_read_may_be_changed_without_changing_the_file(tmp_path, weights):
    write_safetensors(tmp_path / "model.safetensors", encoded(weights))
    read = opened(tmp_path)
    read.read(WORDS)[:] = 0
    np.testing.assert_array_equal(read.read(WORDS), weights.read(WORDS))


def test_the_single_file_is_preferred_to_shards(tmp_path, weights):
    write_shards(tmp_path, encoded(tiny_weights(BERT, seed=1)), 2)
    write_safetensors(tmp_path / "model.safetensors", encoded(weights))
    assert_same(opened(tmp_path), weights)


def test_a_folder_without_safetensors_has_none(tmp_path):
    assert open_safetensors(tmp_path) is None


def test_the_hash_is_of_the_shards_in_the_order_of_their_names(tmp_path, weights):
    write_shards(tmp_path, encoded(weights), 3)
    stored = open_safetensors(tmp_path)
    assert stored is not None
    shards = sorted(tmp_path.glob("*-of-00003.safetensors"))
    assert len(shards) == 3
    expected = hashlib.sha256(b"".join(shard.read_bytes() for shard in shards)).hexdigest()
    assert sha256_of(stored.paths) == expected


def refused(folder, sentence, architecture=BERT):
    with pytest.raises(CheckpointError, match=sentence):
        opened(folder, architecture)


def test_a_missing_tensor_is_named_with_its_file(tmp_path, weights):
    tensors = encoded(weights, prefix="bert.")
    del tensors["bert.encoder.layer.1.output.dense.bias"]
    write_safetensors(tmp_path / "model.safetensors", tensors)
    refused(
        tmp_path,
        r"^model.safetensors: has no tensor 'bert.encoder.layer.1.output.dense.bias', which config.json",
    )


def test_missing_layers_are_counted(tmp_path, weights):
    write_safetensors(tmp_path / "model.safetensors", encoded(weights))
    refused(tmp_path, r"'encoder.layer.2.*\(and 15 more\)", replace(BERT, layers=3))


def test_a_layer_too_many_is_refused(tmp_path, weights):
    write_safetensors(tmp_path / "model.safetensors", encoded(weights))
    refused(tmp_path, r"'encoder.layer.1.*\(and 15 more\), which has no place", replace(BERT, layers=1))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"vocabulary": 301}, rf"tensor '{WORDS}' has shape \[300, 16\], config.json asks for \[301, 16\]"),
        ({"positions": 64}, r"position_embeddings.* has shape \[32, 16\]"),
        ({"intermediate": 64}, r"intermediate.dense.weight' has shape \[40, 16\]"),
    ],
)
def test_a_shape_that_the_config_does_not_ask_for_is_refused(tmp_path, weights, changes, sentence):
    write_safetensors(tmp_path / "model.safetensors", encoded(weights))
    refused(tmp_path, sentence, replace(BERT, **changes))


@pytest.mark.parametrize("shape", [(0, 16), (2, 8), (16,)])
def test_a_token_type_table_may_have_any_rows_but_none(tmp_path, weights, shape):
    tensors = encoded(weights)
    tensors["embeddings.token_type_embeddings.weight"] = ("F32", np.zeros(shape, np.float32))
    write_safetensors(tmp_path / "model.safetensors", tensors)
    refused(tmp_path, r"token_type_embeddings.*asks for \[any, 16\]")


QUANTISED = ": export from the weights as they were before they were quantised$"


@pytest.mark.parametrize(
    ("dtype", "numpy_dtype", "remedy"),
    [
        ("I8", np.int8, QUANTISED),
        ("U8", np.uint8, QUANTISED),
        ("F8_E4M3", np.uint8, QUANTISED),
        ("I64", np.int64, "$"),
        ("BOOL", np.bool_, "$"),
    ],
)
def test_other_number_formats_are_refused(tmp_path, weights, dtype, numpy_dtype, remedy):
    tensors = encoded(weights) | {WORDS: (dtype, np.zeros((300, 16), numpy_dtype))}
    write_safetensors(tmp_path / "model.safetensors", tensors)
    sentence = f"tensor '{WORDS}' is stored as {dtype}; F64, F32, F16, BF16 can be read"
    refused(tmp_path, sentence + remedy)


def test_float64_is_rounded_to_float32(tmp_path, weights):
    tensors = {name: ("F64", weights.read(name).astype(np.float64) + 1e-12) for name in weights.names()}
    write_safetensors(tmp_path / "model.safetensors", tensors)
    assert_same(opened(tmp_path), weights)


def test_a_file_without_an_encoder_is_refused(tmp_path):
    write_safetensors(tmp_path / "model.safetensors", {"conv.weight": ("F32", np.zeros(2, np.float32))})
    refused(
        tmp_path, "no tensor 'embeddings.word_embeddings.weight', under any prefix: it holds no BERT encoder"
    )


@pytest.mark.parametrize("kept", [0, 4, 100, -1])
def test_a_file_that_was_cut_short_is_refused_on_opening(tmp_path, weights, kept):
    path = write_safetensors(tmp_path / "model.safetensors", encoded(weights))
    path.write_bytes(path.read_bytes()[:kept])
    refused(tmp_path, r"model.safetensors: cannot be read as safetensors \(.+\): copy or download it again")


def test_a_file_that_is_cut_short_while_it_is_read_raises(tmp_path, weights):
    path = write_safetensors(tmp_path / "model.safetensors", encoded(weights))
    read = opened(tmp_path)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(CheckpointError, match=r"ends within tensor 'encoder.layer.1.output.dense.weight'"):
        read.read("encoder.layer.1.output.dense.weight")


def test_a_git_lfs_pointer_is_recognised(tmp_path):
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 1\n"
    (tmp_path / "model.safetensors").write_text(pointer, encoding="utf-8")
    refused(tmp_path, "is a Git LFS pointer, not the file itself: run `git lfs pull`")


def test_a_folder_in_the_place_of_the_file_is_refused(tmp_path):
    (tmp_path / "model.safetensors").mkdir()
    refused(tmp_path, "model.safetensors: is not a plain file")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda index: index.clear(), "has no `weight_map`"),
        (
            lambda index: index["weight_map"].update(x="../model.safetensors"),
            "names '../model.safetensors', which",
        ),
        (lambda index: index["weight_map"].update(x="/etc/x.safetensors"), "which is not a file beside it"),
        (lambda index: index["weight_map"].update(x="weights.bin"), "names 'weights.bin'"),
        (lambda index: index["weight_map"].update(x=7), "names 7"),
        (
            lambda index: index["weight_map"].update(x="gone.safetensors"),
            "names gone.safetensors, which is missing",
        ),
    ],
)
def test_a_bad_index_is_refused(tmp_path, weights, change, sentence):
    path = write_shards(tmp_path, encoded(weights), 2)
    index = json.loads(path.read_text(encoding="utf-8"))
    change(index)
    write_json(path, index)
    refused(tmp_path, f"^model.safetensors.index.json: .*{sentence}")


def test_an_index_that_puts_a_tensor_elsewhere_is_refused(tmp_path, weights):
    path = write_shards(tmp_path, encoded(weights), 2)
    index = json.loads(path.read_text(encoding="utf-8"))
    moved = next(name for name, file in index["weight_map"].items() if file.startswith("model-00001"))
    index["weight_map"][moved] = "model-00002-of-00002.safetensors"
    write_json(path, index)
    refused(tmp_path, f"model-00001.* do not agree on where tensor '{moved}' is")


@pytest.mark.reference
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("shards", [1, 2])
@pytest.mark.parametrize("architecture", [BERT, XLM_ROBERTA], ids=lambda row: row.body)
def test_what_transformers_saves_is_read_as_it_was(tmp_path, architecture, dtype, shards):
    import torch
    from reference_models import save_random_model

    model = save_random_model(tmp_path, architecture, dtype=getattr(torch, dtype), shards=shards)
    assert (tmp_path / "model.safetensors").exists() == (shards == 1)
    read = opened(tmp_path, architecture)
    state = model.state_dict()
    for name in read.names():
        np.testing.assert_array_equal(read.read(name), state[name].float().numpy(), err_msg=name)
