from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from e5_onnx import Embedder
from e5_onnx.errors import InputError, LoneSurrogateError, NotTextsError, TextTypeError
from e5_onnx.integrations.sentence_transformers import E5SentenceTransformer
from e5_onnx.text_input.texts import check_texts

TEXTS = ["moon over the city", "", "tea"]


class Getter:
    """Iterable by the old protocol alone."""

    def __getitem__(self, index: int) -> str:
        return TEXTS[index]


@pytest.fixture(scope="module")
def model(tiny_folder: Path) -> Embedder:
    return Embedder(tiny_folder, threads=1)


ITERABLES: dict[str, Callable[[], Iterable[str]]] = {
    "a list": lambda: TEXTS,
    "a tuple": lambda: tuple(TEXTS),
    "a deque": lambda: deque(TEXTS),
    "an array": lambda: np.array(TEXTS),
    "an array of objects": lambda: np.array(TEXTS, object),
    "values of a dictionary": lambda: dict(enumerate(TEXTS)).values(),
    "keys of a dictionary": lambda: dict.fromkeys(TEXTS).keys(),
    "the old protocol": lambda: Getter(),  # type: ignore[dict-item,return-value]
    "a generator": lambda: (text for text in TEXTS),
    "an iterator": lambda: iter(TEXTS),
    "map": lambda: map(str, TEXTS),
    "filter": lambda: filter(lambda text: True, TEXTS),
    "chain": lambda: chain(TEXTS[:1], TEXTS[1:]),
    "scalars like Arrow's": lambda: [SimpleNamespace(as_py=lambda text=text: text) for text in TEXTS],  # type: ignore[misc]
}


@pytest.mark.parametrize("name", ITERABLES)
def test_any_iterable_gives_its_texts_in_every_method(name: str, model: Embedder) -> None:
    texts, other = ITERABLES[name], E5SentenceTransformer(model._path)
    queries, documents = model.embed_queries(TEXTS), model.embed_documents(TEXTS)
    for found, right in [
        (model.embed_queries(texts()), queries),
        (model.embed_documents(texts()), documents),
        (model.encode(texts(), role="query").vectors, queries),
        (np.stack(list(model.stream_queries(texts()))), queries),
        (np.stack(list(model.stream_documents(texts()))), documents),
        (np.concatenate([part.vectors for part in model.stream(texts(), role="query")]), queries),
        (other.encode_query(texts()), queries),
        (other.encode_document(texts()), documents),
        (other.encode(texts(), "query"), queries),
        (other.encode(texts(), prompt="t: "), other.encode(["t: " + text for text in TEXTS])),
    ]:
        np.testing.assert_allclose(found, right, atol=2e-6)
    counts = model.encode(TEXTS, role="query").tokens.tolist()
    assert model.count_tokens(texts(), role="query").tolist() == counts
    assert [len(ids) for ids in model.tokenize(texts(), role="query")] == counts


def test_an_open_file_gives_its_lines(model: Embedder, tmp_path: Path) -> None:
    (tmp_path / "texts.txt").write_text("moon\n\ntea", "utf-8")
    with (tmp_path / "texts.txt").open(encoding="utf-8") as file:
        found = model.embed_documents(file)
    np.testing.assert_allclose(found, model.embed_documents(["moon\n", "\n", "tea"]), atol=2e-6)
    with (tmp_path / "texts.txt").open("rb") as file, pytest.raises(TextTypeError, match="text 0 is bytes"):
        model.embed_documents(file)  # type: ignore[arg-type]


class Table:
    """Iterates over names of columns, as data frames do."""

    columns = ("a", "b")

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)


METHODS: dict[str, Callable[[Embedder, Iterable[str]], object]] = {
    "embed_queries": lambda model, texts: model.embed_queries(texts),
    "embed_documents": lambda model, texts: model.embed_documents(texts),
    "encode": lambda model, texts: model.encode(texts, role="raw"),
    "tokenize": lambda model, texts: model.tokenize(texts, role="raw"),
    "count_tokens": lambda model, texts: model.count_tokens(texts, role="raw"),
    "stream": lambda model, texts: list(model.stream(texts, role="raw")),
    "stream_queries": lambda model, texts: list(model.stream_queries(texts)),
    "stream_documents": lambda model, texts: list(model.stream_documents(texts)),
    "sentence-transformers": lambda model, texts: E5SentenceTransformer(model._path).encode(texts),
    "with a prompt": lambda model, texts: E5SentenceTransformer(model._path).encode(texts, prompt="t: "),
}

NUMBERS = [None, 5, 2.5, True]
BYTES = [b"moon", bytearray(b"moon"), memoryview(b"moon")]
OTHERS = [{"moon": "tea"}, Table(), object(), Path("moon"), np.array("moon"), len]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("given", [*NUMBERS, *BYTES, *OTHERS], ids=lambda given: type(given).__name__)
def test_what_is_no_iterable_of_texts_is_refused(method: str, given: object, model: Embedder) -> None:
    name = type(given).__name__
    with pytest.raises(TypeError, match=f"^texts is {name}; it must be an iterable of str") as caught:
        METHODS[method](model, given)  # type: ignore[arg-type]
    assert isinstance(caught.value, InputError)
    assert isinstance(caught.value, NotTextsError)
    assert caught.value.found is type(given)


@pytest.mark.parametrize("method", ["tokenize", "stream", "stream_queries", "stream_documents"])
def test_one_str_is_not_taken_for_its_characters(method: str, model: Embedder) -> None:
    with pytest.raises(NotTextsError, match="texts is str; it must be an iterable of str, such as a list"):
        METHODS[method](model, "moon")


@pytest.mark.parametrize("method", METHODS)
def test_a_text_that_is_none_is_named_by_its_number(method: str, model: Embedder) -> None:
    with pytest.raises(TextTypeError, match=r"^text 1 is NoneType, not str: leave it out"):
        METHODS[method](model, ["moon", None])  # type: ignore[list-item]


def test_an_error_of_an_iterable_is_its_own(model: Embedder) -> None:
    def broken() -> Iterator[str]:
        yield "moon"
        raise LookupError

    with pytest.raises(LookupError):
        model.embed_documents(broken())


def test_texts_are_passed_on_as_they_are() -> None:
    texts = ("", " ", "\x00", "é", "😀", "e\u0301", "\U0010ffff")
    assert check_texts(texts) == list(texts)
    assert check_texts([]) == []


@pytest.mark.parametrize(
    ("bad", "name"),
    [
        (None, "NoneType"),
        (b"a", "bytes"),
        (float("nan"), "float"),
        (["a"], "list"),
        (np.bytes_(b"a"), "bytes_"),
    ],
)
def test_what_is_not_a_str_is_refused(bad: Any, name: str) -> None:
    with pytest.raises(TextTypeError, match=f"text 2 is {name}, not str") as error:
        check_texts(["a", "b", bad])
    assert (error.value.index, error.value.found) == (2, type(bad))
    with pytest.raises(TextTypeError, match=f"text 0 is {name}"):
        check_texts([SimpleNamespace(as_py=lambda: bad)])  # type: ignore[list-item]
    with pytest.raises(TextTypeError, match="text 1002 is"):
        check_texts(["a", "b", bad], first_index=1000)


@pytest.mark.parametrize(
    ("bad", "position"), [("\ud800", 0), ("ab\udfff", 2), ("😀\udc80é", 1), ("\ude00\ud83d", 0)]
)
def test_a_lone_surrogate_is_refused(bad: str, position: int) -> None:
    with pytest.raises(LoneSurrogateError, match=f"text 1 has a lone surrogate at character {position}"):
        check_texts(["a", bad])
    with pytest.raises(LoneSurrogateError, match="text 51 has"):
        check_texts(["a", bad], first_index=50)
