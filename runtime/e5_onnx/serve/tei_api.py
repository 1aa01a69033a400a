"""`POST /embed`, `POST /tokenize` and `GET /info`, as clients of text-embeddings-inference speak them."""

from __future__ import annotations

import os

from starlette.requests import Request
from starlette.responses import Response

from e5_onnx import __version__
from e5_onnx.recipes import Role
from e5_onnx.serve.errors import BadInputError
from e5_onnx.serve.http import answer, check_items, decode
from e5_onnx.serve.model import Work
from e5_onnx.serve.openai_api import check_dimensions
from e5_onnx.serve.state import State
from e5_onnx.serve.wire import EmbedRequest, Token, TokenizeRequest
from e5_onnx.tokenization import OverflowPolicy

TRUNCATED_HEADER = "X-E5-Truncated"


async def embed(request: Request, state: State) -> Response:
    """Embeds texts; how many were cut stands in a header, for the answer is a bare list."""
    limits = state.settings.limits
    asked = await decode(request, EmbedRequest, limits)
    if not asked.normalize:
        raise BadInputError("vectors have length 1: leave normalize out", param="normalize")
    check_dimensions(asked.dimensions, state)
    texts = check_items(asked.inputs, limits)
    if not texts:
        raise BadInputError("inputs is empty: send a text or a list of texts", param="inputs")
    role = state.roles.or_default(asked.prompt_name, field="prompt_name")
    done = await state.embed(request, Work(texts, role, None, _overflow(asked.truncate, state)))
    return answer(done.vectors.tolist(), headers={TRUNCATED_HEADER: str(done.truncated)})


async def tokenize(request: Request, state: State) -> Response:
    """Token ids as the model would see them, before any cutting."""
    limits = state.settings.limits
    asked = await decode(request, TokenizeRequest, limits)
    role: Role = asked.prompt_name or state.settings.default_role or "raw"
    ids = await state.model.tokenize(check_items(asked.inputs, limits), role)
    return answer([[Token(id=number) for number in row] for row in ids])


async def info(_request: Request, state: State) -> Response:
    """What is served, and the limits that clients must keep to."""
    manifest, settings = state.model.manifest, state.settings
    recipe = manifest.recipe
    return answer(
        {
            "model_id": manifest.source.name,
            "model_sha": manifest.source.revision,
            "model_dtype": manifest.precision,
            "model_type": {"embedding": {"pooling": manifest.pooling}},
            "max_concurrent_requests": settings.limits.connections,
            "max_input_length": manifest.max_tokens,
            "max_batch_tokens": settings.limits.tokens,
            "max_client_batch_size": settings.limits.items,
            "auto_truncate": settings.overflow in ("truncate", "warn"),
            "tokenization_workers": 1,
            "version": __version__,
            "served_model_names": settings.model_names,
            "dimension": manifest.dimension,
            "fingerprint": manifest.fingerprint,
            "recipe": recipe.name,
            "prompts": {"query": recipe.query_template, "document": recipe.document_template},
            "default_task": recipe.default_task,
            "default_role": settings.default_role,
            "overflow": settings.overflow,
            "pid": os.getpid(),
        }
    )


def _overflow(truncate: bool | None, state: State) -> OverflowPolicy:
    if truncate is None:
        return state.settings.overflow
    return "truncate" if truncate else "error"
