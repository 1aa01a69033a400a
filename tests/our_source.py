"""The source of the three packages, for tests that read it."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = {
    "e5_onnx": ROOT / "runtime" / "e5_onnx",
    "e5_onnx_export": ROOT / "export" / "e5_onnx_export",
    "e5_onnx_perf": ROOT / "perf" / "e5_onnx_perf",
}


def modules(package: str) -> list[Path]:
    return sorted(PACKAGES[package].rglob("*.py"))


def all_modules() -> list[Path]:
    return [file for package in PACKAGES for file in modules(package)]


def parsed(file: Path) -> ast.Module:
    return ast.parse(file.read_text("utf-8"))
