"""The actor class on data sets of each format, and how a node comes by a model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from runtime_folders import edit

from e5_onnx import Embedder
from e5_onnx.bulk.layout import OutputLayout
from e5_onnx.errors import FolderNotFoundError, IntegrityError, UnsafeFolderError

pytestmark = [
    pytest.mark.reference,
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # Ray's, of its own settings
]

TEXTS = ["moon", "the city is red", "", "東京", "bread and water"]


@pytest.fixture
def connected(cluster: Any) -> Iterator[None]:
    import ray

    ray.init(address=cluster.address, log_to_driver=False)
    ray.data.DataContext.get_current().enable_progress_bars = False
    yield
    ray.shutdown()


@pytest.mark.parametrize("batch_format", ["numpy", "pandas", "pyarrow"])
def test_a_data_set_is_embedded(batch_format: str, connected: None, tiny_folder: Path) -> None:
    import ray

    from e5_onnx.ray import EmbedBatches

    data = ray.data.from_items([{"text": text, "number": number} for number, text in enumerate(TEXTS)])
    with Embedder(tiny_folder) as model:
        truth = model.encode(TEXTS, role="query").vectors
    done = data.map_batches(
        EmbedBatches,
        fn_constructor_kwargs={"model": tiny_folder, "role": "query"},
        batch_format=batch_format,
        compute=ray.data.ActorPoolStrategy(size=1),
        num_cpus=1,
        batch_size=2,
    )
    rows = sorted(done.take_all(), key=lambda row: int(row["number"]))
    found = np.array([row["embedding"] for row in rows], np.float32)
    np.testing.assert_allclose(found, truth, atol=1e-6)
    assert [row["text"] for row in rows] == TEXTS


def test_a_folder_is_fetched_once_and_checked(tiny_folder_copy: Path, tmp_path: Path) -> None:
    from e5_onnx.ray import node_folder

    uri, cache = tiny_folder_copy.as_uri(), tmp_path / "cache"
    cache.mkdir()
    copy = node_folder(uri, cache)
    with Embedder(copy) as model, Embedder(tiny_folder_copy) as other:
        assert model.fingerprint == other.fingerprint
    (tiny_folder_copy / "model.onnx").unlink()
    assert node_folder(uri, cache) == copy


def test_a_damaged_folder_is_not_kept(tiny_folder_copy: Path, tmp_path: Path) -> None:
    from e5_onnx.ray import node_folder

    weights = tiny_folder_copy / "model.onnx.data"
    weights.write_bytes(bytes(weights.stat().st_size))
    with pytest.raises(IntegrityError, match=r"model\.onnx\.data"):
        node_folder(tiny_folder_copy.as_uri(), tmp_path)
    left = [path for path in (tmp_path / "folders").iterdir() if path.suffix != ".lock"]
    assert not left


@pytest.mark.parametrize("name", ["../../stolen", "/stolen", "folder/stolen", "C:stolen", "e5.json"])
def test_nothing_is_written_under_a_name_that_is_none(
    name: str, tiny_folder_copy: Path, tmp_path: Path
) -> None:
    from e5_onnx.ray import node_folder

    named = str(tmp_path / "stolen") if name.startswith("/") else name
    edit(tiny_folder_copy, lambda values: values["files"].update({named: values["files"]["golden.npz"]}))
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(UnsafeFolderError, match="not a plain file name"):
        node_folder(tiny_folder_copy.as_uri(), tmp_path / "cache")
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == before


def test_no_more_is_fetched_than_was_declared(tiny_folder_copy: Path, tmp_path: Path) -> None:
    from e5_onnx.ray import node_folder

    with (tiny_folder_copy / "model.onnx.data").open("ab") as file:
        file.truncate(1 << 40)  # a terabyte of nothing
    with pytest.raises(IntegrityError, match="the size in bytes"):
        node_folder(tiny_folder_copy.as_uri(), tmp_path)
    with (tiny_folder_copy / "e5.json").open("ab") as file:
        file.truncate(1 << 40)
    with pytest.raises(UnsafeFolderError, match="larger than 4 MB"):
        node_folder(tiny_folder_copy.as_uri(), tmp_path)


def test_a_path_is_taken_as_it_is(tiny_folder: Path, tmp_path: Path) -> None:
    from e5_onnx.ray import node_folder

    assert node_folder(tiny_folder, tmp_path) == tiny_folder
    with pytest.raises(FolderNotFoundError):
        node_folder(tmp_path / "none", tmp_path)


@pytest.mark.parametrize("uri", ["file:///nowhere/at/all", "gopher://host/folder"])
def test_a_place_that_nothing_can_be_fetched_from(uri: str, tmp_path: Path) -> None:
    from e5_onnx.bulk.errors import ModelPlaceError
    from e5_onnx.ray import node_folder

    with pytest.raises(ModelPlaceError) as caught:
        node_folder(uri, tmp_path)
    assert str(caught.value).startswith(f"no model folder can be fetched from {uri}: ")
    assert "s3://bucket/my-e5" in str(caught.value)


def test_a_node_that_does_not_see_the_files(connected: None, tiny_folder: Path, tmp_path: Path) -> None:
    from e5_onnx.bulk.errors import NotSharedError
    from e5_onnx.ray.engine import ShardWorker

    missing = tmp_path / "elsewhere"
    work: Any = SimpleNamespace(
        layout=OutputLayout(Path("out")), survey=SimpleNamespace(rows=[3]), job=SimpleNamespace(shard_rows=2)
    )

    def ask(folder: Path) -> None:
        list(ShardWorker(work, str(tiny_folder), str(folder))({"first": [0], "rows": [2]}))

    with pytest.raises(NotSharedError) as caught:
        ask(missing)
    assert f"does not see {missing}: input and output must lie on storage" in str(caught.value)
    with pytest.raises(NotSharedError, match=f"does not see {tmp_path / 'out'}: "):
        ask(tmp_path)
