"""`--cache-queries`: a query that was asked before costs no run of the model, and its vector is the same."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from served import Served

from e5_onnx import Embedder
from e5_onnx.serve.recent import RecentVectors


def ask(served: Served, role: str, *texts: str, **fields: str) -> np.ndarray:
    answer = served.post("/embed", inputs=list(texts), prompt_name=role, **fields)
    assert answer.status_code == 200
    return np.array(answer.json(), np.float32)


def hits(served: Served) -> float:
    found = served.state.metrics.registry.get_sample_value("e5_cached_queries_total")
    assert found is not None
    return found


def batches(served: Served) -> float:
    found = served.state.metrics.registry.get_sample_value("e5_batch_seconds_count")
    assert found is not None
    return found


def test_a_query_is_computed_once(serve_app: Callable[..., Served]) -> None:
    served = serve_app(cache_queries=10)
    with Embedder(served.settings.folder, threads=1) as model:
        truth = model.embed_queries(["moon", "river", "tea"])
    np.testing.assert_allclose(ask(served, "query", "moon", "river"), truth[:2], atol=2e-6)
    before = batches(served)
    np.testing.assert_allclose(ask(served, "query", "river", "moon"), truth[[1, 0]], atol=2e-6)
    assert (hits(served), batches(served)) == (2, before)
    # Some of a request are kept, and some are not.
    found = ask(served, "query", "tea", "moon", "tea")
    np.testing.assert_allclose(found, truth[[2, 0, 2]], atol=2e-6)
    assert (hits(served), batches(served)) == (3, before + 1)


def test_another_task_is_another_query(serve_app: Callable[..., Served]) -> None:
    served = serve_app(cache_queries=10)
    first = ask(served, "query", "moon")
    second = ask(served, "query", "moon", task="Retrieve parallel sentences.")
    assert hits(served) == 0
    assert np.abs(first - second).max() > 1e-3


@pytest.mark.parametrize("role", ["document", "raw"])
def test_other_texts_are_not_kept(role: str, serve_app: Callable[..., Served]) -> None:
    served = serve_app(cache_queries=10)
    ask(served, role, "moon")
    np.testing.assert_array_equal(ask(served, role, "moon"), ask(served, role, "moon"))
    assert hits(served) == 0


def test_without_the_option_nothing_is_kept(serve_app: Callable[..., Served]) -> None:
    served = serve_app()
    ask(served, "query", "moon")
    ask(served, "query", "moon")
    assert hits(served) == 0


def test_the_least_recently_used_one_leaves() -> None:
    recent, vectors = RecentVectors(2), np.zeros((1, 3), np.float32)
    rows = [np.array([number]) for number in range(3)]
    for row in rows[:2]:
        recent.keep(row, np.full(3, float(row[0]), np.float32))
    assert recent.fill(rows[:1], vectors) == []
    recent.keep(rows[2], np.full(3, 2.0, np.float32))
    assert [recent.fill([row], vectors) for row in rows] == [[], [0], []]
    assert vectors.tolist() == [[2.0, 2.0, 2.0]]


def test_a_kept_vector_is_a_copy() -> None:
    recent, vector = RecentVectors(1), np.ones(3, np.float32)
    recent.keep(np.array([1]), vector)
    vector[:] = 0
    found = np.zeros((1, 3), np.float32)
    assert recent.fill([np.array([1])], found) == []
    assert found.tolist() == [[1.0, 1.0, 1.0]]
