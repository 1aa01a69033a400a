"""golden.npz: its arrays, and that the same input gives the same bytes."""

from __future__ import annotations

import zipfile

import numpy as np
import pytest

from e5_onnx_export.compare import golden
from e5_onnx_export.texts import SampleText, golden_texts

TEXTS = (
    SampleText("en", "Latin", "query", "Hi"),
    SampleText("zxx", "Common", "document", ""),
    SampleText("ja", "Kana", "document", "さくら\n🌸"),
)
IDS = [np.array([0, 9, 2]), np.array([0, 2]), np.array([0, 7, 8, 2])]
VECTORS = np.arange(6, dtype=np.float32).reshape(3, 2)


def write(path, *, texts=TEXTS, ids=IDS, vectors=VECTORS):
    golden.write(path, texts, ids, vectors=vectors, tolerance=golden.FP32_TOLERANCE)
    return path


def test_arrays_are_as_the_format_says(tmp_path):
    with np.load(write(tmp_path / "golden.npz"), allow_pickle=False) as stored:
        arrays = dict(stored)
    assert arrays["texts"].tolist() == ["Hi", "", "さくら\n🌸"]
    assert arrays["roles"].tolist() == ["query", "document", "document"]
    assert arrays["texts"].dtype.kind == arrays["roles"].dtype.kind == "U"
    assert arrays["ids"].tolist() == [0, 9, 2, 0, 2, 0, 7, 8, 2]
    assert arrays["lengths"].tolist() == [3, 2, 4]
    assert arrays["ids"].dtype == arrays["lengths"].dtype == np.int64
    assert arrays["vectors"].dtype == np.float32
    np.testing.assert_array_equal(arrays["vectors"], VECTORS)
    assert arrays["tolerance"].shape == ()
    assert arrays["tolerance"].dtype == np.float64
    assert arrays["tolerance"] == 1e-5
    assert len(arrays) == 6


def test_the_same_input_gives_the_same_bytes(tmp_path):
    first, second = write(tmp_path / "a.npz"), write(tmp_path / "b.npz")
    assert first.read_bytes() == second.read_bytes()
    # Two writes within a second could agree by luck: the time itself must not be in the file.
    with zipfile.ZipFile(first) as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_the_shipped_texts_survive(tmp_path):
    samples = golden_texts()
    ids = [np.array([0, 2])] * len(samples)
    path = write(
        tmp_path / "golden.npz", texts=samples, ids=ids, vectors=np.zeros((len(samples), 2), np.float32)
    )
    with np.load(path, allow_pickle=False) as stored:
        assert stored["texts"].tolist() == [sample.text for sample in samples]
        assert stored["roles"].tolist() == [sample.role for sample in samples]


def test_a_text_that_numpy_would_shorten_is_refused(tmp_path):
    with pytest.raises(ValueError, match="ends in NUL"):
        write(tmp_path / "golden.npz", texts=(*TEXTS[:2], SampleText("zxx", "Common", "query", "a\0")))
    assert not (tmp_path / "golden.npz").exists()


def test_lengths_must_agree(tmp_path):
    with pytest.raises(ValueError, match="3 texts, 2 token lists and 3 vectors"):
        write(tmp_path / "golden.npz", ids=IDS[:2])
