"""Leaves only the runtime and its own dependencies importable, in this process and in those it starts."""

import sys

UNIMPORTABLE = (
    "e5_onnx_export",
    "e5_onnx_perf",
    "huggingface_hub",
    "onnx",
    "onnx_ir",
    "optimum",
    "safetensors",
    "tokie",
    "torch",
    "transformers",
)

for name in UNIMPORTABLE:
    # None makes `import` raise ModuleNotFoundError.
    sys.modules[name] = None  # type: ignore[assignment]
