"""`POST /embed`, `POST /tokenize` and `GET /info`, as clients of text-embeddings-inference speak them."""

from __future__ import annotations

import os
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from e5_onnx import __version__
from e5_onnx.serve.answers import FINGERPRINT_HEADER, TRUNCATED_HEADER, answer, encode_each
from e5_onnx.serve.bodies import check_items
from e5_onnx.serve.errors import BadInputError
from e5_onnx.serve.state import State, share_of
from e5_onnx.serve.tokens import Wish
from e5_onnx.serve.wanted import check_special_tokens, read_wanted
from e5_onnx.serve.wire import EmbedRequest, Token, TokenizeRequest

# A token in JSON, at most: `{"id":250001},`.
_TOKEN_BYTES: Final = 16


async def embed(request: Request, state: State, asked: EmbedRequest) -> Response:
    """Embeds texts; how many were cut stands in a header, for the answer is a bare list."""
    chosen = state.roles.choose(asked, field="prompt_name")
    wanted = read_wanted(asked, state.model.manifest, state.settings.overflow)
    if wanted.encoding != "float":
        raise BadInputError("/embed writes numbers: POST /v1/embeddings has base64", param="encoding_format")
    texts = check_items(asked.inputs, state.settings.limits)
    if not texts:
        raise BadInputError("inputs is empty: send a text or a list of texts", param="inputs")
    done = await state.embed(request, Wish(texts, chosen.role, chosen.task, wanted.overflow))
    headers = {TRUNCATED_HEADER: str(done.truncated), FINGERPRINT_HEADER: state.model.manifest.fingerprint}
    vectors = (vector.tolist() for vector in done.vectors)
    return answer(await encode_each(vectors, size=done.vectors.size), headers=headers)


async def tokenize(request: Request, state: State, asked: TokenizeRequest) -> Response:
    """Token ids as the model would see them, before any cutting; of a text without a role, as it is."""
    chosen = state.roles.choose(asked, field="prompt_name", otherwise="raw")
    check_special_tokens(asked)
    texts = check_items(asked.inputs, state.settings.limits)
    # Windows are made of every token, so that none is left out.
    wish = Wish(texts, chosen.role, chosen.task, "window")
    ids = await state.work(request, state.model.tokenise(wish))
    size = sum(map(len, ids))
    share_of(request).add(size * _TOKEN_BYTES)
    rows = ([Token(id=number) for number in row.tolist()] for row in ids)
    return answer(await encode_each(rows, size=size))


async def info(_request: Request, state: State) -> Response:
    """Returns the description of the model and the limits for clients."""
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
            "max_batch_tokens": settings.limits.max_tokens,
            "max_client_batch_size": settings.limits.max_items,
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
