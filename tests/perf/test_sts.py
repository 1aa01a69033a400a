from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from e5_onnx_perf.accuracy.data_folder import DataFolder
from e5_onnx_perf.accuracy.published import PUBLISHED_E5_SMALL
from e5_onnx_perf.accuracy.scores import cosines, spearman
from e5_onnx_perf.accuracy.stsb import read_pairs
from e5_onnx_perf.cli import main
from e5_onnx_perf.errors import DataError

GOOD = 'A cat.,"A cat, asleep.",4.5\nTea.,Bread.,0.5\nMoon.,The moon.,5.0\n'


def write(data: Path, text: str | bytes, *, language: str = "de") -> Path:
    name = f"stsb/stsb-{language}-test.csv"
    (data / "stsb").mkdir(exist_ok=True)
    content = text.encode() if isinstance(text, str) else text
    (data / name).write_bytes(content)
    with (data / "SHA256SUMS").open("a") as sums:
        sums.write(f"{hashlib.sha256(content).hexdigest()}  ./{name}\n")
    return data


def test_a_file_is_read(tmp_path: Path) -> None:
    pairs = read_pairs(DataFolder(write(tmp_path, GOOD)), "de")
    assert pairs.left == ["A cat.", "Tea.", "Moon."]
    assert pairs.right[0] == "A cat, asleep."
    assert pairs.scores.tolist() == [4.5, 0.5, 5.0]
    assert len(read_pairs(DataFolder(tmp_path), "de", 2).left) == 2


BAD: dict[str, tuple[str | bytes, str]] = {
    "columns": ("A.,B.,1.0\nA.,B.\n", r"stsb/stsb-de-test\.csv, line 2: 2 columns"),
    "no number": ("A.,B.,high\n", r"line 1: the score is 'high'"),
    "out of range": ("A.,B.,1\nA.,B.,7\n", r"line 2: the score is 7\.0, not 0 to 5"),
    "after lines in quotes": (
        'A.,"B\nB\nB.",1\nA.,B.,high\n',
        r"line 4: the score is 'high'",
    ),
    "not a number": ("A.,B.,nan\n", r"line 1: the score is nan, not 0 to 5"),
    "open quotes": ('A.,B.,1\nA.,"B.,1\n', r"stsb-de-test\.csv, line \d: unexpected end of data"),
    "not UTF-8": (b"A.,B.,1\n\xff,B.,1\n", r"stsb-de-test\.csv, line \d: 'utf-8' codec can't decode"),
    "empty": ("", "it is empty"),
}


@pytest.mark.parametrize("name", BAD)
def test_malformed_files_are_named_with_their_line(name: str, tmp_path: Path) -> None:
    text, message = BAD[name]
    with pytest.raises(DataError, match=message):
        read_pairs(DataFolder(write(tmp_path, text)), "de")


def test_unknown_languages_and_missing_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no language 'xx'; there are de, en"):
        read_pairs(DataFolder(tmp_path), "xx")
    with pytest.raises(DataError, match="there is no such file"):
        read_pairs(DataFolder(tmp_path), "de")


def test_hashes_are_compared(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    (tmp_path / "stsb" / "stsb-de-test.csv").write_text(GOOD + "A.,B.,1\n")
    with pytest.raises(DataError, match="its sha256 is"):
        read_pairs(DataFolder(tmp_path), "de")
    (tmp_path / "SHA256SUMS").write_text("\nno-hash-here\n")
    with pytest.raises(DataError, match=r"stsb/stsb-de-test\.csv: SHA256SUMS has no hash of it"):
        read_pairs(DataFolder(tmp_path), "de")
    (tmp_path / "SHA256SUMS").unlink()
    with pytest.raises(DataError, match=r"its sha256 is .*, its publisher says a92ce10"):
        read_pairs(DataFolder(tmp_path), "de")


def test_a_correlation_of_ties() -> None:
    # Ranks 1, 2.5, 2.5, 4 against 1 to 4: 4.5 of the square root of 4.5 * 5.
    found, truth = np.array([0.1, 0.5, 0.5, 0.9]), np.array([1.0, 2.0, 3.0, 4.0])
    assert spearman(found, truth) == pytest.approx(100 * 4.5 / (4.5 * 5) ** 0.5)
    assert spearman(-found, truth) == pytest.approx(-100 * 4.5 / (4.5 * 5) ** 0.5)


def test_scores_by_hand() -> None:
    assert spearman(np.array([1.0, 2.0, 3.0, 4.0]), np.array([10.0, 20.0, 40.0, 30.0])) == pytest.approx(80.0)
    left = np.array([[1, 0], [3, 4]], np.float32)
    right = np.array([[0, 2], [3, 4]], np.float32)
    assert cosines(left, right).tolist() == pytest.approx([0, 1])


def test_the_published_average() -> None:
    assert len(PUBLISHED_E5_SMALL) == 10
    assert sum(PUBLISHED_E5_SMALL.values()) / 10 == pytest.approx(78.46, abs=0.005)


def measure(folder: Path, data: Path, *words: str) -> dict[str, Any]:
    out = data / "out"
    arguments = ["accuracy", str(folder), str(folder), "--data", str(data), "--cache", str(data / "cache"),
                 "--out", str(out), "--tasks", "sts", "--resamples", "100", *words]  # fmt: skip
    assert main(arguments) == 0
    found: dict[str, Any] = json.loads((out / "accuracy.json").read_text("utf-8"))
    return found


def test_published_figures_stand_beside_ours(
    tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(write(tmp_path, GOOD), GOOD, language="ja")
    values = measure(tiny_folder, tmp_path, "--languages", "de,ja", "--convention", "reproduction")
    (candidate,) = values["candidates"]
    by = {row["language"]: row for row in candidate["tasks"]}
    assert (by["de"]["n"], by["ja"]["n"]) == (3, 3)
    printed = capsys.readouterr().out
    row = f"| {by['de']['reference']:.2f} | {by['de']['candidate']:.2f} | 78.94 |\n"
    assert f"| de {row}| mean of 1 {row}" in printed
    # Nothing is published of Japanese.
    assert "| ja |" not in printed


def test_texts_with_prompts_are_not_compared(
    tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write(tmp_path, GOOD)
    values = measure(tiny_folder, data, "--languages", "de", "--limit", "2")
    assert values["candidates"][0]["tasks"][0]["n"] == 2
    assert "published" not in capsys.readouterr().out


def test_languages_without_published_figures(
    tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write(tmp_path, GOOD, language="ja")
    measure(tiny_folder, data, "--languages", "ja", "--convention", "reproduction")
    assert "mean of" not in capsys.readouterr().out
