"""Bodies of requests and answers: OpenAI's embeddings and text-embeddings-inference's, as msgspec structs.

A field that is not written here is refused: to ignore one could be to return other vectors than the client
asked for. `null` and an empty string are the same as leaving a field out.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Raw, Struct, field

Texts = Annotated[str | list[str], Meta(description="a text or a list of texts, in any language")]
Word = str | None
# A form's field that was left blank arrives as an empty string.
Switch = bool | str | None
Number = int | float | str | None


def _word(description: str, *words: str) -> Meta:
    return Meta(description=description, extra_json_schema={"examples": list(words)} if words else None)


class Harmless(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Fields that clients send and that change no vector: they are not even read."""

    user: Raw = field(default_factory=Raw)
    metadata: Raw = field(default_factory=Raw)
    request_id: Raw = field(default_factory=Raw)
    safety_identifier: Raw = field(default_factory=Raw)
    service_tier: Raw = field(default_factory=Raw)
    store: Raw = field(default_factory=Raw)
    priority: Raw = field(default_factory=Raw)
    timeout: Raw = field(default_factory=Raw)
    keep_alive: Raw = field(default_factory=Raw)
    wait_for_model: Raw = field(default_factory=Raw)
    use_cache: Raw = field(default_factory=Raw)


class RoleFields(Harmless, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The fields that name the role of the texts. All mean the same; two that differ are refused."""

    model: Annotated[Word, Meta(description="the model's name, or `name:query`, `name:document`")] = None
    input_type: Annotated[
        Word, _word("the role of the texts, instead of the model's suffix", "query", "document", "raw")
    ] = None
    prompt_name: Annotated[Word, _word("the same as input_type", "query", "document", "raw")] = None
    role: Annotated[Word, Meta(description="the same as input_type")] = None
    prompt: Annotated[Word, Meta(description="the same as input_type")] = None
    task_type: Annotated[Word, Meta(description="the same as input_type")] = None
    task: Annotated[
        Word, Meta(description="the instruction of queries, where the model takes one; or a role's name")
    ] = None
    add_special_tokens: Annotated[Switch, Meta(description="false is refused: they always are")] = None


class EmbedFields(RoleFields, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The fields that shape the vectors, on every route that returns some."""

    truncate: Annotated[
        Switch,
        Meta(description="true or END cuts long texts, false or NONE refuses them; else the operator chose"),
    ] = None
    truncation: Annotated[Switch, Meta(description="the same as truncate")] = None
    truncation_direction: Annotated[Word, _word("texts are cut at their end", "Right")] = None
    truncate_prompt_tokens: Annotated[
        Number, Meta(description="-1 or the model's own limit: cuts long texts")
    ] = None
    normalize: Annotated[Switch, Meta(description="vectors always have length 1; false is refused")] = None
    dimensions: Annotated[Number, Meta(description="the model's own number; another is refused")] = None
    encoding_format: Annotated[
        Word, _word("of vectors; base64 is of little-endian float32", "float", "base64")
    ] = None


class EmbeddingsRequest(EmbedFields, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """OpenAI's `POST /v1/embeddings`."""

    model: Annotated[str, Meta(description="the model's name, or `name:query`, `name:document`")]
    input: Texts


class EmbedRequest(EmbedFields, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """text-embeddings-inference's `POST /embed`."""

    inputs: Texts


class TokenizeRequest(RoleFields, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """text-embeddings-inference's `POST /tokenize`."""

    inputs: Texts


class Embedding(Struct, frozen=True, kw_only=True):
    """One vector, as numbers or as base64 of little-endian float32."""

    object: Literal["embedding"] = "embedding"
    index: int
    embedding: Annotated[
        Raw,
        Meta(
            extra_json_schema={"anyOf": [{"type": "array", "items": {"type": "number"}}, {"type": "string"}]}
        ),
    ]


class Usage(Struct, frozen=True, kw_only=True):
    """Tokens that the model ran, templates and special tokens included."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingsAnswer(Struct, frozen=True, kw_only=True):
    """OpenAI's list of embeddings, with a count of texts that were cut and the model's fingerprint."""

    object: Literal["list"] = "list"
    data: list[Embedding]
    model: str
    usage: Usage
    truncated: int
    system_fingerprint: str


class ModelCard(Struct, frozen=True, kw_only=True):
    """One name of the model. The fingerprint is the model's own: it stays if the name changes."""

    id: str
    object: Literal["model"] = "model"
    created: int = 0
    owned_by: str = "e5-onnx"
    fingerprint: str


class ModelList(Struct, frozen=True, kw_only=True):
    """Every name of the model."""

    object: Literal["list"] = "list"
    data: list[ModelCard]


class Token(Struct, frozen=True, kw_only=True):
    """A token's id."""

    id: int


class ErrorBody(Struct, frozen=True, kw_only=True):
    """The error; `code` is stable."""

    message: str
    type: str
    param: str | None
    code: str


class ErrorAnswer(Struct, frozen=True, kw_only=True):
    """OpenAI's shape of an error."""

    error: ErrorBody


Info = dict[str, Any]
