"""Each integration asks for its own extra; this runs wherever the libraries are or are not installed."""

from __future__ import annotations

import importlib
import sys

import pytest

from e5_onnx.errors import E5Error, MissingExtraError
from e5_onnx.integrations.errors import DocumentTypeError, MixedVectorsError
from e5_onnx.integrations.fingerprints import FINGERPRINT_KEY, refuse_others

EXTRAS = {
    "langchain": ("langchain", "langchain_core.documents", "langchain-core"),
    "llama_index": ("llama-index", "llama_index.core.base.embeddings.base", "llama-index-core"),
    "haystack": ("haystack", "haystack", "haystack-ai"),
    "chroma": ("chroma", "chromadb.api.types", "chromadb"),
}


@pytest.mark.parametrize("name", EXTRAS)
def test_a_missing_library_is_asked_for(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    extra, blocked, distribution = EXTRAS[name]
    monkeypatch.setitem(sys.modules, blocked, None)
    monkeypatch.delitem(sys.modules, f"e5_onnx.integrations.{name}", raising=False)
    with pytest.raises(MissingExtraError) as caught:
        importlib.import_module(f"e5_onnx.integrations.{name}")
    assert str(caught.value) == f"{distribution} is not installed: `pip install 'e5-onnx[{extra}]'`"


def test_stored_fingerprints_are_compared() -> None:
    refuse_others("the store", [{}, {FINGERPRINT_KEY: "aa"}, {FINGERPRINT_KEY: None}], "aa")
    with pytest.raises(MixedVectorsError) as caught:
        refuse_others("the store", [{}, {FINGERPRINT_KEY: "bb"}], "aa")
    assert isinstance(caught.value, E5Error)
    assert str(caught.value) == (
        "the store holds vectors of the model with fingerprint bb, this model's is aa: they cannot be "
        "compared; open the model that they were made with, or embed everything again elsewhere"
    )


def test_what_is_no_document_is_named() -> None:
    error = DocumentTypeError(dict, "pass Documents")
    assert isinstance(error, TypeError)
    assert str(error) == "a document is dict, not Document: pass Documents"
    assert (error.found, error.instead) == (dict, "pass Documents")
