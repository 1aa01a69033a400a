"""Chroma's own client around the model."""

from __future__ import annotations

import functools
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from integration_texts import DOCUMENTS, QUERY
from runtime_folders import edit

from e5_onnx import Embedder
from e5_onnx.integrations.errors import MixedVectorsError

pytestmark = pytest.mark.reference


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Any]:
    import chromadb

    yield chromadb.PersistentClient(str(tmp_path / "chroma"))
    chromadb.api.client.SharedSystemClient.clear_system_cache()


def test_roles(tiny_folder: Path, model: Embedder) -> None:
    from e5_onnx.integrations.chroma import E5EmbeddingFunction

    function = E5EmbeddingFunction(tiny_folder)
    np.testing.assert_allclose(function(DOCUMENTS), model.embed_documents(DOCUMENTS), atol=1e-6)
    np.testing.assert_allclose(function.embed_query([QUERY]), model.embed_queries([QUERY]), atol=1e-6)
    with_task = E5EmbeddingFunction(tiny_folder, task="find").embed_query([QUERY])
    np.testing.assert_allclose(with_task, model.embed_queries([QUERY], task="find"), atol=1e-6)


@pytest.mark.parametrize("again", [True, False])
def test_a_collection_finds_what_the_model_finds(
    again: bool, tiny_folder: Path, model: Embedder, client: Any
) -> None:
    from e5_onnx.integrations.chroma import E5EmbeddingFunction

    function = E5EmbeddingFunction(tiny_folder)
    collection = client.create_collection("documents", embedding_function=function)
    collection.add(ids=["0", "1", "2"], documents=DOCUMENTS)
    if again:
        # Chroma makes the function from what it stored.
        collection = client.get_collection("documents")
    found = collection.query(query_texts=[QUERY], n_results=3)
    scores = model.embed_documents(DOCUMENTS) @ model.embed_queries(QUERY)
    assert found["ids"] == [[str(n) for n in np.argsort(-scores)]]
    np.testing.assert_allclose(found["distances"][0], 1 - np.sort(scores)[::-1], atol=1e-5)
    assert collection.configuration_json["embedding_function"]["config"]["fingerprint"] == model.fingerprint


def test_two_models_are_not_mixed(tiny_folder: Path, other_folder: Path, client: Any) -> None:
    from e5_onnx.integrations.chroma import E5EmbeddingFunction

    one, other = E5EmbeddingFunction(tiny_folder), E5EmbeddingFunction(other_folder)
    collection = client.create_collection("documents", embedding_function=one)
    for get in (client.get_collection, client.get_or_create_collection):
        assert get("documents", embedding_function=one).id == collection.id
        with pytest.raises(ValueError, match=f"conflict: new: {other.name()} vs persisted: {one.name()}"):
            get("documents", embedding_function=other)
    assert one.name() == f"e5_onnx_{one.fingerprint[:16]}"
    assert E5EmbeddingFunction.name() == "e5_onnx"


def test_a_folder_with_another_model_by_now(tiny_folder_copy: Path, client: Any) -> None:
    from e5_onnx.integrations.chroma import E5EmbeddingFunction

    function = E5EmbeddingFunction(tiny_folder_copy, overflow="truncate", threads=1)
    client.create_collection("documents", embedding_function=function).add(ids=["0"], documents=["moon"])
    config = function.get_config()
    assert E5EmbeddingFunction.build_from_config(config).get_config() == config
    E5EmbeddingFunction.validate_config(config)
    edit(tiny_folder_copy, lambda manifest: manifest["recipe"].update(default_task="another"))
    with pytest.raises(MixedVectorsError, match="the collection holds vectors of the model with fingerprint"):
        E5EmbeddingFunction.build_from_config(config)
    with pytest.raises(ValueError, match="the collection holds vectors of the model with fingerprint"):
        client.get_collection("documents").query(query_texts=["moon"])


def test_another_process_goes_on_with_a_collection(tiny_folder: Path, tmp_path: Path, client: Any) -> None:
    from e5_onnx.integrations.chroma import E5EmbeddingFunction

    function = E5EmbeddingFunction(tiny_folder)
    client.create_collection("documents", embedding_function=function).add(ids=["a"], documents=["moon"])
    code = """
import sys
import chromadb
from e5_onnx.integrations.chroma import E5EmbeddingFunction
client = chromadb.PersistentClient(sys.argv[1])
function = dict(embedding_function=E5EmbeddingFunction(sys.argv[2])) if len(sys.argv) > 2 else {}
for get in (client.get_collection, client.get_or_create_collection):
    print(get("documents", **function).query(query_texts=["moon"], n_results=1)["ids"])
"""
    command = [sys.executable, "-c", code, str(tmp_path / "chroma")]
    run = functools.partial(subprocess.run, capture_output=True, text=True, check=False)
    assert run([*command, str(tiny_folder)]).stdout == "[['a']]\n[['a']]\n"
    # As the page says: Chroma does not know the function by itself, and refuses.
    without = run(command)
    assert (without.stdout, f"Embedding function {function.name()} not found" in without.stderr) == ("", True)


def test_how_vectors_are_compared(tiny_folder: Path, client: Any) -> None:
    from e5_onnx.integrations.chroma import E5EmbeddingFunction

    function = E5EmbeddingFunction(tiny_folder)
    assert function.default_space() in function.supported_spaces()
    collection = client.create_collection("documents", embedding_function=function)
    assert collection.configuration_json["hnsw"]["space"] == "cosine"
