"""Arguments that several commands take."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import get_args

from e5_onnx.embedder import Embedder
from e5_onnx.recipes import ROLES
from e5_onnx.tokens.overflow import POLICIES
from e5_onnx.tokens.tokenization import TokenizerChoice

THREADS_HELP = "number of threads to compute with (default: as many as CPU affinity and cgroup quota allow)"


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
    parser.add_argument("model", metavar="MODEL", type=Path, help="model folder that e5-export wrote")
    return parser


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """Adds what decides how a model is opened and how its texts are read."""
    parser.add_argument(
        "--overflow",
        choices=POLICIES,
        default="warn",
        help="policy for texts beyond the token limit: truncate and count them (warn), truncate them "
        "(truncate), average the vectors of overlapping windows (window, for documents), or refuse them "
        "(error) (default: %(default)s)",
    )
    parser.add_argument("--threads", type=int, help=THREADS_HELP)
    parser.add_argument(
        "--tokenizer",
        choices=get_args(TokenizerChoice),
        default="auto",
        help="library that splits texts into tokens (default: auto, tokie if the export proved it equal)",
    )
    parser.add_argument(
        "--text-column",
        "--field",
        dest="text_column",
        default="text",
        metavar="NAME",
        help="column or JSON field that holds the text (default: text)",
    )
    parser.add_argument(
        "--no-progress", action="store_true", help="print no progress line (default: print it)"
    )


def add_text_options(parser: argparse.ArgumentParser) -> None:
    """Adds what texts are to the model."""
    parser.add_argument(
        "--role",
        choices=ROLES,
        help="role of the texts (no default: required where queries and documents have different "
        "prompt templates)",
    )
    parser.add_argument(
        "--task", help="instruction for the queries (default: the model's own, where it takes one)"
    )


def open_model(parsed: argparse.Namespace) -> Embedder:
    """Opens the model as the arguments say, for many texts."""
    return Embedder(
        parsed.model,
        threads=parsed.threads,
        overflow=parsed.overflow,
        tokenizer=parsed.tokenizer,
        mode="throughput",
    )
