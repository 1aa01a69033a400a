"""How each linear's input is smoothed and rounded, chosen by the error that it leaves on sampled tokens.

A static scale is taken where it leaves little more error than a scale a token: its product is faster and
adds the bias.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from e5_onnx_export.arrays import Floats
from e5_onnx_export.graph.activations import GELU_SCALES, SYMMETRIC, Activations, StaticScale
from e5_onnx_export.graph.linear_id import LinearId, LinearKind
from e5_onnx_export.graph.smoothing import Smoothing
from e5_onnx_export.quantize.capture import InputSample
from e5_onnx_export.rounding.product_error import relative_error
from e5_onnx_export.rounding.rounding import WeightBits, round_columns

# How much of the unevenness goes from the activations into the weights: 0 none, 1 all
# (arXiv 2211.10438, equation 4).
EXPONENTS: Final = (0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
# The largest error of a static scale, relative to that of the best scale a token.
STATIC_ERROR: Final = 1.25
_SMALLEST: Final = 1e-5
_COLUMNS: Final = 1024
# How far a static scale reaches, relative to the calibration tokens. Never less than 1: the tokens that are
# clipped then are few and in every text. The product's mean error hardly shows it, and the vectors are wrong.
_HEADROOM: Final = 1.1
# Linears whose input a LayerNorm bounds.
_BOUNDED: Final[tuple[LinearKind, ...]] = ("qkv", "ffn_in")
# What error-compensated rounding leaves of the error of rounding weights to the nearest, about.
_COMPENSATED: Final = 0.5


@dataclass(frozen=True, slots=True)
class Treatment:
    """The smoothing and rounding of a linear layer's input.

    Attributes:
        activations: How a row becomes uint8.
        exponent: The migration strength alpha; None where nothing is smoothed.
        smoothing: The channels' scale and shift, or None.
    """

    activations: Activations
    exponent: float | None = None
    smoothing: Smoothing | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """The best treatment and the error it leaves, relative to the spread of the true product over tokens."""

    treatment: Treatment
    error: float


@dataclass(frozen=True, slots=True)
class _Product:
    """A linear's product with rounded weights, before its input is rounded.

    Attributes:
        rows: float32 [tokens, K]: smoothed inputs.
        weight: float32 [K, N]: smoothed weights, about as they are after rounding.
        truth: float32 [tokens, N].
    """

    rows: Floats
    weight: Floats
    truth: Floats

    def error(self, activations: Activations) -> float:
        """About the error of the rounded product, relative to the true product's spread over tokens."""
        return relative_error(activations.round_trip(self.rows) @ self.weight, self.truth)


@dataclass(frozen=True, slots=True)
class TreatmentSearch:
    """A linear on which treatments are tried.

    Attributes:
        linear: The linear layer.
        sample: Its inputs.
        weight: float32 [K, N].
        bits: Number of bits of each weight.
    """

    linear: LinearId
    sample: InputSample
    weight: Floats
    bits: WeightBits

    def choose(self) -> Choice:
        """The best static scale where it is nearly as good as the best scale a token, or else that."""
        token: list[Choice] = []
        static: list[Choice] = []
        for choice in self._choices():
            (token if choice.treatment.activations.static_scale is None else static).append(choice)
        best = min(token, key=_error)
        good = (each for each in static if each.error <= STATIC_ERROR * best.error)
        return min(good, key=_error, default=best)

    def error(self, treatment: Treatment) -> float:
        """About what a treatment will leave, relative to the true product's spread over tokens."""
        return self._product(treatment.smoothing).error(treatment.activations)

    def _choices(self) -> Iterator[Choice]:
        for exponent in self._exponents():
            smoothing = None if exponent is None else self._smoothing(exponent)
            product = self._product(smoothing)
            for scales in self._scales(smoothing):
                yield Choice(Treatment(scales, exponent, smoothing), product.error(scales))

    def _exponents(self) -> Iterable[float | None]:
        # GELU's output cannot be smoothed at no cost: no linear step before it could take the scale. As an
        # extra multiplication it paid in two layers of twelve (docs/int8.md).
        return (None,) if self.linear.kind == "ffn_out" else (None, *EXPONENTS)

    def _scales(self, smoothing: Smoothing | None) -> Sequence[Activations]:
        if self.linear.kind == "ffn_out":
            return GELU_SCALES
        if smoothing is None or self.linear.kind not in _BOUNDED:
            return (SYMMETRIC,)
        extremes = smoothing.apply(np.stack([self.sample.lowest, self.sample.highest]))
        scale = _HEADROOM * float(np.abs(extremes).max()) / (255 - SYMMETRIC.zero_point)
        return (SYMMETRIC, StaticScale(scale, SYMMETRIC.zero_point))

    def _product(self, smoothing: Smoothing | None) -> _Product:
        # Evenly spread outputs are enough to choose by, and four times as quick at full size.
        stride = max(1, self.weight.shape[1] // _COLUMNS)
        weight = np.ascontiguousarray(self.weight[:, ::stride])
        rows = self.sample.rows
        truth = rows @ weight
        if smoothing is not None:
            truth = truth - smoothing.shift @ weight
            rows, weight = smoothing.apply(rows), smoothing.weight(weight)
        rounded = round_columns(weight, self.bits)
        # How weights will be rounded takes too long to be tried for each.
        return _Product(rows, weight + _COMPENSATED * (rounded.values * rounded.scales - weight), truth)

    def _smoothing(self, exponent: float) -> Smoothing:
        lowest, highest = self.sample.lowest, self.sample.highest
        # Half-way between the extremes. The mean leaves a smaller mean error and a larger one on rare tokens.
        shift = (lowest + highest) / 2
        reach = np.maximum((highest - lowest) / 2, _SMALLEST)
        weights = np.maximum(np.abs(self.weight).max(axis=1), _SMALLEST)
        scale = reach**exponent / weights ** (1 - exponent)
        # Only the ratios between channels matter; around 1 the numbers stay far from overflow.
        scale /= np.exp(np.log(scale).mean())
        return Smoothing(scale.astype(np.float32), shift.astype(np.float32))


def _error(choice: Choice) -> float:
    return choice.error
