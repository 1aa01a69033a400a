"""The shape of sentence-transformers, and the vectors of the real one."""

from __future__ import annotations

import inspect
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

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


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "another prompt": (
        {"prompt_name": "sts"},
        "prompt_name is 'sts'; it must be one of query, document, passage",
    ),
    "a tensor": (
        {"convert_to_tensor": True},
        "convert_to_tensor is True; it must be False: torch.from_numpy",
    ),
    "tensors": ({"convert_to_numpy": False}, "convert_to_numpy is False; it must be True: torch.from_numpy"),
    "tokens": ({"output_value": "token_embeddings"}, "output_value is 'token_embeddings'; it must be 'sent"),
    "everything": ({"output_value": None}, "output_value is None; it must be 'sentence_embedding'"),
    "bits": ({"precision": "binary"}, "precision is 'binary'; it must be 'float32': quantize_embeddings of"),
    "a GPU": ({"device": "cuda"}, "device is 'cuda'; it must be 'cpu'"),
    "devices": ({"device": ["cpu", "cpu"]}, r"device is \['cpu', 'cpu'\]; it must be 'cpu'"),
    "less": ({"truncate_dim": 16}, "truncate_dim is 16; it must be None: cut the vectors, and divide them"),
    "a pool": ({"pool": {}}, "pool is {}; it must be None: one process uses all threads"),
    "pieces": ({"chunk_size": 5}, "chunk_size is 5; it must be None"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_it_has_not(name: str, tiny_folder: Path) -> None:
    options, message = REFUSED[name]
    for method in ("encode", "encode_query", "encode_document"):
        with pytest.raises(OptionError, match=message):
            getattr(E5SentenceTransformer(tiny_folder), method)(DOCUMENTS, **options)


NOT_OPENED = {
    "a GPU": ({"device": "cuda:0"}, "device is 'cuda:0'; it must be 'cpu'"),
    "prompts": (
        {"prompts": {"query": "q: "}},
        "must be None: the folder has its templates",
    ),
    "a prompt": ({"default_prompt_name": "query"}, "it must be None: call encode_query or encode_document"),
    "a revision": ({"revision": "main"}, "revision is 'main'; it must be None: `e5-export` takes a revision"),
    "half": ({"model_kwargs": {"dtype": "float16"}}, "must be None: the precision is chosen at export"),
    "a length": ({"processor_kwargs": {"model_max_length": 9}}, "must be None: the tokenizer is that of the"),
    "a configuration": ({"config_kwargs": {"x": 1}}, "must be None: the folder is configured at export"),
    "less": ({"truncate_dim": 16}, "truncate_dim is 16; it must be None"),
    "distance": (
        {"similarity_fn_name": "euclidean"},
        "is 'euclidean'; it must be 'cosine'",
    ),
}


@pytest.mark.parametrize("name", NOT_OPENED)
def test_what_it_is_not_opened_with(name: str, tiny_folder: Path) -> None:
    options, message = NOT_OPENED[name]
    with pytest.raises(OptionError, match=message):
        E5SentenceTransformer(tiny_folder, **options)  # type: ignore[arg-type]


def test_what_changes_nothing_is_ignored(tiny_folder: Path, model: Embedder) -> None:
    encoder = E5SentenceTransformer(
        str(tiny_folder),
        device="cpu",
        cache_folder="elsewhere",
        trust_remote_code=True,
        local_files_only=True,
        token="t",  # noqa: S106 - no secret
        backend="torch",
        similarity_fn_name="cosine",
    )
    found = encoder.encode_query(
        DOCUMENTS,
        batch_size=8,
        show_progress_bar=True,
        output_value="sentence_embedding",
        precision="float32",
        device="cpu",
        normalize_embeddings=True,
    )
    np.testing.assert_allclose(found, model.embed_queries(DOCUMENTS), atol=1e-6)
    encoder.max_seq_length = model.max_tokens
    with pytest.raises(OptionError, match=f"max_seq_length is 64; it must be {model.max_tokens}, as"):
        encoder.max_seq_length = 64


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

    real = list(inspect.signature(getattr(SentenceTransformer, method)).parameters)
    ours = list(inspect.signature(getattr(E5SentenceTransformer, method)).parameters)
    # `kwargs` are for modules that a model folder does not have.
    assert ours == [name for name in real if name != "kwargs"]
    names = {
        "similarity",
        "similarity_pairwise",
        "max_seq_length",
        "get_embedding_dimension",
        "similarity_fn_name",
    }
    assert names <= set(dir(SentenceTransformer))


@pytest.mark.reference
def test_it_is_opened_as_the_real_one_is(tiny_folder: Path) -> None:
    import torch
    from sentence_transformers import SentenceTransformer

    real = set(inspect.signature(SentenceTransformer.__init__).parameters)
    ours = set(inspect.signature(E5SentenceTransformer.__init__).parameters)
    assert ours - real == {"task", "overflow", "threads"}
    # Made of modules, written for a model card, or deprecated: nothing that one passes by habit.
    assert real - ours == {"modules", "model_card_data", "use_auth_token"}
    encoder = E5SentenceTransformer(tiny_folder, device=torch.device("cpu"))
    assert encoder.encode("tea", device=torch.device("cpu")).shape == (32,)
    with pytest.raises(OptionError, match=r"device is device\(type='meta'\); it must be 'cpu'"):
        encoder.encode("tea", device=torch.device("meta"))


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
