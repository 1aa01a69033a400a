"""What people write who need an embedding server today: sentence-transformers behind one route.

`python -m e5_onnx_perf.serve_load.one_pager CHECKPOINT PORT`
"""

from __future__ import annotations

import asyncio
import sys

import uvicorn
from sentence_transformers import SentenceTransformer
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route


def make_page(checkpoint: str) -> Starlette:
    """The application: each request is encoded on its own, in a thread."""
    model = SentenceTransformer(checkpoint, device="cpu")

    async def embeddings(request: Request) -> JSONResponse:
        asked = await request.json()
        texts = [f"query: {text}" for text in asked["input"]]
        vectors = await asyncio.to_thread(model.encode, texts, normalize_embeddings=True)
        return JSONResponse({"data": [{"embedding": vector} for vector in vectors.tolist()]})

    async def health(_request: Request) -> JSONResponse:
        return JSONResponse({})

    return Starlette(routes=[Route("/v1/embeddings", embeddings, methods=["POST"]), Route("/health", health)])


if __name__ == "__main__":
    uvicorn.run(make_page(sys.argv[1]), host="127.0.0.1", port=int(sys.argv[2]), log_level="error")
