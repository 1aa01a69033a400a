"""Arguments that several commands take."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import get_args

from e5_onnx.embedder import Embedder
from e5_onnx.overflow import POLICIES
from e5_onnx.tokenization import TokenizerChoice


def add_command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, *, text: str, example: str
) -> argparse.ArgumentParser:
    """Adds a command with its description and an example."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=text.split(".")[0],
        description=text,
        epilog=f"example:\n{example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", metavar="MODEL", type=Path, help="a model folder")
    return parser


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """Adds what decides how a model is opened."""
    parser.add_argument("--overflow", choices=POLICIES, default="warn", help="texts too long: %(default)s")
    parser.add_argument("--threads", type=int, help="default: by CPU affinity and cgroup quota")
    parser.add_argument("--tokenizer", choices=get_args(TokenizerChoice), default="auto")
    parser.add_argument(
        "--field",
        "--text-column",
        default="text",
        metavar="NAME",
        help="where the text is (default: %(default)s)",
    )
    parser.add_argument("--no-progress", action="store_true", help="no progress line on a terminal")


def open_model(parsed: argparse.Namespace) -> Embedder:
    """Opens the model as the arguments say, for many texts."""
    return Embedder(
        parsed.model,
        threads=parsed.threads,
        overflow=parsed.overflow,
        tokenizer=parsed.tokenizer,
        mode="throughput",
    )
