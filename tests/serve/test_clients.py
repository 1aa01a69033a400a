"""The clients that people already have, against a real server: right vectors, roles included."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from served import KEY, LocalServer
from waiting import PATIENCE_S

from e5_onnx import Embedder

pytestmark = [pytest.mark.reference, pytest.mark.filterwarnings("ignore")]  # of five other projects

TEXTS = ["moon", "the river of the city is red", "mond \u00fcber dem Fluss", "moon river " * 30]
NAME = "tiny_e5"


@pytest.fixture(scope="module")
def server(tiny_folder: Path) -> Iterator[LocalServer]:
    started = LocalServer(tiny_folder, ["--threads", "1"], keys=KEY)
    yield started
    started.kill()


@pytest.fixture(scope="module")
def truth(tiny_folder: Path) -> Callable[[str, list[str]], np.ndarray]:
    model = Embedder(tiny_folder)
    return lambda role, texts: model.encode(texts, role=role).vectors  # type: ignore[arg-type]


def least_cosine(found: object, expected: np.ndarray) -> float:
    vectors = np.array(found, np.float64)
    assert vectors.shape == expected.shape
    return float((vectors * expected).sum(axis=1).min())


@pytest.mark.parametrize("role", ["query", "document"])
def test_openai(role: str, server: LocalServer, truth) -> None:
    openai = pytest.importorskip("openai")
    client = openai.OpenAI(base_url=f"{server.url}/v1", api_key=KEY)
    # The client asks for base64 unless it is told otherwise.
    answer = client.embeddings.create(model=f"{NAME}:{role}", input=TEXTS)
    assert least_cosine([row.embedding for row in answer.data], truth(role, TEXTS)) >= 0.99999
    assert answer.usage.total_tokens > len(TEXTS)
    assert client.models.retrieve(answer.model).fingerprint == answer.system_fingerprint
    by_field = client.embeddings.create(
        model=NAME, input=TEXTS, encoding_format="float", extra_body={"input_type": role}
    )
    assert least_cosine([row.embedding for row in by_field.data], truth(role, TEXTS)) >= 0.99999
    without_v1 = openai.OpenAI(base_url=server.url, api_key=KEY)
    assert len(without_v1.embeddings.create(model=f"{NAME}:{role}", input="moon").data[0].embedding) == 32
    assert [model.id for model in client.models.list()] == [NAME, f"{NAME}:query", f"{NAME}:document"]
    with pytest.raises(openai.UnprocessableEntityError, match="input_type"):
        client.embeddings.create(model=NAME, input="moon")
    with pytest.raises(openai.AuthenticationError):
        openai.OpenAI(base_url=f"{server.url}/v1", api_key="wrong").models.list()


def test_langchain(server: LocalServer, truth) -> None:
    langchain = pytest.importorskip("langchain_openai")
    options = {"base_url": f"{server.url}/v1", "api_key": KEY, "check_embedding_ctx_length": False}
    queries = langchain.OpenAIEmbeddings(model=f"{NAME}:query", **options)
    documents = langchain.OpenAIEmbeddings(model=f"{NAME}:document", **options)
    assert least_cosine([queries.embed_query(text) for text in TEXTS], truth("query", TEXTS)) >= 0.99999
    assert least_cosine(documents.embed_documents(TEXTS), truth("document", TEXTS)) >= 0.99999


def test_llama_index(server: LocalServer, truth) -> None:
    like = pytest.importorskip("llama_index.embeddings.openai_like")
    options = {"api_base": f"{server.url}/v1", "api_key": KEY}
    queries = like.OpenAILikeEmbedding(model_name=f"{NAME}:query", **options)
    documents = like.OpenAILikeEmbedding(model_name=f"{NAME}:document", **options)
    assert (
        least_cosine([queries.get_query_embedding(text) for text in TEXTS], truth("query", TEXTS)) >= 0.99999
    )
    assert least_cosine(documents.get_text_embedding_batch(TEXTS), truth("document", TEXTS)) >= 0.99999


def test_huggingface_hub(server: LocalServer, truth) -> None:
    from huggingface_hub import InferenceClient
    from huggingface_hub.errors import HfHubHTTPError

    for path in ("/embed", "", "/"):
        client = InferenceClient(server.url + path, api_key=KEY)
        for role in ("query", "document"):
            found = [client.feature_extraction(text, prompt_name=role)[0] for text in TEXTS]
            assert least_cosine(found, truth(role, TEXTS)) >= 0.99999
    told = client.feature_extraction("moon", prompt_name="query", truncate=True, truncation_direction="Right")  # type: ignore[arg-type]
    assert least_cosine(told, truth("query", ["moon"])) >= 0.99999
    with pytest.raises(HfHubHTTPError, match="422"):
        client.feature_extraction("moon", prompt_name="query", truncate=True, truncation_direction="Left")  # type: ignore[arg-type]


def test_answers_are_what_the_openapi_document_says(server: LocalServer) -> None:
    schemathesis = pytest.importorskip("schemathesis")
    from hypothesis import HealthCheck, Phase, given, settings
    from schemathesis.specs.openapi import checks

    schema = schemathesis.openapi.from_url(f"{server.url}/openapi.json")
    statuses: set[int] = set()
    headers = {"Authorization": f"Bearer {KEY}"}

    def call(case) -> None:
        answer = case.call(headers=headers, timeout=PATIENCE_S)
        statuses.add(answer.status_code)
        case.validate_response(
            answer,
            checks=[
                checks.status_code_conformance,
                checks.content_type_conformance,
                checks.response_schema_conformance,
            ],
        )

    few = settings(
        max_examples=40,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    for operation in schema.get_all_operations():
        few(given(operation.ok().as_strategy())(call))()
    assert 200 in statuses
    assert {400, 422} & statuses
    assert max(statuses) < 500
