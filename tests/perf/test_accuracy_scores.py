"""Scores, resampling and verdicts, by hand and against other code."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr

from e5_onnx.errors import OptionError
from e5_onnx.recipes import E5_INSTRUCT, E5_PREFIX, PLAIN, Recipe
from e5_onnx_perf.accuracy import scores
from e5_onnx_perf.accuracy.bootstrap import Interval, Resampled, interval, resample
from e5_onnx_perf.accuracy.fidelity import bucket_names, bucket_of, measure_distances
from e5_onnx_perf.accuracy.instructions import CONVENTIONS, sides_of
from e5_onnx_perf.accuracy.statistics import Mean, RankCorrelation, weighted_ranks
from e5_onnx_perf.accuracy.verdict import Margin, judge, parse_margin


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def test_the_nearest_of_more_than_one_block() -> None:
    generator = np.random.default_rng(0)
    candidates = unit(generator.normal(0, 1, (40, 8)))
    wanted = generator.integers(0, 40, 2500)
    queries = unit(candidates[wanted] + generator.normal(0, 1e-3, (2500, 8)))
    assert scores.nearest(queries, candidates).tolist() == wanted.tolist()


def test_accuracy_and_f1_by_hand() -> None:
    # Class 0 was named three times and found once, class 1 never, class 3 once.
    found = np.array([0, 0, 0, 3])
    assert scores.accuracy_items(found).tolist() == [100, 0, 0, 100]
    assert scores.f1_items(found).tolist() == pytest.approx([50, 0, 0, 100])


@pytest.mark.reference
def test_f1_is_mtebs() -> None:
    from sklearn.metrics import f1_score

    found = np.random.default_rng(1).integers(0, 60, 80)
    found[:50] = np.arange(50)
    truth = np.arange(80)
    expected = f1_score(truth, found, average="weighted", zero_division=0)
    assert scores.f1_items(found).mean() == pytest.approx(100 * expected)


def test_ranks_by_hand() -> None:
    documents = unit(np.array([[1, 0], [1, 1], [0, 1], [1, 1]], float))
    queries = unit(np.array([[1, 0.1], [1, 0.1], [0, 1]], float))
    ranks = scores.ranks_of_relevant(queries, documents, np.array([0, 2, 1]))
    # The last: its document's twin counts as before it.
    assert ranks.tolist() == [1, 4, 3]
    ranks = np.array([1, 2, 3, 10, 11])
    assert scores.ndcg_items(ranks).tolist() == pytest.approx(
        [100, 100 / np.log2(3), 50, 100 / np.log2(11), 0]
    )
    assert scores.hit_items(ranks).tolist() == [100, 0, 0, 0, 0]
    assert scores.mrr_items(ranks).tolist() == pytest.approx([100, 50, 100 / 3, 10, 0])


@pytest.mark.parametrize("ties", [False, True])
def test_a_resampled_correlation_is_that_of_the_items_drawn(*, ties: bool) -> None:
    generator = np.random.default_rng(2)
    found, truth = generator.normal(0, 1, 30), generator.normal(0, 1, 30)
    if ties:
        found, truth = np.round(found), np.round(truth)
    draws = generator.integers(0, 30, (20, 30))
    counts = np.stack([np.bincount(row, minlength=30) for row in draws])
    expected = [100 * spearmanr(found[row], truth[row]).statistic for row in draws]
    assert RankCorrelation(found, truth).resampled(counts) == pytest.approx(expected)
    once = np.ones((1, 30), np.int64)
    assert RankCorrelation(found, truth).resampled(once)[0] == pytest.approx(
        RankCorrelation(found, truth).value()
    )


def test_weighted_ranks_by_hand() -> None:
    ranks = weighted_ranks(np.array([5.0, 1.0, 5.0]), np.array([[1, 2, 1], [0, 3, 1]]))
    assert ranks[0].tolist() == [3.5, 1.5, 3.5]
    assert ranks[1, 1:].tolist() == [2, 4]


def test_a_resample_without_order_is_left_out() -> None:
    correlation = RankCorrelation(np.array([1.0, 2.0]), np.array([1.0, 2.0]))
    values = correlation.resampled(np.array([[2, 0], [1, 1]]))
    assert np.isnan(values[0])
    assert values[1] == pytest.approx(100)
    found = interval(values)
    assert (found.low, found.high) == pytest.approx((100, 100))


def means(*items: np.ndarray, clusters: list[str] | None = None) -> Resampled:
    names = clusters or [str(number) for number in range(len(items[0]))]
    return Resampled(names, [Mean(own) for own in items])


def test_the_interval_of_a_mean_is_as_wide_as_theory_says() -> None:
    items = np.random.default_rng(3).normal(0, 10, 400)
    ((drawn,),) = resample([means(items)], resamples=4000, seed=0)
    found = interval(drawn)
    error = items.std() / np.sqrt(len(items))
    assert found.low == pytest.approx(items.mean() - 1.96 * error, abs=0.1 * error)
    assert found.high == pytest.approx(items.mean() + 1.96 * error, abs=0.1 * error)


def test_models_and_languages_are_drawn_together() -> None:
    items = np.random.default_rng(4).normal(0, 10, 50)
    first, second = resample([means(items, items + 3), means(items)], resamples=250, seed=0)
    assert first.shape == (2, 250)
    assert first[1] - first[0] == pytest.approx(np.full(250, 3.0))
    assert second[0] == pytest.approx(first[0])
    again = resample([means(items)], resamples=250, seed=0)
    assert again[0][0] == pytest.approx(first[0])
    assert resample([means(items)], resamples=250, seed=1)[0][0] != pytest.approx(first[0])


def test_clusters_are_drawn_whole() -> None:
    items = np.repeat([0.0, 100.0], 50)
    ((drawn,),) = resample(
        [means(items, clusters=[str(number // 50) for number in range(100)])], resamples=400, seed=0
    )
    # Two clusters: a resample is all of one, all of the other, or half and half.
    assert set(drawn) == {0.0, 50.0, 100.0}


def test_a_language_that_was_not_drawn_has_no_score() -> None:
    parts = [means(np.array([1.0]), clusters=["a"]), means(np.array([3.0]), clusters=["b"])]
    first, second = resample(parts, resamples=300, seed=0)
    assert np.isnan(first).any()
    assert interval(first[0]) == Interval(1, 1)
    assert interval(second[0]) == Interval(3, 3)


NEAR, FAR, ACROSS, BETTER = Interval(-0.3, 0.1), Interval(-3, -2), Interval(-3, 0.5), Interval(1, 2)
VERDICTS = [
    (NEAR, [NEAR, BETTER], "holds", "holds", 2, 0),
    (NEAR, [NEAR, ACROSS], "cannot tell", "holds", 1, 0),
    (NEAR, [ACROSS, FAR], "does not hold", "holds", 0, 1),
    (ACROSS, [NEAR], "cannot tell", "cannot tell", 1, 0),
    (FAR, [NEAR], "does not hold", "does not hold", 1, 0),
    (Interval(-0.5, 0), [Interval(-1, 0)], "holds", "holds", 1, 0),
    (Interval(-0.6, -0.5), [NEAR], "cannot tell", "cannot tell", 1, 0),
]


@pytest.mark.parametrize(("average", "languages", "verdict", "of_average", "hold", "fail"), VERDICTS)
def test_verdicts(average, languages, verdict: str, of_average: str, hold: int, fail: int) -> None:
    found = judge(average, languages, Margin())
    assert (found.verdict, found.verdict_average) == (verdict, of_average)
    assert (found.languages_hold, found.languages_do_not_hold) == (hold, fail)


def test_margins() -> None:
    assert parse_margin("0.3") == Margin(0.3, 0.6)
    assert parse_margin("0.3,2") == Margin(0.3, 2)
    for wrong in ("", "x", "0", "-1", "1,2,3", "1,0", "inf", "nan"):
        with pytest.raises(OptionError, match=r"margin is .*; it must be AVERAGE or AVERAGE,LANGUAGE"):
            parse_margin(wrong)


def test_distances_by_hand() -> None:
    reference = unit(np.array([[1, 0], [0, 1], [1, 1]], float))
    moved = unit(np.array([[1, 0.1], [0, 1], [1, 1]], float))
    found = measure_distances(reference, moved)
    assert found.cosine.tolist() == pytest.approx([1 / np.sqrt(1.01), 1, 1], abs=1e-6)
    assert found.summary()["cosine_min"] == pytest.approx(1 / np.sqrt(1.01), abs=1e-6)
    assert found.summary()["overlap_at_10"] == 1
    only = found.summary(np.array([False, True, True]))
    assert (only["texts"], only["cosine_min"]) == (2, pytest.approx(1))
    assert measure_distances(reference, reference).centred.tolist() == pytest.approx([1, 1, 1])


def test_the_overlap_of_neighbours() -> None:
    generator = np.random.default_rng(5)
    vectors = unit(generator.normal(0, 1, (600, 6)))
    same, other = (
        measure_distances(vectors, own) for own in (vectors, unit(generator.normal(0, 1, (600, 6))))
    )
    assert same.overlap.tolist() == [1.0] * 600
    assert other.overlap.mean() < 0.1
    # A text is not its own neighbour, and one text has none.
    assert measure_distances(vectors[:2], vectors[[0, 5]]).overlap.tolist() == [1, 1]
    assert measure_distances(vectors[:1], vectors[:1]).summary()["overlap_at_10"] == 1


def test_length_buckets() -> None:
    assert bucket_names() == ["1-16", "17-32", "33-64", "65-128", "129-256", "257-512"]
    assert bucket_of(np.array([1, 16, 17, 512, 9000])).tolist() == [0, 0, 1, 5, 5]


WRITTEN = [
    (E5_INSTRUCT, "official", "sts", "Instruct: Retrieve semantically similar text.\nQuery: ", None),
    (E5_INSTRUCT, "reproduction", "bitext", "Instruct: Retrieve parallel sentences.\nQuery: ", None),
    (
        E5_INSTRUCT, "official", "retrieval",
        "Instruct: Given a question, retrieve Wikipedia passages that answer the question\nQuery: ", "",
    ),
    (E5_INSTRUCT, "reproduction", "retrieval", "Instruct: Retrieve text based on user query.\nQuery: ", ""),
    (E5_PREFIX, "official", "sts", "query: ", None),
    (E5_PREFIX, "reproduction", "sts", "", None),
    (E5_PREFIX, "reproduction", "bitext", "", None),
    (E5_PREFIX, "reproduction", "retrieval", "query: ", "passage: "),
    (PLAIN, "official", "retrieval", "", ""),
]  # fmt: skip


@pytest.mark.parametrize(("recipe", "convention", "task", "first", "second"), WRITTEN)
def test_what_is_written_around_texts(
    recipe: Recipe, convention, task, first: str, second: str | None
) -> None:
    assert convention in CONVENTIONS
    sides = sides_of(task, recipe, convention)
    written = [recipe.template(side.role, side.task).before for side in (sides.first, sides.second)]
    assert written == [first, first if second is None else second]
