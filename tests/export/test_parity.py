"""Measures of distance, and the gates that judge them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from e5_onnx.model_folder.manifest import Parity
from e5_onnx_export.arrays import Floats, Ids
from e5_onnx_export.compare.parity import (
    Limit,
    gate,
    gate_fp32,
    measure_parity,
    parity_batches,
    worst_language,
)
from e5_onnx_export.errors import ParityError

GOOD = Parity(
    checked=True,
    reference="torch",
    texts=68,
    max_abs=1e-7,
    cosine_mean=1.0,
    cosine_p1=1.0,
    cosine_min=1.0,
    centred_cosine_mean=1.0,
    centred_cosine_min=1.0,
)


def unit_vectors(texts=6, dimension=8):
    vectors = np.random.default_rng(0).standard_normal((texts, dimension))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def turned(degrees):
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def number(value: float | None) -> float:
    """A figure that was measured."""
    assert value is not None
    return value


class TestMeasure:
    def test_equal_vectors(self):
        vectors = unit_vectors()
        found = measure_parity(vectors, vectors.copy(), "numpy")
        assert (found.checked, found.reference, found.texts, found.max_abs) == (True, "numpy", 6, 0.0)
        cosines = (found.cosine_mean, found.cosine_p1, found.cosine_min)
        centred = (found.centred_cosine_mean, found.centred_cosine_min)
        assert (*cosines, *centred) == pytest.approx((1.0,) * 5, abs=1e-15)
        assert max(number(value) for value in (*cosines, *centred)) <= 1

    def test_no_cosine_is_above_one(self):
        vectors = unit_vectors(texts=200)
        exact = vectors.astype(np.float64)
        squares = np.linalg.norm(exact, axis=1) ** 2
        assert ((exact * exact).sum(axis=1) > squares).any()  # so that there is something to cut
        for row in vectors:
            assert number(measure_parity(row[None], row[None], "numpy").cosine_min) <= 1
        assert worst_language(vectors, vectors, [str(n) for n in range(200)]).cosine_mean <= 1

    def test_cosines_are_those_of_the_angles(self):
        found = measure_parity(turned([0, 90, 180, 270]), turned([10, 100, 180, 300]), "torch")
        expected = [math.cos(math.radians(angle)) for angle in (10, 10, 0, 30)]
        assert found.cosine_mean == pytest.approx(sum(expected) / 4, abs=1e-6)
        assert found.cosine_min == pytest.approx(math.cos(math.radians(30)), abs=1e-6)
        # The first percentile of four lies 3% of the way from the least to the next.
        assert found.cosine_p1 == pytest.approx(0.97 * expected[3] + 0.03 * expected[0], abs=1e-6)
        assert found.max_abs == pytest.approx(0.5, abs=1e-6)
        # The four reference vectors' mean is the origin, so centring changes nothing.
        assert found.centred_cosine_mean == pytest.approx(found.cosine_mean, abs=1e-6)
        assert found.centred_cosine_min == pytest.approx(found.cosine_min, abs=1e-6)

    def test_centred_cosines_see_what_a_common_part_hides(self):
        reference = np.array([[100, 1, 0], [100, -1, 0]], np.float32)
        swapped = reference[::-1].copy()
        found = measure_parity(reference, swapped, "torch")
        assert number(found.cosine_min) > 0.999
        assert found.centred_cosine_mean == pytest.approx(-1)
        assert found.centred_cosine_min == pytest.approx(-1)

    def test_length_does_not_count_in_cosines_but_in_max_abs(self):
        vectors = unit_vectors()
        found = measure_parity(vectors, 2 * vectors, "torch")
        assert found.cosine_min == pytest.approx(1, abs=1e-12)
        assert found.max_abs == pytest.approx(np.abs(vectors).max())

    def test_float32_does_not_limit_it(self):
        reference = np.array([[1.0, 0.0]], np.float32)
        vectors = np.array([[1.0, 1e-5]], np.float32)
        found = measure_parity(reference, vectors, "torch")
        assert 1 - number(found.cosine_min) == pytest.approx(5e-11, rel=1e-3)

    def test_a_single_text_has_no_centred_cosine(self):
        found = measure_parity(unit_vectors(1), unit_vectors(1), "torch")
        assert found.centred_cosine_mean is None
        assert found.centred_cosine_min is None

    def test_a_centred_vector_of_zero_matches_nothing(self):
        vectors = turned([40, 40])
        assert measure_parity(vectors, vectors, "torch").centred_cosine_min == 0

    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
    def test_what_is_not_finite_fails(self, value):
        broken = unit_vectors()
        broken[3, 2] = value
        with pytest.raises(
            ParityError, match=r"the exported graph gave NaN or infinity for text 3 \(1 in all\)"
        ):
            measure_parity(unit_vectors(), broken, "torch")
        with pytest.raises(ParityError, match="the numpy reference gave NaN or infinity for text 3"):
            measure_parity(broken, unit_vectors(), "numpy")

    def test_zeros_fail(self):
        broken = unit_vectors()
        broken[[1, 4]] = 0
        with pytest.raises(
            ParityError, match=r"gave nothing but zeros for text 1 \(2 in all\); nothing was written"
        ):
            measure_parity(unit_vectors(), broken, "torch")

    @pytest.mark.parametrize(("left", "right"), [((6, 8), (5, 8)), ((6, 8), (6, 4)), ((0, 8), (0, 8))])
    def test_shapes_that_cannot_be_compared(self, left, right):
        with pytest.raises(ParityError, match=r"the torch reference gave vectors of shape \[\d, 8\]"):
            measure_parity(np.ones(left, np.float32), np.ones(right, np.float32), "torch")


class TestGates:
    def test_fp32_within_bounds(self):
        gate_fp32(replace(GOOD, max_abs=1e-5, cosine_min=0.999999))

    @pytest.mark.parametrize(
        "change",
        [
            {"max_abs": 1.01e-5},
            {"cosine_min": 0.9999989},
            {"max_abs": math.nan},
            {"cosine_min": math.nan},
            {"max_abs": None},
        ],
        ids=str,
    )
    def test_fp32_out_of_bounds(self, change):
        with pytest.raises(ParityError, match=f"out of bounds: {next(iter(change))}; nothing was written"):
            gate_fp32(replace(GOOD, **change))

    def test_the_message_is_a_table(self):
        with pytest.raises(ParityError) as caught:
            gate_fp32(replace(GOOD, max_abs=0.0123456789, cosine_min=0.998))
        assert str(caught.value) == (
            "68 texts against the torch reference:\n"
            "  measure             measured      allowed\n"
            "  max_abs             0.01234568    at most 1e-05\n"
            "  cosine_min          0.998         at least 0.999999\n"
            "out of bounds: max_abs, cosine_min; nothing was written"
        )

    def test_an_unchecked_parity_meets_no_limit(self):
        with pytest.raises(ParityError, match=r"cosine_p1 +not measured +at least 0\.5"):
            gate(Parity(checked=False, reference="none"), [Limit("cosine_p1", "at least", 0.5)])


class TestParityBatches:
    LENGTHS = (1, 2, 3, 500, 400, 300, 4, 5, 6, 7, 200, 8, 9)

    @pytest.mark.parametrize("size", [1, 4, 8, 100])
    def test_order_is_kept_and_batches_are_ragged(self, size):
        token_ids = [np.full(length, index) for index, length in enumerate(self.LENGTHS)]
        batches = []

        def embed(batch):
            batches.append([len(ids) for ids in batch])
            return np.array([[ids[0], len(ids)] for ids in batch], np.float32)

        vectors = parity_batches(embed, token_ids, size=size)
        np.testing.assert_array_equal(vectors, [[index, length] for index, length in enumerate(self.LENGTHS)])
        assert all(len(batch) <= size for batch in batches)
        assert sorted(itertools.chain(*batches)) == sorted(self.LENGTHS)
        assert size == 1 or all(len(set(batch)) > 1 for batch in batches if len(batch) > 1)

    def test_the_shuffle_is_the_same_every_time(self):
        token_ids = [np.full(length, 5) for length in self.LENGTHS]
        runs = []
        for _ in range(2):
            seen: list[int] = []

            def run(batch: Sequence[Ids], seen: list[int] = seen) -> Floats:
                seen.extend(map(len, batch))
                return np.zeros((len(batch), 2), np.float32)

            parity_batches(run, token_ids)
            runs.append(seen)
        assert runs[0] == runs[1] != list(self.LENGTHS)
