"""The shape of sentence-transformers, and the vectors of the real one."""

from __future__ import annotations

import inspect
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from integration_texts import DOCUMENTS, QUERY

from e5_onnx import Embedder
from e5_onnx.errors import OptionError
from e5_onnx.integrations.sentence_transformers import E5SentenceTransformer
from e5_onnx.integrations.shared_model import shared_embedder


def test_roles(tiny_folder: Path, model: Embedder) -> None:
    encoder = E5SentenceTransformer(tiny_folder)
    documents, queries = model.embed_documents(DOCUMENTS), model.embed_queries(DOCUMENTS)

    def raw(texts: str | list[str]) -> np.ndarray:
        return model.encode(texts, role="raw").vectors

    for found, expected in [
        (encoder.encode(DOCUMENTS), raw(DOCUMENTS)),
        (encoder.encode_document(DOCUMENTS), documents),
        (encoder.encode(DOCUMENTS, prompt_name="passage"), documents),
        (encoder.encode_query(DOCUMENTS, show_progress_bar=False, normalize_embeddings=False), queries),
        (encoder.encode(DOCUMENTS, "query", batch_size=1), queries),
        (encoder.encode(QUERY), raw(QUERY)),
        (encoder.encode_query(QUERY), model.embed_queries(QUERY)),
        (
            E5SentenceTransformer(tiny_folder, task="find").encode_query(QUERY),
            model.embed_queries(QUERY, task="find"),
        ),
        (encoder.encode_query(QUERY, prompt="find: "), raw("find: " + QUERY)),
        (encoder.encode_document(DOCUMENTS, prompt="t: "), raw(["t: " + text for text in DOCUMENTS])),
    ]:
        np.testing.assert_allclose(found, expected, atol=1e-6)
    assert encoder.fingerprint == model.fingerprint
    assert encoder.get_embedding_dimension() == encoder.get_sentence_embedding_dimension() == model.dimension
    assert encoder.max_seq_length == model.max_tokens


def test_similarities(tiny_folder: Path) -> None:
    encoder = E5SentenceTransformer(tiny_folder)
    vectors = encoder.encode(DOCUMENTS)
    np.testing.assert_allclose(np.diag(encoder.similarity(vectors, vectors)), 1, atol=1e-6)
    np.testing.assert_allclose(encoder.similarity_pairwise(vectors, vectors), 1, atol=1e-6)
    assert encoder.similarity(vectors[0], vectors).shape == (1, 3)


REFUSED = {
    "another prompt": (
        {"prompt_name": "sts"},
        "prompt_name is 'sts'; it must be one of query, document, passage",
    ),
    "a tensor": (
        {"convert_to_tensor": True},
        "convert_to_tensor is True; it must be False: torch.from_numpy",
    ),
    "tensors": ({"convert_to_numpy": False}, "convert_to_numpy is False; it must be True: torch.from_numpy"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_it_has_not(name: str, tiny_folder: Path) -> None:
    options, message = REFUSED[name]
    for method in ("encode", "encode_query", "encode_document"):
        with pytest.raises(OptionError, match=message):
            getattr(E5SentenceTransformer(tiny_folder), method)(DOCUMENTS, **options)


def test_a_model_is_opened_once(tiny_folder: Path, tiny_folder_copy: Path) -> None:
    one, same = shared_embedder(tiny_folder), shared_embedder(str(tiny_folder))
    assert one is same
    assert shared_embedder(tiny_folder_copy) is not one
    assert shared_embedder(tiny_folder, threads=1) is not one
    E5SentenceTransformer(tiny_folder_copy)


@pytest.mark.reference
@pytest.mark.parametrize("method", ["encode", "encode_query", "encode_document"])
def test_it_takes_what_the_real_one_takes(method: str) -> None:
    from sentence_transformers import SentenceTransformer

    real = inspect.signature(getattr(SentenceTransformer, method)).parameters
    ours = inspect.signature(getattr(E5SentenceTransformer, method)).parameters
    assert set(ours) <= set(real)
    assert list(real)[: len(ours)][:4] == list(ours)[:4]
    names = {
        "similarity",
        "similarity_pairwise",
        "max_seq_length",
        "get_embedding_dimension",
        "similarity_fn_name",
    }
    assert names <= set(dir(SentenceTransformer))


@pytest.mark.reference
def test_it_gives_the_vectors_of_the_real_one(tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
    from tiny_models import XLM_ROBERTA, tiny_weights, write_checkpoint
    from tiny_tokenizers import write_tiny_tokenizer

    from e5_onnx_export import ExportRequest, RecipeRequest, export

    # onnxruntime's attention takes heads of 8, 16, ... components.
    architecture = replace(XLM_ROBERTA, hidden=32, intermediate=64)
    tokenizer = write_tiny_tokenizer(tmp_path / "tokenizer.json")
    checkpoint = write_checkpoint(
        tmp_path / "checkpoint", architecture, tiny_weights(architecture), tokenizer
    )
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "<pad>", "model_max_length": 32}
    (checkpoint / "tokenizer_config.json").write_text(json.dumps(settings), "utf-8")
    body = Transformer(str(checkpoint))
    real = SentenceTransformer(
        modules=[body, Pooling(32, "mean"), Normalize()],
        prompts={"query": "query: ", "document": "passage: "},
        device="cpu",
    )
    export(ExportRequest(str(checkpoint), tmp_path / "folder", recipe=RecipeRequest("e5-prefix")))
    ours = E5SentenceTransformer(tmp_path / "folder")
    for method in ("encode", "encode_query", "encode_document"):
        expected = getattr(real, method)(DOCUMENTS)
        np.testing.assert_allclose(getattr(ours, method)(DOCUMENTS), expected, atol=1e-5)
