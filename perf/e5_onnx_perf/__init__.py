"""Accuracy, speed and memory of model folders, each measured by a command that anyone can run."""

from __future__ import annotations

import e5_onnx.silent  # noqa: F401 - before another engine imports onnxruntime

__all__: list[str] = []
