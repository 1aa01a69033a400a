"""Bodies of clients that are not installed here, as they were seen on the wire."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from served import Served

from e5_onnx import Embedder

# Each asks for the vector of "hi": as a query where it can say so, else as the operator chose.
BODIES = {
    "litellm 1.82 openai/": ("/v1/embeddings",
                             '{"model":"tiny:query","input":["hi"],"encoding_format":null}'),
    "litellm 1.110 openai/": ("/v1/embeddings", '{"model":"tiny:query","input":["hi"]}'),
    "litellm nvidia_nim/": ("/v1/embeddings", '{"model":"tiny","input":["hi"],"input_type":"query"}'),
    "litellm voyage/": ("/v1/embeddings", '{"model":"tiny:query","input":["hi"]}'),
    "openai js 6": ("/v1/embeddings", '{"model":"tiny:query","input":["hi"],"encoding_format":"base64"}'),
    "@ai-sdk/openai": ("/v1/embeddings", '{"model":"tiny:query","input":["hi"],"encoding_format":"float"}'),
    "open-webui": ("/v1/embeddings", '{"input":["hi"],"model":"tiny:query"}'),
    "open-webui with a user": ("/v1/embeddings", '{"input":["hi"],"model":"tiny:query","user":"alice"}'),
    "haystack OpenAITextEmbedder": ("/v1/embeddings",
                                    '{"model":"tiny:query","input":"hi","encoding_format":"float"}'),
    "@langchain/openai": ("/v1/embeddings", '{"model":"tiny:query","input":"hi"}'),
    "@huggingface/inference": ("/embed", '{"inputs":"hi","prompt_name":"query","normalize":true}'),
    "@huggingface/inference, root": ("/", '{"inputs":["hi"],"prompt_name":"query","truncate":true}'),
    "huggingface_hub of 2023": ("/", '{"inputs":["hi"],"parameters":{"prompt_name":"query"},'
                                     '"options":{"wait_for_model":true,"use_cache":true}}'),
    "SageMaker": ("/invocations", '{"inputs":["hi"],"prompt_name":"query"}'),
    "llama-index TextEmbeddingsInference": ("/embed", '{"inputs":["hi"],"truncate":true}'),
    "chroma HuggingFaceEmbeddingServer": ("/embed", '{"inputs":["hi"]}'),
    "a form that was left blank": ("/v1/embeddings",
                                   '{"model":"tiny:query","input":"hi","dimensions":"","task":"","user":null}'),
}  # fmt: skip


@pytest.mark.parametrize("client", BODIES)
def test_recorded_bodies_are_understood(
    client: str, serve_app: Callable[..., Served], tiny_folder: Path
) -> None:
    path, body = BODIES[client]
    answer = serve_app(default_role="query").send("POST", path, content=body.encode())
    assert answer.status_code == 200, answer.text
    values = answer.json()
    found = values["data"][0]["embedding"] if isinstance(values, dict) else values[0]
    if "base64" in body:
        found = np.frombuffer(base64.b64decode(found), "<f4")
    with Embedder(tiny_folder, threads=1) as model:
        np.testing.assert_allclose(np.array(found), model.embed_queries("hi"), atol=2e-6)


# What would ask for another vector than "hi" as it is written, in words that this server does not have.
OTHERS: dict[str, dict[str, Any]] = {
    "open-webui with a prefix": {"model": "tiny", "input": ["hi"], "prefix": "query: "},
    "vLLM": {"model": "tiny", "input": "hi", "truncate_prompt_tokens": 1},
    "vLLM, chat": {"model": "tiny", "messages": [{"role": "user", "content": "hi"}], "input": "hi"},
    "Jina": {"model": "tiny", "input": ["hi"], "late_chunking": True},
    "Jina, bits": {"model": "tiny", "input": ["hi"], "embedding_type": "binary"},
    "Voyage": {"model": "tiny", "input": ["hi"], "output_dimension": 16},
    "Mistral": {"model": "tiny", "input": ["hi"], "output_dtype": "int8"},
    "llama.cpp": {"model": "tiny", "input": "hi", "embd_normalize": -1},
    "Ollama": {"model": "tiny", "input": "hi", "options": {"num_ctx": 8}},
}


@pytest.mark.parametrize("client", OTHERS)
def test_words_that_are_not_known_are_refused(client: str, serve_app: Callable[..., Served]) -> None:
    body = json.dumps(OTHERS[client]).encode()
    answer = serve_app(default_role="query").send("POST", "/v1/embeddings", content=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "invalid_input")
    assert answer.json()["error"]["param"] in {*OTHERS[client], "num_ctx"}
