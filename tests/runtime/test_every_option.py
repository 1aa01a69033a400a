"""Every option of every public method is obeyed: an option without a row in one of these tables fails."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from runtime_folders import edit, flip

import e5_onnx
from e5_onnx import E5Error, Embedder, FingerprintError, IntegrityError, ModelLoadError, TextTooLongError

QUERY = "moon over the city"
LONG = "moon " * 400
WEB = "Given a web search query, retrieve relevant passages that answer the query"
WITH_DEFAULT = f"Instruct: {WEB}\nQuery: {QUERY}"
WITH_TASK = f"Instruct: find\nQuery: {QUERY}"


@pytest.fixture(scope="module")
def model(tiny_folder: Path) -> Embedder:
    return Embedder(tiny_folder, threads=1)


def first(parts: Iterable[Any]) -> Any:
    (only,) = parts
    return only


@dataclass(frozen=True)
class Call:
    """A call with an option, and the text that has the same result as it is."""

    call: Callable[[Embedder], Any]
    same_as: str


CALLS = {
    ("embed_queries", "task"): Call(lambda m: m.embed_queries(QUERY, task="find"), WITH_TASK),
    ("encode", "role"): Call(lambda m: m.encode(QUERY, role="query").vectors, WITH_DEFAULT),
    ("encode", "task"): Call(lambda m: m.encode(QUERY, role="query", task="find").vectors, WITH_TASK),
    ("stream", "role"): Call(lambda m: first(m.stream([QUERY], role="query")).vectors[0], WITH_DEFAULT),
    ("stream", "task"): Call(
        lambda m: first(m.stream([QUERY], role="query", task="find")).vectors[0], WITH_TASK
    ),
    ("stream_queries", "task"): Call(lambda m: first(m.stream_queries([QUERY], task="find")), WITH_TASK),
    ("tokenize", "role"): Call(lambda m: first(m.tokenize([QUERY], role="query")), WITH_DEFAULT),
    ("tokenize", "task"): Call(lambda m: first(m.tokenize([QUERY], role="query", task="find")), WITH_TASK),
    ("count_tokens", "role"): Call(lambda m: m.count_tokens(QUERY, role="query"), WITH_DEFAULT),
    ("count_tokens", "task"): Call(lambda m: m.count_tokens(QUERY, role="query", task="find"), WITH_TASK),
}


@pytest.mark.parametrize(("method", "option"), CALLS)
def test_an_option_of_a_call_is_obeyed(method: str, option: str, model: Embedder) -> None:
    case = CALLS[method, option]
    if method == "tokenize":
        expected: Any = first(model.tokenize([case.same_as], role="raw"))
    elif method == "count_tokens":
        expected = model.count_tokens(case.same_as, role="raw")
    else:
        expected = model.encode(case.same_as, role="raw").vectors
    np.testing.assert_allclose(case.call(model), expected, atol=2e-6)


REFUSED = {
    ("encode", "overflow"): lambda m: m.encode(LONG, role="raw", overflow="error"),
    ("stream", "overflow"): lambda m: list(m.stream([LONG], role="raw", overflow="error")),
}


@pytest.mark.parametrize(("method", "option"), REFUSED)
def test_overflow_of_a_call_is_obeyed(method: str, option: str, model: Embedder) -> None:
    with pytest.raises(TextTooLongError):
        REFUSED[method, option](model)


def test_a_stream_has_windows(model: Embedder) -> None:
    found = first(model.stream([LONG + "tea"], role="document", overflow="window"))
    expected = model.encode([LONG + "tea"], role="document", overflow="window")
    np.testing.assert_allclose(found.vectors, expected.vectors, atol=2e-6)
    assert not found.truncated.any()


def setting(model: Embedder, key: str) -> str:
    """An entry of the session's own options."""
    options = model._lifetime.get().session._session.get_session_options()
    return str(options.get_session_config_entry(key))


def batches(model: Embedder) -> list[int]:
    """How many texts are in each batch that a model makes of ten."""
    seen: list[int] = []
    session = model._lifetime.get().session
    run = session.run

    def counted(ids: NDArray[np.int64], mask: NDArray[np.int64]) -> NDArray[np.float32]:
        seen.append(len(ids))
        return run(ids, mask)

    session.run = counted  # type: ignore[method-assign]
    model.embed_documents(["moon"] * 10)
    return seen


def as_int8(folder: Path) -> None:
    edit(folder, lambda manifest: manifest.update(precision="int8"))


def refused_with(kind: type[E5Error], folder: Path, option: str, value: object) -> bool:
    Embedder(folder).close()
    with pytest.raises(kind):
        Embedder(folder, **{option: value})  # type: ignore[arg-type]
    return True


def with_option(
    folder: Path, look: Callable[[Embedder], object], option: str, *values: object
) -> list[object]:
    """What is seen of a model with each of some values of an option."""
    found = []
    for value in values:
        with Embedder(folder, **{option: value}) as model:  # type: ignore[arg-type]
            found.append(look(model))
    return found


def overflow(folder: Path) -> bool:
    with Embedder(folder, overflow="error") as model, pytest.raises(TextTooLongError):
        model.embed_documents(LONG)
    return True


def exact_int8(folder: Path) -> bool:
    as_int8(folder)
    found = with_option(
        folder, lambda model: setting(model, "session.x64quantprecision"), "exact_int8", False, True
    )
    return found == ["0", "1"]


def verify(folder: Path) -> bool:
    flip(folder / "model.onnx.data", 20_000)
    return refused_with(IntegrityError, folder, "verify", True)


def cache_dir(folder: Path) -> bool:
    Embedder(folder, cache_dir=folder.parent / "cache").close()
    return any((folder.parent / "cache" / "prepacked").iterdir())


OPENED: dict[tuple[str, str], Callable[[Path], bool]] = {
    ("__init__", "threads"): lambda folder: (
        with_option(folder, lambda m: m.threads, "threads", 1, 3) == [1, 3]
    ),
    ("__init__", "token_budget"): lambda folder: (
        with_option(folder, batches, "token_budget", 1, 4096) == [[1] * 10, [10]]
    ),
    ("__init__", "overflow"): overflow,
    ("__init__", "verify"): verify,
    ("__init__", "fingerprint"): lambda folder: refused_with(FingerprintError, folder, "fingerprint", "01"),
    ("__init__", "tokenizer"): lambda folder: refused_with(ModelLoadError, folder, "tokenizer", "tokie"),
    ("__init__", "exact_int8"): exact_int8,
    ("__init__", "mode"): lambda folder: (
        with_option(
            folder, lambda m: setting(m, "session.intra_op.allow_spinning"), "mode", "auto", "latency"
        )
        == ["0", "1"]
    ),
    ("__init__", "cache_dir"): cache_dir,
    ("__init__", "low_memory"): lambda folder: (
        with_option(folder, lambda m: setting(m, "session.disable_prepacking"), "low_memory", False, True)
        == ["0", "1"]
    ),
}


@pytest.mark.parametrize(("method", "option"), OPENED)
def test_an_option_of_the_embedder_is_obeyed(method: str, option: str, tiny_folder_copy: Path) -> None:
    assert OPENED[method, option](tiny_folder_copy)


def test_no_option_is_without_a_test() -> None:
    methods = {
        name: value
        for name, value in vars(Embedder).items()
        if isinstance(value, FunctionType) and (name == "__init__" or not name.startswith("_"))
    }
    options = {
        (name, option)
        for name, method in methods.items()
        for option in inspect.signature(method).parameters
        if option not in {"self", "folder", "texts", "ids"}  # test_texts.py, test_encode_ids.py
    }
    assert options == CALLS.keys() | REFUSED.keys() | OPENED.keys()
    functions = [name for name in e5_onnx.__all__ if isinstance(getattr(e5_onnx, name), FunctionType)]
    assert functions == ["verify_folder"]  # test_verify.py
