"""JSON to a request, and a sentence for every body that is none.

The schema of `wire` has one spelling of each field. What clients also send means the same: camelCase, and
fields inside `parameters`, `extra_body` or `options`.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, Final, TypeVar

import msgspec
from msgspec.structs import fields

from e5_onnx.serve.errors import BadInputError, MalformedError, RequestError, UnsupportedBodyError
from e5_onnx.serve.wire import Harmless

T = TypeVar("T", bound=Harmless)

_NESTED: Final = ("parameters", "extra_body", "options")
_IGNORED: Final = {row.name for row in fields(Harmless)}

_UNKNOWN: Final = re.compile(r"Object contains unknown field `(?P<name>.*?)`(?: - at .*)?", re.DOTALL)
_TOKEN_IDS: Final = re.compile(r"Expected `str`, got `(?:int|array)` - at `\$\.inputs?\[.*")
_A_NAME: Final = re.compile(r"[A-Za-z_][\w.-]{0,39}")
# Other servers' names of what is called otherwise here.
_MEANT: Final = {
    "input": "inputs",
    "inputs": "input",
    "texts": "input",
    "text": "input",
    "instruction": "task",
    "instruct": "task",
    "prefix": "input_type",
    "text_type": "input_type",
    "output_dimension": "dimensions",
    "embedding_type": "encoding_format",
    "embedding_types": "encoding_format",
    "output_dtype": "encoding_format",
    "normalized": "normalize",
}


def decode(body: bytes, kind: type[T], charset: str | None) -> T:
    """Decodes a body.

    Args:
        body: The bytes.
        kind: A struct of `wire`.
        charset: The encoding named in the Content-Type, or None.

    Raises:
        UnsupportedBodyError: If it is compressed, or in another encoding than UTF-8.
        MalformedError: If it is not JSON, or not the schema; what was found is not repeated.
        BadInputError: If a text is not valid Unicode, a field is unknown, or two spellings of one differ.
    """
    if charset is not None and not _is_utf8(charset) and not body.isascii():
        raise UnsupportedBodyError("in another encoding than UTF-8", "send UTF-8")
    try:
        return _merge(msgspec.json.decode(body, type=_accepted(kind)), kind)
    except msgspec.ValidationError as error:
        raise _explain_schema(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _explain_json(body, error) from None
    except RecursionError:
        raise MalformedError("the body is not JSON: it is nested too deep") from None


def _is_utf8(charset: str) -> bool:
    try:
        return codecs.lookup(charset.strip("\"' ")).name == "utf-8"
    except LookupError:
        return False


@cache
def _accepted(kind: type[Harmless]) -> type[Any]:
    """The struct with every other spelling of its fields."""
    options = kind.__mro__[1]
    nested = _spelt(options, ())
    return _spelt(kind, [(name, nested | str | None, None) for name in _NESTED])


def _spelt(kind: type[Any], more: Sequence[tuple[str, Any, Any]]) -> type[Any]:
    rows = [(_camel(row.name), row.type, row.default) for row in fields(kind) if _camel(row.name) != row.name]
    spelt = [row for row in rows if row[2] is not msgspec.NODEFAULT]
    return msgspec.defstruct(
        kind.__name__, [*spelt, *more], bases=(kind,), frozen=True, kw_only=True, forbid_unknown_fields=True
    )


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(map(str.capitalize, others))


def _snake(name: str) -> str:
    return re.sub(r"([A-Z])", lambda found: "_" + found[1].lower(), name)


def _merge(found: msgspec.Struct, kind: type[T]) -> T:
    values: dict[str, Any] = {}
    places: dict[str, str] = {}
    for place, name, value in _given(found, ""):
        if values.setdefault(name, value) != value:
            raise BadInputError(
                f"{places[name]} and {place} say different things: send one of them", param=place
            )
        places.setdefault(name, place)
    return kind(**values)


def _given(found: msgspec.Struct, inside: str) -> Iterator[tuple[str, str, Any]]:
    """Every field that says something: where it stands, its name here, its value."""
    for row in fields(found):
        value, place = getattr(found, row.name), inside + row.name
        if isinstance(value, msgspec.Struct):
            yield from _given(value, f"{row.name}.")
        elif row.required or (value not in (None, "") and row.name not in _IGNORED):
            if row.name in _NESTED:
                raise BadInputError(f"{place} is a text: send an object, or leave it out", param=place)
            yield place, _snake(row.name), value


def _explain_schema(said: str) -> RequestError:
    unknown = _UNKNOWN.fullmatch(said)
    if unknown is not None:
        return _explain_unknown(unknown["name"])
    if _TOKEN_IDS.fullmatch(said):
        return BadInputError(
            "token ids are another model's tokens: send texts. LangChain's OpenAIEmbeddings does so with "
            "check_embedding_ctx_length=False",
            param="input",
        )
    return MalformedError(f"the body does not fit the schema: {said}")


def _explain_unknown(name: str) -> RequestError:
    shown = name if _A_NAME.fullmatch(name) else None
    meant = _MEANT.get(_snake(name))
    remedy = "leave it out" if meant is None else f"{meant} is what is meant by it here"
    return BadInputError(
        f"there is no field {shown or 'of that name'} at this path, and none is ignored, as it could change "
        f"the vectors: {remedy}; GET /openapi.json lists the fields",
        param=shown,
    )


def _explain_json(body: bytes, error: Exception) -> RequestError:
    if not body.strip():
        return MalformedError("the body is empty: send a JSON object")
    if body.startswith(b"\x1f\x8b"):
        return UnsupportedBodyError("compressed", "send it as it is")
    if body.startswith(codecs.BOM_UTF8):
        return MalformedError("the body begins with a byte order mark: leave its three bytes out")
    if body.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in body[:2]:
        return UnsupportedBodyError("in UTF-16 or UTF-32", "send UTF-8")
    try:
        body.decode()
    except UnicodeDecodeError as wrong:
        what = "is not UTF-8 (it may be Latin-1)"
        return _explain_text(body, wrong.start, what) or UnsupportedBodyError(
            f"not UTF-8 at byte {wrong.start} (it may be Latin-1)", "send UTF-8"
        )
    lone = _LONE_SURROGATE.match(body)
    what = "has a lone surrogate, half of a character that was cut in two,"
    named = None if lone is None else _explain_text(body, lone.start("lone"), what)
    return named or MalformedError(f"the body is not JSON: {error}")


# The first escape of a lone surrogate, over everything else from the start: other escapes, and whole pairs.
_LONE_SURROGATE: Final = re.compile(
    rb"(?:[^\\]++|\\[^u]|\\u(?![dD][89a-fA-F]).{4}|\\u[dD][89abAB].{2}\\u[dD][c-fC-F].{2})*+"
    rb"(?P<lone>\\u[dD][89a-fA-F])",
    re.DOTALL,
)


class _TextsOnly(msgspec.Struct):
    input: str | list[str] | None = None
    inputs: str | list[str] | None = None


def _explain_text(body: bytes, place: int, what: str) -> RequestError | None:
    """Names the text in which a place is; None if it is in none."""
    for end in (b'"}', b'"]}'):
        try:
            # The body as if it ended there: the last text is the one.
            found = msgspec.json.decode(body[:place] + end, type=_TextsOnly)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue
        param, texts = ("input", found.input) if found.inputs is None else ("inputs", found.inputs)
        listed = [texts] if isinstance(texts, str) else texts
        if listed:
            index, position = len(listed) - 1, len(listed[-1])
            return BadInputError(
                f"text {index} {what} at character {position}: repair it or leave it out", param=param
            )
    return None
