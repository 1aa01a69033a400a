"""`python -m e5_onnx_perf.cpu_exactness.embed_golden FOLDER OUT auto|always|never`: embeds the golden texts.

Imports the runtime and nothing else, for it runs under emulation.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import numpy as np

from e5_onnx.inference.batching import pad
from e5_onnx.inference.exact_int8 import ExactInt8, kernels_are_exact, needs_exact_kernels
from e5_onnx.inference.session import Session
from e5_onnx.model_folder.folder import open_folder
from e5_onnx.model_folder.golden import read_golden
from e5_onnx.model_folder.manifest import GOLDEN_NAME

CHOICES: Final[dict[str, ExactInt8]] = {"auto": "auto", "always": True, "never": False}


def main() -> None:
    """Writes the vectors and whether the kernels are exact."""
    folder, out, choice = sys.argv[1:4]
    opened = open_folder(Path(folder))
    golden = read_golden(opened.path / GOLDEN_NAME)
    exact = needs_exact_kernels(opened.manifest, CHOICES[choice])
    session = Session(opened.path, 1, exact_int8=exact)
    vectors = np.concatenate([session.run(*pad([ids])) for ids in golden.ids])
    np.savez(out, vectors=vectors, exact_cpu=kernels_are_exact(), exact_path=exact)


if __name__ == "__main__":
    main()
