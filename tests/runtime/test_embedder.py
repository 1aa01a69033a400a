from __future__ import annotations

import pickle
import threading
import warnings
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from e5_onnx import Embedder, Mode, TruncationWarning
from e5_onnx.errors import (
    ClosedError,
    ForkedError,
    InferenceError,
    LoneSurrogateError,
    OptionError,
    RoleError,
    RoleMissingError,
    TaskError,
    TemplateTooLongError,
    TextTooLongError,
    TextTypeError,
)

TEXTS = ["moon", "the river of the city is red", "", "what is the capital", "東京", "tea " * 40]

# The largest difference between a text alone and in a batch, fp32.
ALONE = 2e-6


@pytest.fixture(scope="module")
def model(tiny_folder: Path) -> Embedder:
    return Embedder(tiny_folder, threads=1)


def close(left: np.ndarray, right: np.ndarray) -> bool:
    return bool(np.abs(left - right).max() <= ALONE)


def test_vectors_are_float32_unit_and_in_order(model: Embedder) -> None:
    vectors = model.embed_documents(TEXTS)
    assert (vectors.shape, vectors.dtype) == ((6, model.dimension), np.float32)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    for text, vector in zip(TEXTS, vectors, strict=True):
        assert close(model.embed_documents(text), vector)


def test_one_text_loses_the_first_axis(model: Embedder) -> None:
    encoded = model.encode("moon", role="document")
    assert encoded.vectors.shape == (model.dimension,)
    assert (encoded.tokens.shape, encoded.truncated.shape) == ((), ())
    assert model.count_tokens("moon", role="document") == encoded.tokens


def test_no_texts_give_no_vectors(model: Embedder) -> None:
    encoded = model.encode([], role="query")
    assert encoded.vectors.shape == (0, model.dimension)
    assert encoded.tokens.shape == encoded.truncated.shape == (0,)
    assert list(model.stream_documents([])) == []


def test_the_same_text_in_any_company(tiny_folder: Path) -> None:
    texts = ["moon", "tea " * 60, "moon"]
    modes: tuple[Mode, ...] = ("latency", "throughput")
    for mode, threads, budget in product(modes, (1, 2, 3), (1, 64, 200, 4096)):
        with Embedder(tiny_folder, threads=threads, token_budget=budget, mode=mode) as model:
            alone = model.embed_documents("moon")
            vectors = model.embed_documents(texts)
            assert close(vectors[0], alone)
            assert close(vectors[2], alone)


def test_a_batch_for_each_thread_keeps_the_order(tiny_folder: Path) -> None:
    texts = [f"{'tea ' * (number * 7 % 40)}{number}" for number in range(150)]
    with Embedder(tiny_folder, threads=4) as one, Embedder(tiny_folder, threads=4, mode="throughput") as many:
        assert one.threads == many.threads == 4
        assert close(one.embed_documents(texts), many.embed_documents(texts))
        assert many.embed_documents([]).shape == (0, many.dimension)
        assert pickle.loads(pickle.dumps(many))._options.mode == "throughput"  # noqa: S301 - our own


def test_an_error_in_one_of_many_batches_is_raised(
    tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Embedder(tiny_folder, threads=2, token_budget=64, mode="throughput") as model:
        session = model._lifetime.get().session._session
        calls = []

        def fail(*given):
            calls.append(given)
            if len(calls) == 3:
                raise RuntimeError("no room")
            return session.run(*given)

        monkeypatch.setattr(model._lifetime.get().session, "_session", SimpleNamespace(run=fail))
        with pytest.raises(InferenceError, match="no room"):
            model.embed_documents(["moon"] * 60)


def test_another_mode_is_refused(tiny_folder: Path) -> None:
    with pytest.raises(OptionError, match="mode is 'fast'; it must be one of auto, latency, throughput"):
        Embedder(tiny_folder, mode="fast")  # type: ignore[arg-type]


def test_roles_are_templates(model: Embedder) -> None:
    task = "Given a web search query, retrieve relevant passages that answer the query"
    texts = [f"Instruct: {task}\nQuery: moon", "Instruct: find\nQuery: moon", "moon"]
    raw = model.encode(texts, role="raw").vectors
    assert close(model.embed_queries("moon"), raw[0])
    assert close(model.embed_queries("moon", task="find"), raw[1])
    assert close(model.embed_queries("moon", task=""), raw[2])
    assert close(model.embed_documents("moon"), raw[2])


@pytest.mark.parametrize("texts", ["moon", ["moon"], [], None])
def test_nothing_is_embedded_without_a_role(model: Embedder, texts: Any) -> None:
    with pytest.raises(
        TypeError, match="embed_queries, embed_documents, or encode with role='query'"
    ) as caught:
        model.embed(texts)
    assert isinstance(caught.value, RoleMissingError)
    with pytest.raises(RoleError, match="unknown role: None; choose one of query, document, raw"):
        model.encode("moon", role=None)  # type: ignore[arg-type]


def test_tokens_and_ids(model: Embedder) -> None:
    counts = model.count_tokens(TEXTS, role="document")
    ids = model.tokenize(TEXTS, role="document")
    assert (
        counts.tolist() == [len(row) for row in ids] == model.encode(TEXTS, role="document").tokens.tolist()
    )
    assert all((row[0], row[-1]) == (0, 2) for row in ids)


class TestOverflow:
    LONG = "moon " * 400

    def test_warn_cuts_and_counts_once(self, model: Embedder) -> None:
        with pytest.warns(TruncationWarning, match="2 texts were cut to the model's 128 tokens") as caught:
            encoded = model.encode([self.LONG, "tea", self.LONG], role="document")
        assert len(caught) == 1
        assert caught[0].filename == __file__
        assert encoded.truncated.tolist() == [True, False, True]
        assert encoded.tokens[0] > model.max_tokens

    def test_truncate_cuts_in_silence(self, model: Embedder) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            encoded = model.encode(self.LONG, role="document", overflow="truncate")
        assert bool(encoded.truncated)

    def test_error_comes_before_any_work(self, model: Embedder) -> None:
        with pytest.raises(TextTooLongError, match=r"text 1 has \d+ tokens, the model takes 128"):
            model.encode(["tea", self.LONG], role="document", overflow="error")

    def test_windows_differ_from_cutting(self, model: Embedder) -> None:
        texts = [self.LONG + "tea", "tea"]
        windows = model.encode(texts, role="document", overflow="window")
        cut = model.encode(texts, role="document", overflow="truncate")
        assert not windows.truncated.any()
        assert not close(windows.vectors[0], cut.vectors[0])
        assert close(windows.vectors[1], cut.vectors[1])
        np.testing.assert_allclose(np.linalg.norm(windows.vectors, axis=1), 1, atol=1e-6)

    def test_the_embedders_own_policy(self, tiny_folder: Path) -> None:
        with (
            Embedder(tiny_folder, overflow="error") as model,
            pytest.raises(TextTooLongError),
        ):
            model.embed_documents(self.LONG)

    def test_a_query_has_no_windows(self, model: Embedder) -> None:
        with pytest.raises(OptionError, match="windows are for documents"):
            model.encode("tea", role="query", overflow="window")

    def test_the_task_is_never_cut(self, model: Embedder) -> None:
        with pytest.raises(TemplateTooLongError, match="leave no room for the text"):
            model.embed_queries("tea", task="word " * 200)


class TestStream:
    def test_it_equals_encode(self, model: Embedder) -> None:
        texts = [f"moon {number}" for number in range(1100)]
        streamed = np.stack(list(model.stream_queries(iter(texts))))
        assert close(streamed, model.embed_queries(texts))
        documents = np.stack(list(model.stream_documents(iter(texts[:3]))))
        assert close(documents, model.embed_documents(texts[:3]))

    def test_one_warning_at_the_end(self, model: Embedder) -> None:
        texts = ["moon " * 400] * 600
        with pytest.warns(TruncationWarning, match="600 texts were cut") as caught:
            parts = list(model.stream(texts, role="document"))
        assert len(caught) == 1
        assert sum(len(part.vectors) for part in parts) == 600

    def test_a_source_that_breaks_loses_nothing(self, model: Embedder) -> None:
        def texts():
            yield from ["moon", "tea"]
            raise LookupError

        got: list[Any] = []
        with pytest.raises(LookupError):
            got.extend(vector for vector in model.stream_documents(texts()))
        assert close(np.stack(got), model.embed_documents(["moon", "tea"]))

    def test_a_bad_text_is_numbered_from_the_start(self, model: Embedder) -> None:
        texts: list[Any] = ["moon"] * 600 + [7]
        with pytest.raises(TextTypeError, match="text 600 is int, not str"):
            list(model.stream(texts, role="document"))


class TestBadInput:
    def test_not_a_string(self, model: Embedder) -> None:
        with pytest.raises(TextTypeError, match="text 1 is NoneType, not str"):
            model.embed_documents(["a", None])  # type: ignore[list-item]

    def test_lone_surrogate(self, model: Embedder) -> None:
        with pytest.raises(LoneSurrogateError, match="text 0 has a lone surrogate at character 2"):
            model.embed_documents(["ab\ud800"])

    def test_unknown_role(self, model: Embedder) -> None:
        with pytest.raises(RoleError, match="unknown role: 'passage'; choose one of query, document, raw"):
            model.encode("a", role="passage")  # type: ignore[arg-type]

    def test_a_task_for_a_document(self, model: Embedder) -> None:
        with pytest.raises(TaskError, match="takes no task for role 'document'"):
            model.encode("a", role="document", task="t")

    @pytest.mark.parametrize("text", ["", " ", "\n\t", "\0", "a\0b", "\x1b[0m", "\u200b", "😀" * 50])
    def test_odd_texts_are_texts(self, model: Embedder, text: str) -> None:
        vector = model.embed_documents(text)
        assert np.isfinite(vector).all()
        assert close(model.embed_documents([text, "the city " * 20])[0], vector)

    @pytest.mark.parametrize("overflow", ["", [], 5, False])
    def test_overflow(self, model: Embedder, overflow: Any) -> None:
        for call in (model.encode, lambda texts, **options: list(model.stream(texts, **options))):
            with pytest.raises(OptionError, match=r"overflow is .*; it must be one of warn,"):
                call(["a"], role="document", overflow=overflow)

    def test_cache_dir(self, tiny_folder: Path) -> None:
        with pytest.raises(OptionError, match="cache_dir is 5; it must be a path, or None"):
            Embedder(tiny_folder, cache_dir=5)  # type: ignore[arg-type]

    @pytest.mark.parametrize("budget", [0, -1, 1.5, True, "9"])
    def test_token_budget(self, tiny_folder: Path, budget: object) -> None:
        with pytest.raises(OptionError, match=r"token_budget is .* it must be a whole number of at least 1"):
            Embedder(tiny_folder, token_budget=budget)  # type: ignore[arg-type]


class TestLife:
    def test_closing_twice(self, tiny_folder: Path) -> None:
        model = Embedder(tiny_folder)
        model.close()
        model.close()
        with pytest.raises(ClosedError, match="this Embedder was closed"):
            model.embed_documents("a")

    def test_the_context_manager_closes(self, tiny_folder: Path) -> None:
        with Embedder(tiny_folder) as model:
            model.embed_documents("a")
        with pytest.raises(ClosedError):
            model.count_tokens("a", role="raw")

    def test_it_pickles_as_its_options(self, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tiny_folder.parent)
        with Embedder(tiny_folder.name, threads=1, overflow="truncate", token_budget=77) as model:
            data = pickle.dumps(model)
            expected = model.embed_documents(["moon"])
        assert len(data) < 1000
        monkeypatch.chdir("/")
        copy = pickle.loads(data)  # noqa: S301 - our own
        assert close(copy.embed_documents(["moon"]), expected)
        assert copy.threads == 1
        assert copy.__reduce__()[0].keywords["token_budget"] == 77

    def test_after_a_fork(self, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        model = Embedder(tiny_folder)
        monkeypatch.setattr("os.getpid", lambda: 1)
        with pytest.raises(ForkedError, match="used in its fork 1"):
            model.embed_documents("a")

    def test_many_callers_of_one_session(self, model: Embedder) -> None:
        expected = model.embed_documents(TEXTS)
        found: list[np.ndarray] = []

        def call() -> None:
            found.extend(model.embed_documents(TEXTS) for _ in range(5))

        callers = [threading.Thread(target=call) for _ in range(4)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
        assert len(found) == 20
        assert all(close(vectors, expected) for vectors in found)

    def test_what_it_says_of_itself(self, model: Embedder, tiny_folder: Path) -> None:
        assert repr(model) == f"Embedder({str(tiny_folder)!r}, precision='fp32', threads=1)"
        assert (model.max_tokens, model.threads, model.tokenizer) == (128, 1, "tokenizers")
        assert model.manifest.recipe.name == "e5-instruct"
