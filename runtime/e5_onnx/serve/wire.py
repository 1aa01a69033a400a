"""Bodies of requests and answers: OpenAI's embeddings and text-embeddings-inference's, as msgspec structs."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

Text = Annotated[str, Meta(description="a text in any language")]


class EmbeddingsRequest(Struct, frozen=True, kw_only=True):
    """OpenAI's `POST /v1/embeddings`, and two optional fields."""

    model: Annotated[str, Meta(description="the model's name, or `name:query`, `name:document`")]
    input: Annotated[
        str | list[str | int | list[int]],
        Meta(description="a text or texts; token ids are refused"),
    ]
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = None
    user: Annotated[str | None, Meta(description="ignored")] = None
    input_type: Annotated[
        Literal["query", "document", "raw"] | None,
        Meta(description="what the texts are; instead of a suffix"),
    ] = None
    task: Annotated[str | None, Meta(description="the instruction of queries, where the model takes one")] = (
        None
    )


class Embedding(Struct, frozen=True, kw_only=True):
    """One vector, as numbers or as base64 of little-endian float32."""

    object: Literal["embedding"] = "embedding"
    index: int
    embedding: list[float] | str


class Usage(Struct, frozen=True, kw_only=True):
    """Tokens that the model ran, templates and special tokens included."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingsAnswer(Struct, frozen=True, kw_only=True):
    """OpenAI's list of embeddings, with a count of texts that were cut."""

    object: Literal["list"] = "list"
    data: list[Embedding]
    model: str
    usage: Usage
    truncated: int


class EmbedRequest(Struct, frozen=True, kw_only=True):
    """text-embeddings-inference's `POST /embed`."""

    inputs: Annotated[str | list[str], Meta(description="a text or texts")]
    normalize: Annotated[bool, Meta(description="vectors always have length 1; false is refused")] = True
    truncate: Annotated[
        bool | None,
        Meta(description="true cuts long texts, false refuses them; absent: as the server is set"),
    ] = None
    prompt_name: Annotated[
        Literal["query", "document", "raw"] | None, Meta(description="what the texts are")
    ] = None
    dimensions: int | None = None


class TokenizeRequest(Struct, frozen=True, kw_only=True):
    """text-embeddings-inference's `POST /tokenize`."""

    inputs: str | list[str]
    prompt_name: Literal["query", "document", "raw"] | None = None


class Token(Struct, frozen=True, kw_only=True):
    """A token's id."""

    id: int


class ErrorBody(Struct, frozen=True, kw_only=True):
    """What went wrong; `code` is stable."""

    message: str
    type: str
    param: str | None
    code: str


class ErrorAnswer(Struct, frozen=True, kw_only=True):
    """OpenAI's shape of an error."""

    error: ErrorBody
