"""`Embedder(low_memory=True)`: weights stay in the mapped file, and vectors are the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from e5_onnx import Embedder
from e5_onnx.errors import OptionError

TEXTS = ["moon", "the moon is red and the river is wide", "", "tea", "a city by the sea " * 9]


@pytest.mark.parametrize("mode", ["auto", "latency", "throughput"])
def test_vectors_are_those_of_the_other_way(mode: str, tiny_folder: Path) -> None:
    with (
        Embedder(tiny_folder, threads=2) as model,
        Embedder(tiny_folder, threads=2, mode=mode, low_memory=True) as small,  # type: ignore[arg-type]
    ):
        np.testing.assert_allclose(small.embed_documents(TEXTS), model.embed_documents(TEXTS), atol=1e-6)


def test_a_text_has_the_same_vector_alone_and_in_a_batch(tiny_folder: Path) -> None:
    with Embedder(tiny_folder, low_memory=True) as model:
        alone = np.concatenate([model.embed_queries([text]) for text in TEXTS])
        np.testing.assert_allclose(model.embed_queries(TEXTS), alone, atol=1e-6)


def test_it_packs_nothing_into_a_cache(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("E5_ONNX_CACHE", str(tmp_path))
    Embedder(tiny_folder, low_memory=True).close()
    assert not list(tmp_path.iterdir())


def test_a_cache_beside_it_is_refused(tiny_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="None beside low_memory, which packs no weights"):
        Embedder(tiny_folder, cache_dir=tmp_path, low_memory=True)
