from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from runtime_folders import relist, unlist

from e5_onnx import verify as verify_module
from e5_onnx.errors import (
    IntegrityError,
    ManifestError,
    MissingFileError,
    ModelLoadError,
    OptionError,
    UnsafeFolderError,
)
from e5_onnx.verify import read_golden, verify_folder


def rewrite(folder: Path, **changes: Any) -> None:
    with np.load(folder / "golden.npz") as stored:
        arrays = dict(stored)
    np.savez(folder / "golden.npz", **{**arrays, **changes})
    relist(folder, "golden.npz")


def test_a_sound_folder_is_verified(tiny_folder: Path) -> None:
    report = verify_folder(tiny_folder, threads=1)
    assert report.files == 4
    assert 0 <= report.max_abs <= report.tolerance


def test_the_number_of_threads_is_the_callers(tiny_folder: Path) -> None:
    with pytest.raises(OptionError, match="threads is 0"):
        verify_folder(tiny_folder, threads=0)


def test_a_folder_without_golden_texts(tiny_folder_copy: Path) -> None:
    unlist(tiny_folder_copy, "golden.npz")
    with pytest.raises(MissingFileError, match=r"has no golden\.npz"):
        verify_folder(tiny_folder_copy)


def test_a_vector_that_differs(tiny_folder_copy: Path) -> None:
    vectors = read_golden(tiny_folder_copy / "golden.npz").vectors
    vectors[3, 0] += 0.01
    rewrite(tiny_folder_copy, vectors=vectors)
    with pytest.raises(IntegrityError, match="largest difference from the golden vectors is 0"):
        verify_folder(tiny_folder_copy)


def test_a_vector_that_is_not_a_number(tiny_folder_copy: Path) -> None:
    vectors = read_golden(tiny_folder_copy / "golden.npz").vectors
    vectors[3, 0] = np.nan
    rewrite(tiny_folder_copy, vectors=vectors)
    with pytest.raises(IntegrityError, match="is nan"):
        verify_folder(tiny_folder_copy)


def test_tokens_that_differ(tiny_folder_copy: Path) -> None:
    golden = read_golden(tiny_folder_copy / "golden.npz")
    rewrite(tiny_folder_copy, ids=np.concatenate(golden.ids) + 1)
    with pytest.raises(IntegrityError, match="token ids of golden text"):
        verify_folder(tiny_folder_copy)


MALFORMED = {
    "an array is missing": {"ids": None},
    "pickled objects": {"texts": np.array([object()])},
    "lengths that do not fit": {"lengths": np.array([1, 2])},
    "roles unknown": {"roles": np.array(["query", "boss"])},
    "tolerance not a number": {"tolerance": np.array("x")},
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_golden_files(tiny_folder_copy: Path, name: str) -> None:
    file = tiny_folder_copy / "golden.npz"
    with np.load(file) as stored:
        arrays = {**stored, **MALFORMED[name]}
    np.savez(file, **{key: value for key, value in arrays.items() if value is not None}, allow_pickle=True)
    with pytest.raises(ModelLoadError, match=r"golden\.npz cannot be loaded"):
        read_golden(file)


def test_a_golden_file_that_is_no_archive(tmp_path: Path) -> None:
    (tmp_path / "golden.npz").write_bytes(b"PK not really")
    with pytest.raises(ModelLoadError, match="File is not a zip file"):
        read_golden(tmp_path / "golden.npz")


def test_a_bomb_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify_module, "_UNPACKED_LIMIT", 1000)
    with zipfile.ZipFile(tmp_path / "golden.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("texts.npy", b"\0" * 1001)
    with pytest.raises(UnsafeFolderError, match="it unpacks to 1001 bytes"):
        read_golden(tmp_path / "golden.npz")


def test_a_manifest_without_weights(tiny_folder_copy: Path) -> None:
    unlist(tiny_folder_copy, "model.onnx.data")
    with pytest.raises(ManifestError):
        verify_folder(tiny_folder_copy)
