"""`POST /v1/embeddings` and `GET /v1/models`, as OpenAI's clients speak them."""

from __future__ import annotations

import base64
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from starlette.requests import Request
from starlette.responses import Response

from e5_onnx.serve.errors import BadInputError
from e5_onnx.serve.http import answer, check_items, decode
from e5_onnx.serve.model import Work
from e5_onnx.serve.state import State
from e5_onnx.serve.wire import Embedding, EmbeddingsAnswer, EmbeddingsRequest, Usage


async def embeddings(request: Request, state: State) -> Response:
    """Embeds texts."""
    limits = state.settings.limits
    asked = await decode(request, EmbeddingsRequest, limits)
    role = state.roles.by_model(asked.model, asked.input_type)
    check_dimensions(asked.dimensions, state)
    texts = _texts(check_items(asked.input, limits))
    if not texts:
        raise BadInputError("input is empty: send a text or a list of texts", param="input")
    done = await state.embed(request, Work(texts, role, asked.task, state.settings.overflow))
    return answer(
        EmbeddingsAnswer(
            data=_data(done.vectors, asked.encoding_format),
            model=asked.model,
            usage=Usage(prompt_tokens=done.used_tokens, total_tokens=done.used_tokens),
            truncated=done.truncated,
        )
    )


async def models(_request: Request, state: State) -> Response:
    """Lists the model's names."""
    row = {"object": "model", "created": 0, "owned_by": "e5-onnx"}
    return answer({"object": "list", "data": [{"id": name, **row} for name in state.settings.model_names]})


def check_dimensions(asked: int | None, state: State) -> None:
    """Refuses another number of dimensions than the model's: vectors are not to be cut unseen.

    Raises:
        BadInputError: If it is another.
    """
    own = state.model.manifest.dimension
    if asked is not None and asked != own:
        raise BadInputError(f"this model has {own} dimensions, not {asked}: leave it out", param="dimensions")


def _texts(items: Sequence[str | int | list[int]]) -> list[str]:
    if any(not isinstance(item, str) for item in items):
        raise BadInputError(
            "token ids are another model's tokens: send texts. LangChain's OpenAIEmbeddings does so with "
            "check_embedding_ctx_length=False",
            param="input",
        )
    return [item for item in items if isinstance(item, str)]


def _data(vectors: NDArray[np.float32], encoding: str) -> list[Embedding]:
    if encoding == "base64":
        return [
            Embedding(index=index, embedding=base64.b64encode(vector.astype("<f4").tobytes()).decode())
            for index, vector in enumerate(vectors)
        ]
    return [Embedding(index=index, embedding=vector) for index, vector in enumerate(vectors.tolist())]
