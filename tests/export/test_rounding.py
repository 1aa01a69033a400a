from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

import e5_onnx
from e5_onnx_export.graph.activations import GELU_SCALES, SYMMETRIC, StaticScale
from e5_onnx_export.graph.linear_id import LinearId
from e5_onnx_export.graph.probe import build_probe
from e5_onnx_export.graph.smoothing import Smoothing
from e5_onnx_export.quantize.capture import InputSample
from e5_onnx_export.quantize.moments import MomentCollector
from e5_onnx_export.quantize.search import STATIC_ERROR, Treatment, TreatmentSearch
from e5_onnx_export.rounding.product_error import relative_error
from e5_onnx_export.rounding.rounding import (
    LARGEST,
    PAIR_LIMIT,
    ColumnGrid,
    largest_pair_sum,
    round_columns,
    round_rows,
    round_to_int8,
)

WEIGHT = np.random.default_rng(0).normal(0, 1, (64, 24)).astype(np.float32)


@pytest.mark.parametrize("bits", [7, 8])
def test_columns_are_rounded_to_half_a_step(bits: int) -> None:
    rounded = round_columns(WEIGHT, bits)  # type: ignore[arg-type]
    assert rounded.values.dtype == np.int8
    assert rounded.values.min() >= -LARGEST[bits]  # type: ignore[index]
    widest = np.abs(rounded.values).max(axis=0) == LARGEST[bits]  # type: ignore[index]
    assert (widest | (largest_pair_sum(rounded.values) >= PAIR_LIMIT - 2)).all()
    error = np.abs(rounded.values * rounded.scales - WEIGHT)
    assert (error <= rounded.scales * 0.5001).all()


@pytest.mark.parametrize("bits", [7, 8])
@pytest.mark.parametrize("spread", [0.1, 1, 3])
def test_no_pair_of_weights_can_saturate_sixteen_bits(bits: int, spread: float) -> None:
    generator = np.random.default_rng(6)
    # Heavy tails, and inputs so alike that making good an error moves the next weight far.
    weight = (generator.standard_t(2, (65, 40)) * spread).astype(np.float32)
    rows = (generator.normal(0, 1, (400, 3)) @ generator.normal(0, 1, (3, 65))).astype(np.float32)
    rounded = round_to_int8(weight, rows.T @ rows / len(rows), bits)  # type: ignore[arg-type]
    assert 255 * PAIR_LIMIT < 2**15 <= 255 * (PAIR_LIMIT + 1)
    for values in (rounded.values, round_columns(weight, bits).values):  # type: ignore[arg-type]
        positive, negative = (np.maximum(signed.astype(int), 0) for signed in (values, -values.astype(int)))
        for part in (positive, negative):
            assert (part[0:64:2] + part[1:64:2]).max() <= PAIR_LIMIT


def test_a_weight_leaves_room_for_the_one_beside_it() -> None:
    grid = ColumnGrid(np.ones(4, np.float32), 127)
    weights = np.array([100, 100, -100, -300], np.float32)
    assert grid.round(weights).tolist() == [100, 100, -100, -127]
    beside = np.array([100, -100, -100, -20], np.int8)
    assert grid.round(weights, beside=beside).tolist() == [28, 100, -28, -108]


def test_sums_of_pairs_by_hand() -> None:
    weight = np.array([[1, -128], [2, -3], [100, 5], [-100, 6], [127, 127]], np.int8)
    assert largest_pair_sum(weight).tolist() == [100, 131]
    assert largest_pair_sum(weight[:1]).tolist() == [0, 0]


@pytest.mark.parametrize("bits", [7, 8])
def test_the_largest_weight_of_a_column_takes_the_last_step(bits: int) -> None:
    weight = np.array([[0.3, -2], [-0.2, 1.5], [0.1, 0]], np.float32)
    last = {7: 64, 8: 127}[bits]
    assert round_columns(weight, bits).values[0].tolist() == [last, -last]  # type: ignore[arg-type]


def test_a_pair_that_ends_between_two_steps_is_not_rounded_beyond_the_limit() -> None:
    # 63.5 and 64.5 steps of a 128th of their sum: a unit of float32 decides whether both are rounded up.
    steps = np.random.default_rng(8).uniform(0.001, 1, 4000)
    weight = np.stack([63.5 * steps, 64.5 * steps]).astype(np.float32)
    assert largest_pair_sum(round_columns(weight, 8).values).max() <= PAIR_LIMIT


def test_the_largest_value_of_each_row_takes_the_last_step() -> None:
    rounded = round_rows(WEIGHT)
    assert (np.abs(rounded.values).max(axis=1) == 127).all()


def test_rows_are_rounded_to_half_a_step() -> None:
    rounded = round_rows(WEIGHT)
    error = np.abs(rounded.values * rounded.scales[:, None] - WEIGHT)
    assert (error <= rounded.scales[:, None] * 0.5001).all()


def test_zeros_stay_zeros() -> None:
    zeros = np.zeros((4, 4), np.float32)
    for rounded in (round_columns(zeros, 8), round_rows(zeros)):
        assert not rounded.values.any()
        assert (rounded.scales > 0).all()


def correlated_rows() -> np.ndarray:
    generator = np.random.default_rng(4)
    return (generator.normal(0, 1, (400, 12)) @ generator.normal(0, 1, (12, 64))).astype(np.float32)


@pytest.mark.parametrize("bits", [7, 8])
def test_errors_are_made_good_on_inputs_like_those_of_calibration(bits: int) -> None:
    rows = correlated_rows()
    plain, better = round_columns(WEIGHT, bits), round_to_int8(WEIGHT, rows.T @ rows / len(rows), bits)  # type: ignore[arg-type]
    assert np.abs(better.values).max() <= LARGEST[bits]  # type: ignore[index]
    assert (better.scales == plain.scales).all()
    errors = [
        relative_error(rows @ (found.values * found.scales), rows @ WEIGHT) for found in (plain, better)
    ]
    assert errors[1] < 0.5 * errors[0]


def test_nothing_is_made_good_where_channels_have_nothing_in_common() -> None:
    rounded = round_to_int8(WEIGHT, np.eye(64, dtype=np.float32), 8)
    assert (rounded.values == round_columns(WEIGHT, 8).values).all()


@pytest.mark.parametrize("batches", [1, 3])
def test_moments_are_those_of_the_smoothed_inputs(batches: int) -> None:
    rows = outliers() + 100
    collector = MomentCollector()
    for batch in np.array_split(rows, batches):
        collector.add(batch)
    generator = np.random.default_rng(5)
    smoothing = Smoothing(np.exp(generator.normal(0, 1, 64)).astype(np.float32), rows.mean(axis=0) + 1)
    smoothed = smoothing.apply(rows.astype(np.float64))
    expected = smoothed.T @ smoothed / len(rows)
    assert collector.moments().smoothed(smoothing) == pytest.approx(
        expected, abs=2e-3 * np.abs(expected).max()
    )
    plain = rows.astype(np.float64).T @ rows / len(rows)
    assert collector.moments().smoothed(None) == pytest.approx(plain, rel=1e-4)


@pytest.mark.parametrize("activations", [SYMMETRIC, *GELU_SCALES], ids=lambda a: a.zero_point)
def test_activations_survive_the_round_trip(activations) -> None:
    x = np.random.default_rng(1).normal(0, 1, (6, 50)).astype(np.float32)
    if activations.lowest is not None:
        x = np.maximum(x, activations.lowest)
    largest = np.abs(x).max(axis=1, keepdims=True)
    step = np.maximum(largest / (255 - activations.zero_point), 0.17 / activations.zero_point)
    assert (np.abs(activations.round_trip(x) - x) <= step * 0.51).all()


def sample(rows: np.ndarray) -> InputSample:
    collector = MomentCollector()
    collector.add(rows)
    return InputSample(rows.min(axis=0), rows.max(axis=0), rows, collector.moments())


def outliers() -> np.ndarray:
    rows = np.random.default_rng(2).normal(0, 1, (200, 64)).astype(np.float32)
    rows[:, [3, 40]] *= 30
    rows[:, 7] += 25
    return rows


def test_the_search_takes_the_treatment_with_the_least_error() -> None:
    trial = TreatmentSearch(LinearId(0, "qkv"), sample(outliers()), WEIGHT, 8)
    choice = trial.choose()
    assert choice.treatment.smoothing is not None
    assert choice.error == trial.error(choice.treatment)
    assert choice.error < 0.5 * trial.error(Treatment(SYMMETRIC))
    assert choice.error == trial.choose().error


def test_an_exponent_says_how_much_goes_into_the_weights() -> None:
    trial = TreatmentSearch(LinearId(0, "qkv"), sample(outliers()), WEIGHT, 8)
    # 1, all: inputs reach as far in every channel. 0, none: so do the weights.
    smoothed = trial._smoothing(1).apply(outliers())
    reach = np.ptp(smoothed, axis=0)
    assert reach == pytest.approx(np.full(64, reach[0]), rel=1e-4)
    assert np.abs(smoothed.max(axis=0) + smoothed.min(axis=0)).max() <= 1e-4 * reach[0]
    largest = np.abs(trial._smoothing(0).weight(WEIGHT)).max(axis=1)
    assert largest == pytest.approx(np.full(64, largest[0]), rel=1e-4)


def alike() -> np.ndarray:
    """Channels of many sizes; every row goes about as far as the others."""
    generator = np.random.default_rng(9)
    return (generator.uniform(-1, 1, (200, 64)) * np.exp(generator.normal(0, 1, 64)) + 3).astype(np.float32)


@pytest.mark.parametrize("kind", ["qkv", "ffn_in"])
def test_rows_that_are_alike_get_a_static_scale_that_clips_nothing(kind) -> None:
    rows = alike()
    choice = TreatmentSearch(LinearId(0, kind), sample(rows), WEIGHT, 8).choose()
    scale, smoothing = choice.treatment.activations.static_scale, choice.treatment.smoothing
    assert scale is not None
    assert smoothing is not None
    assert np.abs(smoothing.apply(rows)).max() / scale == pytest.approx(127 / 1.1, rel=1e-5)
    tokens = Treatment(SYMMETRIC, choice.treatment.exponent, smoothing)
    assert choice.error <= STATIC_ERROR * TreatmentSearch(LinearId(0, kind), sample(rows), WEIGHT, 8).error(
        tokens
    )


def test_a_linear_with_a_token_far_from_the_others_keeps_token_scales() -> None:
    rows = alike()
    rows[17] *= 50
    trial = TreatmentSearch(LinearId(0, "qkv"), sample(rows), WEIGHT, 8)
    # Without the large row: what the others lose counts.
    choice = replace(trial, sample=replace(trial.sample, rows=np.delete(rows, 17, axis=0))).choose()
    assert choice.treatment.activations == SYMMETRIC


@pytest.mark.parametrize("kind", ["attention_out", "ffn_out"])
def test_inputs_that_nothing_bounds_have_token_scales(kind) -> None:
    choice = TreatmentSearch(LinearId(0, kind), sample(np.maximum(alike(), -0.17)), WEIGHT, 8).choose()
    assert not isinstance(choice.treatment.activations, StaticScale)


def test_even_inputs_need_no_smoothing() -> None:
    rows = np.random.default_rng(3).uniform(-1, 1, (200, 64)).astype(np.float32)
    trial = TreatmentSearch(LinearId(0, "attention_out"), sample(rows), WEIGHT, 8)
    assert trial.choose().error <= trial.error(Treatment(SYMMETRIC))


def test_ffn_out_chooses_among_zero_points() -> None:
    rows = np.maximum(outliers(), -0.17)
    choice = TreatmentSearch(LinearId(1, "ffn_out"), sample(rows), WEIGHT, 8).choose()
    assert choice.treatment.smoothing is None
    assert choice.treatment.activations in GELU_SCALES


def test_the_shipped_probe_is_what_the_program_makes(tmp_path: Path) -> None:
    ir.save(build_probe(), tmp_path / "probe.onnx")
    shipped = Path(e5_onnx.__file__).parent / "inference" / "int8_probe.onnx"
    assert (tmp_path / "probe.onnx").read_bytes() == shipped.read_bytes()
