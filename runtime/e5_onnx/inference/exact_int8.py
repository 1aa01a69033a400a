"""Whether this CPU's int8 kernels are exact, and what is done where they are not.

x86 CPUs with AVX2 or AVX-512 but without VNNI add pairs of uint8 x int8 products in 16 bits, which saturates
for large weights: vectors are silently wrong (onnxruntime's own documentation of quantisation says
so). onnxruntime can take another kernel there, exact and slower. On a CPU with VNNI or AMX that kernel would
be 2.5 times slower without need. The flags of /proc/cpuinfo cannot decide this, since they may be the host's
and not those that an emulator or hypervisor passes on; a product that saturates can.

Folders that e5-export makes hold their weights so that no pair can saturate: for them nothing is to be done.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Final, Literal

import numpy as np

from e5_onnx.errors import OptionError
from e5_onnx.model_folder.manifest import Manifest
from e5_onnx.silent import onnxruntime

ExactInt8 = Literal["auto"] | bool

_PROBE: Final = "int8_probe.onnx"
_SIZE: Final = 64
# Without int8 products. A word that is not known may have them, and exact kernels are never wrong.
_WITHOUT: Final = ("fp32", "int4")
# Two products that are added in 16 bits cannot saturate there: 255 * 128 < 2 ** 15.
_SAFE_PAIR_SUM: Final = 128
_SAFE_BITS: Final = 7  # no weight beyond 64


def needs_exact_kernels(manifest: Manifest, choice: ExactInt8) -> bool:
    """Decides whether a folder is run with the exact, slower kernels.

    Args:
        manifest: The folder's manifest.
        choice: `auto` for only where the weights could saturate and this CPU's kernels do, or True or False.

    Raises:
        OptionError: For any other choice.
    """
    if choice not in ("auto", True, False):
        raise OptionError("exact_int8", choice, "'auto', True or False")
    saturates = can_saturate(manifest)
    if choice == "auto":
        return saturates and not kernels_are_exact()
    return bool(choice) and saturates


def can_saturate(manifest: Manifest) -> bool:
    """Whether there are CPUs whose fast kernels would give wrong vectors for a folder's weights."""
    if manifest.precision in _WITHOUT or manifest.weight_bits == _SAFE_BITS:
        return False
    return manifest.weight_pair_sum is None or manifest.weight_pair_sum > _SAFE_PAIR_SUM


@cache
def kernels_are_exact() -> bool:
    """Multiplies 255s by 127s as an int8 folder would, and looks at the result; once a process."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    graph = files(__package__).joinpath(_PROBE).read_bytes()
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    # One row and many: onnxruntime has kernels of its own for single rows.
    for rows in (1, _SIZE):
        (product,) = session.run(None, {"x": np.full((rows, _SIZE), 255, np.uint8)})
        if not np.array_equal(product, np.full((rows, _SIZE), 255.0 * 127 * _SIZE, np.float32)):
            return False
    return True
