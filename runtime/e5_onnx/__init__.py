"""Text to normalised vectors on a CPU, from a model folder that e5-export made.

>>> from e5_onnx import Embedder
>>> with Embedder("my-e5") as model:  # doctest: +SKIP
...     vectors = model.embed_documents(["Paris is the capital of France."])
"""

from __future__ import annotations

from importlib.metadata import version

from e5_onnx.embedder import Embedder
from e5_onnx.encoded import Encoded
from e5_onnx.errors import E5Error, FolderError, InputError, TruncationWarning
from e5_onnx.manifest import Manifest
from e5_onnx.verify import VerifyReport, verify_folder

__all__ = [
    "E5Error",
    "Embedder",
    "Encoded",
    "FolderError",
    "InputError",
    "Manifest",
    "TruncationWarning",
    "VerifyReport",
    "__version__",
    "verify_folder",
]

__version__ = version("e5-onnx")
