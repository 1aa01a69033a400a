from __future__ import annotations

import io
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from runtime_folders import edit

from e5_onnx import Embedder
from e5_onnx.cli import info, main
from e5_onnx.model_folder.folder import ModelFolder, open_folder
from e5_onnx.model_folder.manifest import LeanProof
from e5_onnx.recipes import WEB_SEARCH_TASK

DOCUMENTS = ["the moon", "tea and bread", "the moon", "", "red house\x1b[31m " + "tea " * 26]


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    path = tmp_path / "documents.jsonl"
    path.write_text("".join(json.dumps({"body": text}) + "\n" for text in DOCUMENTS), "utf-8")
    return path


def search(tiny_folder: Path, documents: Path, *arguments: str) -> int:
    return main(["search", str(tiny_folder), str(documents), *arguments, "--field", "body"])


def test_search_ranks_as_the_library_does(
    tiny_folder: Path, documents: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert search(tiny_folder, documents, "moon", "--json") == 0
    rows = json.loads(capsys.readouterr().out)
    with Embedder(tiny_folder) as model:
        scores = model.embed_documents(DOCUMENTS) @ model.embed_queries("moon", task=WEB_SEARCH_TASK)
    assert [set(row) for row in rows] == [{"rank", "score", "index", "text"}] * 5
    assert [row["rank"] for row in rows] == [1, 2, 3, 4, 5]
    assert [row["score"] for row in rows] == pytest.approx(sorted(scores.tolist(), reverse=True), abs=2e-6)
    assert [row["text"] for row in rows] == [DOCUMENTS[row["index"]] for row in rows]
    places = [row["index"] for row in rows]
    assert places.index(0) + 1 == places.index(2)


def test_search_from_stdin_with_a_task(
    tiny_folder: Path, documents: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"moon\n"), "ascii"))
    assert search(tiny_folder, documents, "-", "--task", "find", "--top", "2", "--json", "--no-progress") == 0
    rows = json.loads(capsys.readouterr().out)
    with Embedder(tiny_folder) as model:
        best = (model.embed_documents(DOCUMENTS) @ model.embed_queries("moon", task="find")).max()
    assert len(rows) == 2
    assert rows[0]["score"] == pytest.approx(float(best), abs=2e-6)


def test_search_for_people(tiny_folder: Path, documents: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert search(tiny_folder, documents, "moon") == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5
    assert all("\x1b" not in line and len(line) < 130 for line in lines)
    assert any(line.endswith("…") for line in lines)


def test_search_in_nothing(tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty.txt").touch()
    assert main(["search", str(tiny_folder), str(tmp_path / "empty.txt"), "moon"]) == 0
    assert capsys.readouterr().out == "no documents\n"


def test_a_long_query_is_refused_under_error(
    tiny_folder: Path, documents: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert search(tiny_folder, documents, "moon " * 400, "--overflow", "error") == 1
    assert "the model takes 128" in capsys.readouterr().err
    assert search(tiny_folder, documents, "moon " * 400, "--overflow", "window") == 0


def test_a_model_without_roles_needs_no_role(tiny_folder_copy: Path, tmp_path: Path) -> None:
    plain = {"name": "plain", "query_template": "{text}", "document_template": "{text}", "default_task": None}
    edit(tiny_folder_copy, lambda manifest: manifest.update(recipe=plain))
    (tmp_path / "in.txt").write_text("moon", "utf-8")
    out = str(tmp_path / "out.npy")
    assert main(["embed", str(tiny_folder_copy), str(tmp_path / "in.txt"), "--output", out]) == 0


def test_verify(tiny_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(tiny_folder), "--threads", "1"]) == 0
    assert "4 files whole; 15 golden texts within" in capsys.readouterr().out


def test_verify_says_what_is_wrong(tiny_folder_copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = bytearray((tiny_folder_copy / "model.onnx.data").read_bytes())
    data[20_000] ^= 1
    (tiny_folder_copy / "model.onnx.data").write_bytes(data)
    assert main(["verify", str(tiny_folder_copy)]) == 1
    assert "e5: error: model.onnx.data: the sha256 is" in capsys.readouterr().err


def test_info_as_json(tiny_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(tiny_folder), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    with Embedder(tiny_folder) as model:
        assert facts["fingerprint"] == model.fingerprint
        assert facts["threads"]["count"] == model.threads
    assert facts["recipe"]["name"] == "e5-instruct"
    assert facts["parity"]["checked"] is True
    assert facts["size_bytes"] == sum(entry["bytes"] for entry in facts["files"].values())
    assert facts["slower_exact_kernels"] is False


@pytest.mark.security
def test_info_for_people(tiny_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(tiny_folder)]) == 0
    out = capsys.readouterr().out
    for expected in (
        "e5-instruct",
        r"Instruct: {task}\nQuery: {text}",
        "against numpy on",
        "threads",
        "fp32",
    ):
        assert expected in out


def info_of(folder: ModelFolder, **changes: Any) -> str:
    changed = replace(folder.manifest, **changes)
    return info._table(info.gather(replace(folder, manifest=changed)))


def test_info_of_other_folders(tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = open_folder(tiny_folder)
    manifest = folder.manifest
    source = replace(manifest.source, revision="abc", license=None, note="by hand")
    assert " at abc (by hand), licence unknown" in info_of(folder, source=source)
    assert "not compared" in info_of(folder, parity=replace(manifest.parity, checked=False))
    monkeypatch.setattr(info, "kernels_are_exact", lambda: True)
    assert "exact here" in info_of(folder)
    monkeypatch.setattr(info, "kernels_are_exact", lambda: False)
    monkeypatch.setattr(info, "needs_exact_kernels", lambda _manifest, _choice: True)
    table = info_of(
        folder, precision="int8", weight_bits=8, extra={"kept_in_fp32": ["layer.0.qkv"]},
        lean_tokenizer=LeanProof("tokie", "0.1.4", 43_000),
    )  # fmt: skip
    assert "int8, 8-bit weights, in fp32: layer.0.qkv" in table
    assert "not exact here, so slower exact ones are used" in table
    assert "tokenizers here; tokie 0.1.4 proved equal on 43,000 texts" in table
    monkeypatch.setattr(info, "needs_exact_kernels", lambda _manifest, _choice: False)
    table = info_of(folder, precision="int8", weight_bits=8, weight_pair_sum=128)
    assert "not exact here, which this folder's weights cannot bring about" in table
    monkeypatch.setattr(info, "check_proof", lambda _manifest: None)
    lean = info_of(folder, lean_tokenizer=LeanProof("tokie", "0.1.4", 43_000))
    assert "tokie here; tokie 0.1.4 proved equal on 43,000 texts" in lean
