"""What to call instead, for paths of other servers and of other interfaces."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

_OPENAI: Final = "call POST /v1/embeddings, with a client of OpenAI and the base URL http://HOST:PORT/v1"
_TEI: Final = "call POST /embed, with huggingface_hub's InferenceClient and the URL http://HOST:PORT/embed"


@dataclass(frozen=True, slots=True)
class _Other:
    path: re.Pattern[str]
    hint: str


def _other(pattern: str, hint: str) -> _Other:
    return _Other(re.compile(pattern), hint)


_OTHERS: Final = (
    _other(r"/api/(embed|embeddings)", f"it is Ollama's; {_OPENAI}"),
    _other(r"/api/\w+", f"it looks like Ollama's, and this server only embeds; {_OPENAI}"),
    _other(r"/v[12]/embed", f"it is Cohere's; {_OPENAI}"),
    _other(r"/openai/.*embeddings|/deployments/.*", f"it is Azure's; {_OPENAI}"),
    _other(r"/v1beta/.*|.*:(batch)?embedContents?", f"it is Gemini's; {_OPENAI}"),
    _other(r"/(v1/)+(?P<rest>embeddings|models)", "the base URL ends in /v1 twice; once is right"),
    _other(r"/(v1/)?((chat/)?completions|responses|generate)", f"this server only embeds; {_OPENAI}"),
    _other(r"(/v[12])?/(rerank|predict|embed_all|embed_sparse|similarity|decode)",
           f"it is text-embeddings-inference's, and not offered; {_TEI}"),
    _other(r"/(models/.*/)?pipeline/.*|/models/.*", f"it is the Hugging Face Hub's; {_TEI}"),
    _other(r"/v2/models/.*infer|/v2/health/.*", f"it is KServe's; {_OPENAI}"),
    _other(r"/(healthz|livez|v1/health)", "call GET /health"),
    _other(r"/readyz", "call GET /ready"),
    _other(r"/(docs|redoc|swagger)", "call GET /openapi.json"),
)  # fmt: skip


def hint_for(path: str, known: Iterable[str]) -> str:
    """Returns the error message for an unknown path; the message does not repeat the path.

    Args:
        path: The requested path.
        known: The paths that exist.
    """
    for other in _OTHERS:
        if other.path.fullmatch(path):
            return other.hint
    near = get_close_matches(path[:64], sorted(known), n=1, cutoff=0.8)
    return f"did you mean {near[0]}?" if near else "GET /openapi.json lists what there is"
