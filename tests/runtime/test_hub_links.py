"""Folders in the cache of huggingface_hub, whose files are links, and links that only look like those."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from runtime_folders import flip

from e5_onnx import Embedder
from e5_onnx.errors import (
    IntegrityError,
    ManifestError,
    MissingFileError,
    ModelLoadError,
    UnsafeFolderError,
)
from e5_onnx.inference.session import map_load_errors
from e5_onnx.verify import verify_folder

pytestmark = [
    pytest.mark.security,
    pytest.mark.skipif(os.name != "posix", reason="the hub's library makes no links there"),
]
WEIGHTS = "model.onnx.data"
ONNXRUNTIME = tuple(map(int, version("onnxruntime").split(".")[:2]))


def link(at: Path, to: Path) -> None:
    at.unlink(missing_ok=True)
    at.symlink_to(os.path.relpath(to, at.parent))


def digest(file: Path) -> str:
    return sha256(file.read_bytes()).hexdigest()


def snapshot_of(folder: Path, cache: Path, *, shared: bool) -> Path:
    """Lays a folder out as the hub's library does, its large files in the shared store or not."""
    model = cache / "models--me--tiny"
    snapshot = model / "snapshots" / ("0123abcd" * 5)
    snapshot.mkdir(parents=True)
    (model / "blobs").mkdir()
    for file in folder.iterdir():
        blob, stored = model / "blobs" / digest(file), cache / "blobs" / digest(file)[:2] / digest(file)
        if shared:
            stored.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, stored)
            link(blob, stored)
        else:
            shutil.copy(file, blob)
        link(snapshot / file.name, blob)
    return snapshot


@pytest.fixture(params=[False, True], ids=["blobs", "shared store"])
def snapshot(request: pytest.FixtureRequest, tiny_folder: Path, tmp_path: Path) -> Path:
    return snapshot_of(tiny_folder, tmp_path / "hub", shared=request.param)


def test_a_snapshot_opens(snapshot: Path, tiny_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(snapshot)
    with Embedder(tiny_folder, threads=1) as model:
        expected = model.embed_documents("moon")
    if (tmp_path / "hub" / "blobs").exists() and ONNXRUNTIME < (1, 32):
        with pytest.raises(ModelLoadError, match="upgrade onnxruntime, or make a folder without links"):
            Embedder(snapshot, threads=1)
        return
    for folder in (snapshot, tmp_path / "link"):
        with Embedder(folder, threads=1, cache_dir=tmp_path / "cache") as model:
            np.testing.assert_array_equal(model.embed_documents("moon"), expected)
    verify_folder(snapshot, threads=1)


def test_an_older_onnxruntime_has_a_remedy() -> None:
    with pytest.raises(ModelLoadError, match="hf download REPO --local-dir DIR"), map_load_errors():
        raise RuntimeError("External data path escapes model directory.")
    with pytest.raises(ModelLoadError, match=r"broken$"), map_load_errors():
        raise RuntimeError("broken")


def test_linked_weights_are_hashed_whole_on_open(snapshot: Path) -> None:
    flip((snapshot / WEIGHTS).resolve(), 20_000)  # where the sample does not reach
    with pytest.raises(IntegrityError, match=r"model\.onnx\.data: the sha256 is"):
        Embedder(snapshot)


def elsewhere(snapshot: Path, file: Path) -> None:
    link(snapshot / file.name, file)


def elsewhere_through_a_blob(snapshot: Path, file: Path) -> None:
    link(snapshot.parents[1] / "blobs" / "f00d", file)
    link(snapshot / file.name, snapshot.parents[1] / "blobs" / "f00d")


def blobs_of_another_model(snapshot: Path, file: Path) -> None:
    other = snapshot.parents[2] / "models--you--secret" / "blobs" / digest(file)
    other.parent.mkdir(parents=True)
    link(snapshot / file.name, Path(shutil.copy(file, other)))


def stored_under_a_wrong_prefix(snapshot: Path, file: Path) -> None:
    stored = snapshot.parents[2] / "blobs" / "zz" / digest(file)
    stored.parent.mkdir(parents=True)
    elsewhere_through_a_blob(snapshot, file)
    link(snapshot.parents[1] / "blobs" / "f00d", Path(shutil.copy(file, stored)))


def stored_under_no_hash(snapshot: Path, file: Path) -> None:
    stored = snapshot.parents[2] / "blobs" / "to" / "token"
    stored.parent.mkdir(parents=True)
    elsewhere_through_a_blob(snapshot, file)
    link(snapshot.parents[1] / "blobs" / "f00d", Path(shutil.copy(file, stored)))


def a_third_hop(snapshot: Path, file: Path) -> None:
    stored = snapshot.parents[2] / "blobs" / "ab" / ("ab" * 32)
    stored.parent.mkdir(parents=True, exist_ok=True)
    link(stored, file)
    elsewhere_through_a_blob(snapshot, file)
    link(snapshot.parents[1] / "blobs" / "f00d", stored)


def blobs_that_are_a_link(snapshot: Path, file: Path) -> None:
    blobs = snapshot.parents[1] / "blobs"
    blobs.rename(file.parent / "blobs")
    blobs.symlink_to(file.parent / "blobs")


def through_the_blobs_and_out(snapshot: Path, file: Path) -> None:
    (snapshot / file.name).unlink()
    (snapshot / file.name).symlink_to(f"../../blobs/../../../outside/{file.name}")


@pytest.mark.parametrize("name", ["e5.json", "tokenizer.json", WEIGHTS])
@pytest.mark.parametrize(
    "harm",
    [
        elsewhere,
        elsewhere_through_a_blob,
        blobs_of_another_model,
        stored_under_a_wrong_prefix,
        stored_under_no_hash,
        a_third_hop,
        blobs_that_are_a_link,
        through_the_blobs_and_out,
    ],
    ids=lambda harm: harm.__name__,
)
def test_every_other_link_is_refused(
    harm: Callable[[Path, Path], None], name: str, tiny_folder: Path, tmp_path: Path
) -> None:
    """Though the bytes there are the right ones."""
    snapshot = snapshot_of(tiny_folder, tmp_path / "hub", shared=False)
    outside = Path(shutil.copytree(tiny_folder, tmp_path / "outside"))
    harm(snapshot, outside / name)
    with pytest.raises(
        UnsafeFolderError, match=r"it is a link out of the folder .*hf download REPO --local-dir"
    ):
        Embedder(snapshot)


@pytest.mark.parametrize("moved", ["models", "snapshots"])
def test_another_layout_is_not_the_hubs(moved: str, tiny_folder: Path, tmp_path: Path) -> None:
    snapshot = snapshot_of(tiny_folder, tmp_path / "hub", shared=False)
    if moved == "models":
        model = snapshot.parents[1].rename(tmp_path / "hub" / "my-model")
        snapshot = model / "snapshots" / snapshot.name
    else:
        snapshot = snapshot.parent.rename(snapshot.parents[1] / "versions") / snapshot.name
    with pytest.raises(UnsafeFolderError, match="it is a link out of the folder"):
        Embedder(snapshot)


def a_link_to_a_device(place: Path) -> None:
    place.symlink_to("/dev/zero")


@pytest.mark.parametrize("name", ["e5.json", "model.onnx", WEIGHTS])
@pytest.mark.parametrize("make", [os.mkfifo, a_link_to_a_device], ids=["pipe", "device"])
@pytest.mark.parametrize("where", ["snapshot", "blobs"])
def test_no_pipe_or_device_is_opened(
    make: Callable[[Path], None], where: str, name: str, tiny_folder: Path, tmp_path: Path
) -> None:
    """An open pipe would wait for a writer, and /dev/zero has no end."""
    snapshot = snapshot_of(tiny_folder, tmp_path / "hub", shared=False)
    place = snapshot / name if where == "snapshot" else (snapshot / name).resolve()
    place.unlink()
    make(place)
    with pytest.raises(MissingFileError, match=f"has no {name}"):
        Embedder(snapshot)


@pytest.mark.parametrize("name", ["e5.json", "model.onnx", "tokenizer.json", "golden.npz"])
def test_a_small_file_that_is_another_is_refused(name: str, tiny_folder: Path, tmp_path: Path) -> None:
    """Though the link is the right one: blobs are named by a hash that nobody checks."""
    snapshot = snapshot_of(tiny_folder, tmp_path / "hub", shared=False)
    flip((snapshot / name).resolve(), 1)
    with pytest.raises((IntegrityError, ManifestError)):
        Embedder(snapshot)


def test_a_link_that_is_changed_under_an_open_model_changes_nothing(
    tiny_folder: Path, tmp_path: Path
) -> None:
    snapshot = snapshot_of(tiny_folder, tmp_path / "hub", shared=False)
    other = Path(shutil.copy(tiny_folder / WEIGHTS, tmp_path / "other"))
    flip(other, 20_000)
    with Embedder(snapshot, threads=1) as model:
        before = model.embed_documents("moon")
        link(snapshot / WEIGHTS, other)
        (snapshot.parents[1] / "blobs").rename(tmp_path / "away")
        np.testing.assert_array_equal(model.embed_documents("moon"), before)
    with pytest.raises(MissingFileError):
        Embedder(snapshot)
