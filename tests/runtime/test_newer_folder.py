"""A folder of an imagined format 1.7: new words are kept, what would make other vectors is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from runtime_folders import edit

from e5_onnx import Embedder, verify_folder
from e5_onnx.cli import main
from e5_onnx.errors import FormatVersionError, ManifestError
from e5_onnx.inference.session import Session

TEXTS = ["tea", "the moon " * 40, ""]


def make_newer(manifest: dict[str, Any]) -> None:
    manifest["format_version"] = [1, 7]
    manifest["precision"] = "int3"
    manifest["pooling"] = "lasttoken"
    manifest["recipe"]["name"] = "bge"
    manifest["recipe"]["since"] = 2031
    manifest["architecture"] |= {"body": "modernbert", "hidden": 24, "rotary": True}
    manifest["parity"]["reference"] = "jax"
    manifest["sparse"] = {"output": "token_weights"}
    manifest["lean_tokenizer"] = {"library": "leaner", "version": "3", "texts": 1, "proof": "x"}
    manifest["files"]["tokenizer.json"]["blake3"] = "00"


@pytest.fixture
def newer(tiny_folder_copy: Path) -> Path:
    edit(tiny_folder_copy, make_newer)
    return tiny_folder_copy


def test_it_gives_the_vectors_of_its_graph(newer: Path, tiny_folder: Path) -> None:
    with Embedder(newer) as model, Embedder(tiny_folder) as today:
        np.testing.assert_array_equal(model.embed_queries(TEXTS), today.embed_queries(TEXTS))
        np.testing.assert_array_equal(model.embed_documents(TEXTS), today.embed_documents(TEXTS))
        assert model.tokenizer == "tokenizers"
        assert model.dimension == today.dimension == 32


def test_its_words_and_keys_are_kept(newer: Path) -> None:
    with Embedder(newer) as model:
        manifest = model.manifest
    assert manifest.format_version == (1, 7)
    assert (manifest.precision, manifest.pooling, manifest.recipe.name) == ("int3", "lasttoken", "bge")
    assert (manifest.architecture.body, manifest.architecture.hidden) == ("modernbert", 24)
    assert manifest.extra["sparse"] == {"output": "token_weights"}


def test_it_is_shown_and_verified(newer: Path, tiny_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert verify_folder(newer).max_abs == verify_folder(tiny_folder).max_abs
    assert main(["info", str(newer), "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)["summary"]
    assert "modernbert" in summary["encoder"]
    assert "lasttoken pooling" in summary["encoder"]
    assert (summary["recipe"], summary["precision"]) == ("bge", "int3")


@pytest.mark.parametrize(
    ("change", "unknown"),
    [
        (lambda manifest: manifest.update(requires=["titles", "dates"]), "requires is titles, dates"),
        (
            lambda manifest: manifest["recipe"].update(query_template="{title}: {text}"),
            "recipe.query_template has the placeholder {title}",
        ),
        (
            lambda manifest: manifest["recipe"].update(document_template="{text} {title} {task}"),
            "recipe.document_template has the placeholder {title}",
        ),
    ],
)
def test_what_makes_other_vectors_is_refused(
    newer: Path, change: Callable[[dict[str, Any]], object], unknown: str
) -> None:
    edit(newer, change)
    with pytest.raises(FormatVersionError) as caught:
        Embedder(newer)
    assert str(caught.value) == (
        f"{unknown}: the folder has format 1.7 and was made by a newer e5-onnx, this one knows 1.0: "
        "upgrade with `pip install -U e5-onnx`"
    )
    assert caught.value.unknown == unknown


def test_a_graph_with_a_further_input_is_refused(newer: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Session, "inputs", ("input_ids", "attention_mask", "title_mask"))
    with pytest.raises(FormatVersionError, match=r"model\.onnx takes the input 'title_mask': the folder has"):
        Embedder(newer)


def test_braces_in_a_template_of_this_version_are_its_own(tiny_folder_copy: Path) -> None:
    edit(tiny_folder_copy, lambda manifest: manifest["recipe"].update(document_template="{title} {text}"))
    with Embedder(tiny_folder_copy) as model:
        (written,) = model.tokenize(["tea"], role="document")
        np.testing.assert_array_equal(written, model.tokenize(["{title} tea"], role="raw")[0])


@pytest.mark.parametrize("verify", [True, False])
def test_a_dimension_that_is_not_the_graphs(tiny_folder_copy: Path, *, verify: bool) -> None:
    edit(tiny_folder_copy, lambda manifest: manifest.update(dimension=12))
    with pytest.raises(ManifestError, match=r"dimension: is 12, and model\.onnx gives vectors of 32"):
        verify_folder(tiny_folder_copy) if verify else Embedder(tiny_folder_copy)


def test_a_graph_that_does_not_say_its_dimension(tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session = Session(tiny_folder, 1)
    assert session.dimension == 32
    monkeypatch.setattr(Session, "dimension", None)
    with Embedder(tiny_folder) as model:
        assert model.embed_documents(TEXTS).shape == (3, 32)
