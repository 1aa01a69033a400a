"""Channel balance and shift: making a linear's inputs easy to round, at no cost in the graph.

A few channels of a transformer's activations are much larger than the rest, and many are far from zero on
average; a token's one scale must cover them all. SmoothQuant (arXiv 2211.10438) divides each input channel by
`scale` and multiplies the weight's row; here each channel is also moved by `shift`, and what the weights
make of the shift goes into the bias:

    x @ W + b  =  ((x - shift) / scale) @ (scale * W)  +  (b + shift @ W)

Where x comes out of a LayerNorm, its gain and bias do the dividing and moving, and the residual, which needs
x itself, is one multiplication by `scale`; its `shift` goes into the next bias. Where x is the attention's
output, the value projection does it: the rows of a softmax sum to one, so a shift of V is a shift of the
output.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from e5_onnx_export.arrays import Floats


@dataclass(frozen=True, slots=True)
class Smoothing:
    """The change to the inputs of one linear layer.

    Attributes:
        scale: float32 [K], positive.
        shift: float32 [K].
    """

    scale: Floats
    shift: Floats

    def apply(self, x: Floats) -> Floats:
        """Returns the smoothed inputs that replace x, float32 [..., K]."""
        return (x - self.shift) / self.scale

    def weight(self, weight: Floats) -> Floats:
        """The weight [K, N] that takes smoothed inputs."""
        return weight * self.scale[:, None]

    def bias(self, bias: Floats, weight: Floats) -> Floats:
        """The bias [N] that goes with it; `weight` is the one before smoothing."""
        return np.asarray(bias + self.shift.astype(np.float64) @ weight, np.float32)


def identity(width: int) -> Smoothing:
    """Leaves [.., width] as it is."""
    return Smoothing(np.ones(width, np.float32), np.zeros(width, np.float32))
