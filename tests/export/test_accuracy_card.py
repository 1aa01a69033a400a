"""Results of `e5-perf accuracy` in a folder's card."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard

from e5_onnx.model_folder.folder import open_folder
from e5_onnx_export.cards.accuracy import accuracy_table, add_accuracy, fidelity_lines
from e5_onnx_export.cli import main
from e5_onnx_export.errors import CardError

SUMMARY = {
    "task": "sts",
    "metric": "spearman",
    "languages": 11,
    "reference": 78.336,
    "candidate": 78.31,
    "delta": -0.026,
    "ci_low": -0.05,
    "ci_high": 0.01,
    "worst_language": "nl",
    "worst_delta": -0.13,
    "verdict": "holds",
}
FIDELITY = {
    "texts": 4300,
    "cosine_mean": 0.99983,
    "cosine_min": 0.9994,
    "centred_cosine_mean": 0.9991,
    "overlap_at_10": 0.967,
    "alone_against_batch_max_abs": 3e-8,
}


@pytest.fixture
def results(tiny_folder_copy: Path, tmp_path: Path) -> Path:
    """accuracy.json of the tiny folder and of another."""
    own = {
        "name": "tiny",
        "fingerprint": open_folder(tiny_folder_copy).manifest.fingerprint,
        "summary": [SUMMARY],
        "fidelity": FIDELITY,
    }
    values = {
        "reference": {"name": "full", "precision": "fp32"},
        "margin": {"average": 0.5, "language": 1.0},
        "candidates": [own, own | {"name": "other", "fingerprint": "abc"}],
    }
    return write(tmp_path, values)


def write(folder: Path, values: Any) -> Path:
    (folder / "accuracy.json").write_text(json.dumps(values), "utf-8")
    return folder


def test_the_table() -> None:
    table = accuracy_table([{"name": "tiny", "summary": [SUMMARY]}])
    assert table.splitlines()[2] == (
        "| tiny | sts | spearman | 11 | 78.34 | 78.31 | -0.03 | -0.05 to +0.01 | nl -0.13 | holds |"
    )
    assert accuracy_table([{"name": "tiny", "summary": []}]) == ""
    assert fidelity_lines([{"name": "tiny", "fidelity": {}}]) == ""
    assert "0.999830 on average, 0.999400 at the lowest" in fidelity_lines(
        [{"name": "t", "fidelity": FIDELITY}]
    )


def test_a_card_gets_its_own_results_once(
    results: Path, tiny_folder_copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    card = tiny_folder_copy / "README.md"
    card.write_text("# Tiny\n\nBy hand.\n", "utf-8")
    for _ in range(2):
        assert main(["card", str(tiny_folder_copy), str(results)]) == 0
    assert capsys.readouterr().out == f"{card}\n" * 2
    text = card.read_text("utf-8")
    assert text.startswith("# Tiny\n\nBy hand.\n\n<!-- accuracy: begin -->\n\n## Accuracy\n\n")
    assert text.count("| tiny | sts |") == text.count("## Accuracy") == 1
    assert "other" not in text
    assert "within 0.5 points on average and 1.0 in every language" in text
    # The card is not among the files that are hashed: the folder is as sound as before.
    open_folder(tiny_folder_copy).check_everything()


def test_what_is_written_below_stays(results: Path, tiny_folder_copy: Path) -> None:
    card = tiny_folder_copy / "README.md"
    card.unlink(missing_ok=True)
    add_accuracy(tiny_folder_copy, results / "accuracy.json")
    card.write_text(card.read_text("utf-8") + "\nA note.\n", "utf-8")
    add_accuracy(tiny_folder_copy, results)
    assert card.read_text("utf-8").startswith("A note.\n\n<!-- accuracy: begin -->")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"reference": {}, "margin": {}, "candidates": []}, "it has no candidate with the fingerprint of"),
        ([], "it is not what `e5-perf accuracy` writes"),
        ({"candidates": []}, "it is not what `e5-perf accuracy` writes"),
    ],
)
def test_results_of_something_else(values: Any, message: str, tiny_folder_copy: Path, tmp_path: Path) -> None:
    with pytest.raises(CardError, match=message):
        add_accuracy(tiny_folder_copy, write(tmp_path, values))


def test_no_results(tiny_folder_copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["card", str(tiny_folder_copy), str(tmp_path)]) == 1
    assert "accuracy.json: there is no such file: make it with `e5-perf accuracy" in capsys.readouterr().err
    (tmp_path / "accuracy.json").write_text("{", "utf-8")
    with pytest.raises(CardError, match="it is not JSON"):
        add_accuracy(tiny_folder_copy, tmp_path)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["{folder}", "{folder}/out", "--card", "{folder}"], "unrecognized arguments: --card"),
        (["card", "{folder}"], "e5-export card: error: the following arguments are required: RESULTS"),
    ],
)
def test_a_card_is_not_an_export(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main([word.format(folder=tmp_path) for word in words])
    assert message in capsys.readouterr().err


def test_the_hub_reads_what_was_measured_and_nothing_else(results: Path, tiny_folder_copy: Path) -> None:
    """Read by the hub's own library."""
    card = tiny_folder_copy / "README.md"
    card.write_text("---\nlicense: mit\nlibrary_name: onnx\n---\n# Tiny\n", "utf-8")
    for _ in range(2):
        add_accuracy(tiny_folder_copy, results)
    assert card.read_text("utf-8").count("model-index") == 1
    data = ModelCard.load(card).data
    (found,) = data.eval_results or []
    assert (data.library_name, data.model_name) == ("onnx", "tiny")
    assert (found.metric_type, found.metric_value) == ("spearman", 78.31)
    assert found.dataset_name == "sts of e5-perf accuracy, 11 languages"
    values = json.loads((results / "accuracy.json").read_text("utf-8"))
    add_accuracy(tiny_folder_copy, write(results, values | {"limit": 10}))
    assert "model-index" not in card.read_text("utf-8")
