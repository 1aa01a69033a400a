from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from runtime_folders import edit, flip, relist, unlist

from e5_onnx import Embedder
from e5_onnx.cli import main
from e5_onnx.errors import (
    CheckpointFolderError,
    FolderError,
    FolderNotFoundError,
    FormatVersionError,
    IntegrityError,
    ManifestError,
    MissingFileError,
    ModelLoadError,
    OptionError,
    RuntimeTooOldError,
    StandardGraphError,
    UnsafeFolderError,
)
from e5_onnx.integrations.sentence_transformers import E5SentenceTransformer
from e5_onnx.model_folder import folder as folder_module
from e5_onnx.model_folder import manifest as manifest_module
from e5_onnx.model_folder.folder import open_folder

WEIGHTS = "model.onnx.data"


def test_a_sound_folder(tiny_folder: Path) -> None:
    opened = open_folder(tiny_folder)
    opened.check_everything()
    assert opened.size_bytes == sum(
        file.stat().st_size for file in tiny_folder.iterdir() if file.name not in ("e5.json", "README.md")
    )


def test_a_missing_folder_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(FolderNotFoundError, match=r"no model folder at .*absent: make one with `e5-export"):
        open_folder(tmp_path / "absent")


@pytest.mark.parametrize(
    "name", ["intfloat/multilingual-e5-small", "BAAI/bge-m3", "Snowflake/snowflake-arctic-embed-m-v1.5"]
)
def test_the_name_of_a_model_of_the_hub_is_the_source(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    model = name.partition("/")[2]
    message = f"with `e5-export {name}` and open {model}"
    with pytest.raises(FolderNotFoundError, match=re.escape(message)):
        Embedder(name)
    assert main(["info", name]) == 1
    assert message in capsys.readouterr().err


def test_a_folder_that_was_made_of_the_hubs_model_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bge-m3").mkdir()
    with pytest.raises(FolderNotFoundError, match=r"hub, open bge-m3, which is here$"):
        Embedder("BAAI/bge-m3")


@pytest.mark.parametrize("name", ["e5-small", "../a", "a/b/c", "here/model", ".hidden/b", "a b/c"])
def test_what_may_only_be_a_path_is_the_output(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").mkdir()
    with pytest.raises(
        FolderNotFoundError, match=f"make one with `e5-export SOURCE {re.escape(str(Path(name)))}`$"
    ):
        Embedder(name)


def test_a_checkpoint_is_not_a_model_folder(tmp_path: Path) -> None:
    (tmp_path / "config.json").touch()
    with pytest.raises(
        CheckpointFolderError, match=f"`e5-export {re.escape(str(tmp_path))} OUT` and open OUT"
    ):
        Embedder(tmp_path)


@pytest.mark.parametrize("folder", [None, 5, b"model", ["model"], ""])
def test_a_folder_that_is_no_path_is_refused(folder: Any) -> None:
    message = f"folder is {re.escape(repr(folder))}; it must be the path of a model folder"
    for kind in (Embedder, E5SentenceTransformer):
        with pytest.raises(OptionError, match=message):
            kind(folder)


def test_a_file_is_not_a_folder(tiny_folder: Path) -> None:
    with pytest.raises(FolderNotFoundError):
        open_folder(tiny_folder / "e5.json")


def test_half_written_folder(tiny_folder_copy: Path) -> None:
    (tiny_folder_copy / "e5.json").unlink()
    with pytest.raises(MissingFileError, match=r"has no e5\.json: the folder is incomplete"):
        open_folder(tiny_folder_copy)


def test_standard_export(tmp_path: Path) -> None:
    (tmp_path / "onnx").mkdir()
    (tmp_path / "onnx" / "model.onnx").touch()
    with pytest.raises(StandardGraphError, match="for other tools"):
        Embedder(tmp_path)


@pytest.mark.parametrize("name", ["model.onnx", WEIGHTS, "tokenizer.json", "golden.npz"])
def test_a_missing_file_is_named(tiny_folder_copy: Path, name: str) -> None:
    (tiny_folder_copy / name).unlink()
    with pytest.raises(MissingFileError, match=f"has no {name}"):
        open_folder(tiny_folder_copy)


@pytest.mark.parametrize("name", ["model.onnx", WEIGHTS, "tokenizer.json"])
def test_a_file_that_is_not_listed(tiny_folder_copy: Path, name: str) -> None:
    unlist(tiny_folder_copy, name)
    with pytest.raises(ManifestError, match=f"does not list {name}"):
        open_folder(tiny_folder_copy)


@pytest.mark.parametrize("name", ["model.onnx", WEIGHTS, "tokenizer.json", "golden.npz"])
def test_a_truncated_file_is_named(tiny_folder_copy: Path, name: str) -> None:
    file = tiny_folder_copy / name
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(IntegrityError, match=f"{name}: the size in bytes is"):
        open_folder(tiny_folder_copy)


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json", "golden.npz"])
def test_a_flipped_bit_in_a_small_file(tiny_folder_copy: Path, name: str) -> None:
    flip(tiny_folder_copy / name, 200)
    with pytest.raises(IntegrityError, match=f"{name}: the sha256 is"):
        open_folder(tiny_folder_copy).check()


def test_swapped_weights_are_noticed_when_the_folder_opens(tiny_folder_copy: Path) -> None:
    flip(tiny_folder_copy / WEIGHTS, 0)
    with pytest.raises(IntegrityError, match="the sampled sha256"):
        Embedder(tiny_folder_copy)


@pytest.mark.security
def test_a_flipped_bit_in_the_middle_is_noticed_by_verify(tiny_folder_copy: Path) -> None:
    # The word table is the first tensor, 38,400 bytes; 4 KiB at either end are in the sample.
    flip(tiny_folder_copy / WEIGHTS, 20_000)
    Embedder(tiny_folder_copy).close()
    with pytest.raises(IntegrityError, match=r"model\.onnx\.data: the sha256 is"):
        Embedder(tiny_folder_copy, verify=True)


def test_without_a_sampled_digest_the_size_alone_is_checked(tiny_folder_copy: Path) -> None:
    edit(tiny_folder_copy, lambda manifest: manifest["files"][WEIGHTS].pop("sampled_sha256"))
    open_folder(tiny_folder_copy).check()


@pytest.mark.security
@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "a\\b", "c:evil", "..", ".", "", "nul\0"])
def test_file_names_that_reach_out(tiny_folder_copy: Path, name: str) -> None:
    edit(tiny_folder_copy, lambda manifest: manifest["files"].update({name: {"bytes": 1, "sha256": "0"}}))
    with pytest.raises(UnsafeFolderError, match="not a plain file name"):
        open_folder(tiny_folder_copy)


@pytest.mark.security
def test_a_link_out_of_the_folder(tiny_folder_copy: Path, tmp_path: Path) -> None:
    outside = tmp_path / "tokenizer.json"
    (tiny_folder_copy / "tokenizer.json").rename(outside)
    (tiny_folder_copy / "tokenizer.json").symlink_to(outside)
    with pytest.raises(UnsafeFolderError, match=r"tokenizer\.json: it is a link out of .*hf download REPO"):
        open_folder(tiny_folder_copy)


@pytest.mark.security
def test_a_manifest_linked_from_outside_is_not_read(tiny_folder_copy: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text('["my token"]', "utf-8")
    (tiny_folder_copy / "e5.json").unlink()
    (tiny_folder_copy / "e5.json").symlink_to(secret)
    with pytest.raises(UnsafeFolderError, match=r"e5\.json: it is a link out of the folder") as caught:
        open_folder(tiny_folder_copy)
    assert "token" not in str(caught.value)


def test_a_linked_folder_is_fine(tiny_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tiny_folder)
    open_folder(tmp_path / "link").check()


@pytest.mark.security
def test_size_caps(tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest_module, "SMALL_FILE_LIMIT", 10_000)
    with pytest.raises(UnsafeFolderError, match="it is larger than"):
        open_folder(tiny_folder)
    monkeypatch.setattr(folder_module, "MANIFEST_LIMIT", 100)
    with pytest.raises(UnsafeFolderError, match=r"e5\.json: it is larger than"):
        open_folder(tiny_folder)


def test_a_manifest_that_is_not_utf_8(tiny_folder_copy: Path) -> None:
    (tiny_folder_copy / "e5.json").write_bytes(b"\xff\xfe{}")
    with pytest.raises(ManifestError, match="is not UTF-8"):
        open_folder(tiny_folder_copy)


def test_a_newer_major_format(tiny_folder_copy: Path) -> None:
    edit(tiny_folder_copy, lambda manifest: manifest.update(format_version=[2, 0]))
    with pytest.raises(FormatVersionError, match=r"format 2\.0, this e5-onnx reads 1\.x"):
        Embedder(tiny_folder_copy)


def test_an_older_onnxruntime(tiny_folder_copy: Path) -> None:
    edit(tiny_folder_copy, lambda manifest: manifest.update(onnxruntime_min="99.1"))
    with pytest.raises(RuntimeTooOldError, match=r"needs onnxruntime 99\.1 or newer"):
        Embedder(tiny_folder_copy)


@pytest.mark.security
def test_a_graph_with_a_foreign_operator_never_reaches_onnxruntime(tiny_folder_copy: Path) -> None:
    graph = tiny_folder_copy / "model.onnx"
    graph.write_bytes(graph.read_bytes().replace(b"com.microsoft", b"com.evilsoft1"))
    relist(tiny_folder_copy, "model.onnx")
    with pytest.raises(UnsafeFolderError, match=r"domain 'com\.evilsoft1'"):
        Embedder(tiny_folder_copy)


def test_a_graph_that_onnxruntime_refuses(tiny_folder_copy: Path) -> None:
    graph = tiny_folder_copy / "model.onnx"
    graph.write_bytes(graph.read_bytes().replace(b"LayerNormalization", b"LayerNormalisation"))
    relist(tiny_folder_copy, "model.onnx")
    with pytest.raises(ModelLoadError, match=r"model\.onnx cannot be loaded: .*LayerNormalisation"):
        Embedder(tiny_folder_copy)


def test_a_tokenizer_that_is_no_tokenizer(tiny_folder_copy: Path) -> None:
    (tiny_folder_copy / "tokenizer.json").write_text("{}", "utf-8")
    relist(tiny_folder_copy, "tokenizer.json")
    with pytest.raises(ModelLoadError, match=r"tokenizer\.json cannot be loaded"):
        Embedder(tiny_folder_copy)


def test_every_error_is_a_folder_error() -> None:
    assert issubclass(MissingFileError, FolderError)
    assert issubclass(MissingFileError, FileNotFoundError)
