"""`POST /v1/embeddings` and `GET /v1/models`, as OpenAI's clients speak them."""

from __future__ import annotations

import base64

import numpy as np
from numpy.typing import NDArray
from starlette.requests import Request
from starlette.responses import Response

from e5_onnx.serve.answers import FINGERPRINT_HEADER, answer, encode_each
from e5_onnx.serve.bodies import check_items
from e5_onnx.serve.errors import BadInputError, UnknownModelError
from e5_onnx.serve.state import State
from e5_onnx.serve.tokens import Wish
from e5_onnx.serve.wanted import Encoding, read_wanted
from e5_onnx.serve.wire import Embedding, EmbeddingsAnswer, EmbeddingsRequest, ModelCard, ModelList, Usage


async def embeddings(request: Request, state: State, asked: EmbeddingsRequest) -> Response:
    """Embeds texts."""
    chosen = state.roles.choose(asked, field="input_type")
    wanted = read_wanted(asked, state.model.manifest, state.settings.overflow)
    texts = check_items(asked.input, state.settings.limits)
    if not texts:
        raise BadInputError("input is empty: send a text or a list of texts", param="input")
    done = await state.embed(request, Wish(texts, chosen.role, chosen.task, wanted.overflow))
    fingerprint = state.model.manifest.fingerprint
    return answer(
        EmbeddingsAnswer(
            data=await _data(done.vectors, wanted.encoding),
            model=asked.model,
            usage=Usage(prompt_tokens=done.used_tokens, total_tokens=done.used_tokens),
            truncated=done.truncated,
            system_fingerprint=fingerprint,
        ),
        headers={FINGERPRINT_HEADER: fingerprint},
    )


async def models(_request: Request, state: State) -> Response:
    """Lists the model's names."""
    return answer(ModelList(data=[_card(name, state) for name in state.settings.model_names]))


async def model(request: Request, state: State) -> Response:
    """One of them."""
    # All that follows, since a name may have slashes.
    name = request.scope["path"].rstrip("/").partition("/models/")[2]
    if name not in state.settings.model_names:
        raise UnknownModelError(state.settings.model_names)
    return answer(_card(name, state))


def _card(name: str, state: State) -> ModelCard:
    return ModelCard(id=name, fingerprint=state.model.manifest.fingerprint)


async def _data(vectors: NDArray[np.float32], encoding: Encoding) -> list[Embedding]:
    written = (_base64(vector) if encoding == "base64" else vector.tolist() for vector in vectors)
    encoded = await encode_each(written, size=vectors.size)
    return [Embedding(index=index, embedding=row) for index, row in enumerate(encoded)]


def _base64(vector: NDArray[np.float32]) -> str:
    return base64.b64encode(vector.astype("<f4").tobytes()).decode()
