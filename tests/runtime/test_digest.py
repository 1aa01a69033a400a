from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from e5_onnx.model_folder.digest import file_sha256, sampled_sha256

EXTENTS = ((0, 10_000), (12_288, 100), (16_384, 8192))


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "weights"
    path.write_bytes(bytes(index % 251 for index in range(24_576)))
    return path


def test_the_whole_file(weights: Path) -> None:
    assert file_sha256(weights) == hashlib.sha256(weights.read_bytes()).hexdigest()


def test_the_sample_is_the_first_and_last_4_kib_of_each_tensor(weights: Path) -> None:
    data = weights.read_bytes()
    sample = data[:4096] + data[5904:10_000] + data[12_288:12_388] + data[16_384:20_480] + data[20_480:24_576]
    assert sampled_sha256(weights, EXTENTS) == hashlib.sha256(sample).hexdigest()
    assert sampled_sha256(weights, reversed(EXTENTS)) == sampled_sha256(weights, EXTENTS)


@pytest.mark.parametrize("position", [0, 4095, 9999, 12_300, 16_384, 24_575])
def test_a_change_in_the_sample_is_noticed(weights: Path, position: int) -> None:
    before = sampled_sha256(weights, EXTENTS)
    data = bytearray(weights.read_bytes())
    data[position] ^= 1
    weights.write_bytes(data)
    assert sampled_sha256(weights, EXTENTS) != before
