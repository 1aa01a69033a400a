from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from runtime_folders import relist, unlist

from e5_onnx.errors import (
    IntegrityError,
    ManifestError,
    MissingFileError,
    ModelLoadError,
    OptionError,
    UnsafeFolderError,
)
from e5_onnx.model_folder import golden as golden_module
from e5_onnx.model_folder.golden import read_golden
from e5_onnx.verify import verify_folder


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


MALFORMED: dict[str, dict[str, Any]] = {
    "an array is missing": {"ids": None},
    "pickled objects": {"texts": np.array([object()])},
    "lengths that do not fit": {"lengths": np.array([1, 2])},
    "roles unknown": {"roles": np.array(["query", "boss"])},
    "tolerance not a number": {"tolerance": np.array("x")},
    "texts without letters": {"texts": np.zeros(10**6, "<U0")},
    "negative lengths": {"lengths": np.array([-1, 1])},
    "no texts": {
        "texts": np.array([], "<U1"),
        "roles": np.array([], "<U1"),
        "ids": np.array([], int),
        "lengths": np.array([], int),
        "vectors": np.zeros((0, 32), "f4"),
    },
    "numbers as vectors": {"vectors": np.zeros(12, "f4")},
    "vectors by columns": {"vectors": np.asfortranarray(np.zeros((12, 32), "f4"))},
}


@pytest.mark.security
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


def header(shape: str, kind: str = "<U0") -> bytes:
    text = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}".ljust(117).encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


HOSTILE = {
    "a billion texts without letters": header("(1000000000000,)"),
    "a shape beyond memory": header("(1000000000000000,)", "<U9"),
    "a negative shape": header("(-1,)", "<U9"),
    "void": header("(1000000000000,)", "|V0"),
    "no end of brackets": b"\x93NUMPY\x01\x00\x50\x00" + b"(" * 80,
    "minus signs": b"\x93NUMPY\x01\x00\x50\x00" + b"-" * 79 + b"1",
    "another version": b"\x93NUMPY\x03\x00",
    "beyond Unicode": header("(1,)", "<U1") + b"\xff\xff\xff\x7f",
    "nothing": b"",
}


@pytest.mark.security
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_golden_file_is_refused_at_once(tiny_folder_copy: Path, name: str) -> None:
    file = tiny_folder_copy / "golden.npz"
    with np.load(file) as stored:
        arrays = dict(stored)
    np.savez(file, **{key: value for key, value in arrays.items() if key != "texts"})
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr("texts.npy", HOSTILE[name])
    with pytest.raises(ModelLoadError, match=r"golden\.npz cannot be loaded"):
        read_golden(file)


@pytest.mark.parametrize("damage", ["encrypted", "another method", "corrupt"])
def test_an_archive_that_cannot_be_read(damage: str, tiny_folder_copy: Path) -> None:
    file = tiny_folder_copy / "golden.npz"
    data = bytearray(file.read_bytes())
    central = data.index(b"PK\x01\x02")
    if damage == "encrypted":
        data[6] |= 1
        data[central + 8] |= 1
    elif damage == "another method":
        data[8:10] = data[central + 10 : central + 12] = b"\x63\x00"
    else:
        data[8:10] = data[central + 10 : central + 12] = b"\x08\x00"
    file.write_bytes(data)
    with pytest.raises(ModelLoadError, match=r"golden\.npz cannot be loaded"):
        read_golden(file)


@pytest.mark.security
@pytest.mark.parametrize("tolerance", [np.inf, np.nan, -1.0, 1e9, 1e-3])
def test_a_folder_cannot_loosen_the_check(tolerance: float, tiny_folder_copy: Path) -> None:
    rewrite(tiny_folder_copy, tolerance=np.array(tolerance))
    with pytest.raises(IntegrityError, match=r"golden\.npz: the tolerance is .*at most 0\.0001"):
        verify_folder(tiny_folder_copy)


@pytest.mark.parametrize("columns", [1, 7])
def test_vectors_of_another_dimension(columns: int, tiny_folder_copy: Path) -> None:
    vectors = read_golden(tiny_folder_copy / "golden.npz").vectors
    rewrite(tiny_folder_copy, vectors=np.ascontiguousarray(vectors[:, :columns]))
    with pytest.raises(ModelLoadError, match="not of 32 components"):
        verify_folder(tiny_folder_copy)


@pytest.mark.security
def test_a_bomb_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(golden_module, "_UNPACKED_LIMIT", 1000)
    with zipfile.ZipFile(tmp_path / "golden.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("texts.npy", b"\0" * 1001)
    with pytest.raises(UnsafeFolderError, match="it unpacks to 1001 bytes"):
        read_golden(tmp_path / "golden.npz")


def test_a_manifest_without_weights(tiny_folder_copy: Path) -> None:
    unlist(tiny_folder_copy, "model.onnx.data")
    with pytest.raises(ManifestError):
        verify_folder(tiny_folder_copy)
