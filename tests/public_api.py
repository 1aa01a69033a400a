"""Signatures of all that users call: `python tests/public_api.py` writes the committed listing again."""

from __future__ import annotations

import argparse
import ast
import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from our_source import PACKAGES, ROOT, parsed

LISTING: Final = ROOT / "tests" / "data" / "public_api.txt"

# Packages with `__all__`, and integrations, which are read without the libraries that they are for.
MODULES: Final = ("e5_onnx", "e5_onnx.bulk", "e5_onnx_export")
INTEGRATIONS: Final = ("chroma", "haystack", "langchain", "llama_index", "sentence_transformers")
PARSERS: Final = {
    "e5": ("e5_onnx.cli", "_parser"),
    "e5-export": ("e5_onnx_export.cli.export", "export_parser"),
    "e5-export card": ("e5_onnx_export.cli.card", "card_parser"),
    "e5-export pull": ("e5_onnx_export.cli.pull", "pull_parser"),
    "e5-export push": ("e5_onnx_export.cli.push", "push_parser"),
}


def listing() -> str:
    """One line for each parameter list, attribute and option, in a fixed order."""
    lines = [line for module in MODULES for line in _module(module)]
    for name in INTEGRATIONS:
        module = f"e5_onnx.integrations.{name}"
        for node in parsed(_file(module)).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                lines += _class(f"{module}.{node.name}", node)
    for command, (module, function) in PARSERS.items():
        lines += _options(command, getattr(importlib.import_module(module), function)())
    return "\n".join(lines) + "\n"


def _file(module: str) -> Path:
    package, *rest = module.split(".")
    path = PACKAGES[package].joinpath(*rest)
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _module(module: str) -> Iterator[str]:
    tree = parsed(_file(module))
    homes = {
        alias.name: str(node.module)
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    for name in importlib.import_module(module).__all__:
        yield from _name(module, name, homes.get(name, module))


def _name(module: str, name: str, home: str) -> Iterator[str]:
    for node in parsed(_file(home)).body:
        if isinstance(node, ast.ImportFrom) and name in [alias.name for alias in node.names]:
            yield from _name(module, name, str(node.module))
        elif isinstance(node, ast.ClassDef) and node.name == name:
            yield from _class(f"{module}.{name}", node)
        elif isinstance(node, ast.FunctionDef) and node.name == name:
            yield f"{module}.{name}{_signature(node)}"
        elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
            yield f"{module}.{name} = {ast.unparse(node.value)}"


def _class(name: str, node: ast.ClassDef) -> Iterator[str]:
    yield f"{name}({', '.join(map(ast.unparse, node.bases))})"
    for part in node.body:
        if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef) and (
            part.name == "__init__" or not part.name.startswith("_")
        ):
            kinds = [ast.unparse(decorator) for decorator in part.decorator_list]
            shown = f": {ast.unparse(part.returns)}" if "property" in kinds and part.returns else ""
            yield f"  {part.name}{shown or _signature(part)}"
        elif isinstance(part, ast.AnnAssign) and not ast.unparse(part.target).startswith("_"):
            yield f"  {ast.unparse(part)}"


def _signature(node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    return f"({ast.unparse(node.args)}){returns}"


def _options(command: str, parser: argparse.ArgumentParser) -> Iterator[str]:
    yield command
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, below in sorted(action.choices.items()):
                yield from _options(f"{command} {name}", below)
        elif action.help != argparse.SUPPRESS and action.dest != "help":
            names = ", ".join(action.option_strings) or str(action.metavar or action.dest).upper()
            choices = f" {{{','.join(map(str, action.choices))}}}" if action.choices else ""
            given = "" if action.default in (None, False, argparse.SUPPRESS) else f" = {action.default}"
            yield f"  {names}{choices}{given}"


if __name__ == "__main__":
    LISTING.write_text(listing(), "utf-8")
