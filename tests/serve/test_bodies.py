"""A sentence for every body that is no request, and the number of the text that cannot be embedded."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from served import Served

from e5_onnx.serve.decoding import decode
from e5_onnx.serve.errors import RequestError
from e5_onnx.serve.wire import EmbeddingsRequest, EmbedRequest

GOOD = b'{"model": "tiny:query", "input": "moon"}'
JSON = {"Content-Type": "application/json"}
MALFORMED, UNSUPPORTED, INVALID = "malformed_request", "unsupported_body", "invalid_input"


def of(*texts: str) -> bytes:
    """A request with texts as they are written in JSON, escapes and all."""
    quoted = ", ".join(f'"{text}"' for text in texts)
    return f'{{"model": "tiny:query", "input": [{quoted}], "user": "x"}}'.encode()


WRONG: dict[str, tuple[bytes, dict[str, str], int, str, str]] = {
    "empty": (b"", {}, 400, MALFORMED, "the body is empty"),
    "blank": (b" \n ", {}, 400, MALFORMED, "the body is empty"),
    "a gzip header": (gzip.compress(GOOD), {"Content-Encoding": "gzip"}, 415, UNSUPPORTED, "compressed"),
    "another coding": (GOOD, {"Content-Encoding": "br"}, 415, UNSUPPORTED, "compressed"),
    "gzip unsaid": (gzip.compress(GOOD), {}, 415, UNSUPPORTED, "compressed"),
    "a byte order mark": (b"\xef\xbb\xbf" + GOOD, {}, 400, MALFORMED, "byte order mark"),
    "UTF-16": (GOOD.decode().encode("utf-16"), {}, 415, UNSUPPORTED, "in UTF-16"),
    "UTF-16 without mark": (GOOD.decode().encode("utf-16-le"), {}, 415, UNSUPPORTED, "in UTF-16"),
    "UTF-16, the other way": (GOOD.decode().encode("utf-16-be"), {}, 415, UNSUPPORTED, "in UTF-16"),
    "UTF-32": (GOOD.decode().encode("utf-32"), {}, 415, UNSUPPORTED, "UTF-32"),
    "Latin-1": (of("moon", "r\u00edo").replace("\u00ed".encode(), b"\xed"), {}, 422, INVALID,
                "text 1 is not UTF-8 (it may be Latin-1) at character 1"),
    "Latin-1 elsewhere": (b'{"model": "\xed", "input": "x"}', {}, 415, UNSUPPORTED, "not UTF-8 at byte 11"),
    "Latin-1 said": (of("r\u00edo"), {"Content-Type": "application/json; charset=iso-8859-1"}, 415,
                     UNSUPPORTED, "another encoding than UTF-8"),
    "an encoding of nobody": (of("r\u00edo"), {"Content-Type": "application/json; charset=klingon"}, 415,
                              UNSUPPORTED, "another encoding"),
    "a surrogate in UTF-8": (of("moon", "\\n").replace(b"\\n", b"\xed\xa0\x80"), {}, 422, INVALID,
                             "text 1 is not UTF-8"),
    "half an emoji": (of("moon", "cut \\ud83d", "\\ud83d"), {}, 422, INVALID,
                      "text 1 has a lone surrogate, half of a character that was cut in two, at character 4"),
    "the other half": (of("\\ude00 cut"), {}, 422, INVALID, "text 0 has a lone surrogate"),
    "two first halves": (of("ok", "ok", "\\ud83d\\ud83d\\ude00"), {}, 422, INVALID, "text 2 has a lone"),
    "half an emoji alone": (b'{"input": "\\ud83d", "model": "tiny"}', {}, 422, INVALID, "text 0 has a lone"),
    "half an emoji elsewhere": (b'{"model": "\\ud83d", "input": "x"}', {}, 400, MALFORMED, "is not JSON"),
    "cut off": (b'{"model": "tiny:query", "input": ["moon", "riv', {}, 400, MALFORMED, "is not JSON: Input"),
    "cut off in an escape": (b'{"model": "tiny:query", "input": ["\\u12', {}, 400, MALFORMED, "is not JSON"),
    "doubled": (GOOD + GOOD, {}, 400, MALFORMED, "trailing characters (byte 41)"),
    "a form": (b"model=tiny&input=moon", {"Content-Type": "application/x-www-form-urlencoded"}, 400,
               MALFORMED, "is not JSON"),
    "deep": (b'{"user": ' + b"[" * 100_000, {}, 400, MALFORMED, "is nested too deep"),
    "a list": (b"[]", {}, 400, MALFORMED, "Expected `object`"),
    "null": (b"null", {}, 400, MALFORMED, "Expected `object`"),
    "null input": (b'{"model": "tiny", "input": null}', {}, 400, MALFORMED, "$.input"),
    "a null text": (b'{"model": "tiny", "input": ["a", null]}', {}, 400, MALFORMED, "$.input[1]"),
    "an object": (b'{"model": "tiny", "input": ["a", {"text": "b"}]}', {}, 400, MALFORMED, "$.input[1]"),
    "no input": (b'{"model": "tiny"}', {}, 400, MALFORMED, "missing required field `input`"),
    "the other's name": (b'{"model": "tiny", "inputs": "x"}', {}, 422, INVALID, "input is what is meant"),
    "two lengths": (GOOD, {"Transfer-Encoding": "chunked", "Content-Length": "40"}, 400, MALFORMED, "both"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said(case: str, serve_app: Callable[..., Served]) -> None:
    body, headers, status, code, message = WRONG[case]
    answer = serve_app().send("POST", "/v1/embeddings", content=body, headers={**JSON, **headers})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (status, code)
    assert message in error["message"]


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (GOOD, {"Content-Type": "application/json; charset=utf-8"}),
        (GOOD, {"Content-Type": 'application/json; charset="UTF8"'}),
        (GOOD, {"Content-Type": "application/json; charset=iso-8859-1"}),  # of ASCII it is the same
        (GOOD, {"Content-Type": "text/plain"}),
        (GOOD, {"Content-Encoding": "identity"}),
        (of("\\ud83d\\ude00", "\\\\ud83d", "\\u00e9", "a\\u0000b", "\\uFFFF"), {}),
    ],
)
def test_what_is_right_is_taken(
    body: bytes, headers: dict[str, str], serve_app: Callable[..., Served]
) -> None:
    answer = serve_app().send("POST", "/v1/embeddings", content=body, headers={**JSON, **headers})
    assert answer.status_code == 200


@given(
    st.lists(st.text(st.characters(codec="utf-8"), max_size=12), max_size=5),
    st.text(st.characters(codec="utf-8"), max_size=12),
    st.sampled_from([*map(chr, (0xD800, 0xDBFF, 0xDC00, 0xDFFF))]),
    st.text(st.characters(exclude_categories=["Cs"]) | st.just("\ud83d"), max_size=12),
)
def test_the_first_text_with_half_a_character_is_named(
    before: list[str], start: str, half: str, end: str
) -> None:
    texts = [*before, start + half + end, "\udfff"]
    for kind, body in (
        (EmbeddingsRequest, {"model": "tiny", "input": texts}),
        (EmbedRequest, {"inputs": texts, "prompt_name": "query"}),
    ):
        with pytest.raises(RequestError) as caught:
            decode(json.dumps(body).encode(), kind, None)
        found = re.search(r"text (\d+) has a lone surrogate, .* at character (\d+)", caught.value.message)
        assert found is not None
        assert (int(found[1]), int(found[2])) == (len(before), len(start))
