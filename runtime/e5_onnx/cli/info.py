"""`e5 info`: what a model folder is, and how it would run here."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from typing import Any, Final

from e5_onnx.cli.arguments import add_command
from e5_onnx.cli.printing import print_json, print_text
from e5_onnx.errors import MissingExtraError, ModelLoadError
from e5_onnx.inference.exact_int8 import can_saturate, kernels_are_exact, needs_exact_kernels
from e5_onnx.machine.cpu import cpu_facts
from e5_onnx.machine.exit_codes import DONE
from e5_onnx.machine.threads import choose_threads
from e5_onnx.model_folder.folder import ModelFolder, open_folder
from e5_onnx.model_folder.manifest import Manifest, Parity
from e5_onnx.silent import EXPLANATIONS, TELEMETRY
from e5_onnx.tokens.lean_tokenizer import check_proof

_TEXT: Final = """\
Describes a model folder: its model, its measured accuracy, and how it would run on this machine.

It reads the manifest only and does not load the model; `e5 verify` loads it."""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command."""
    parser = add_command(commands, "info", text=_TEXT, example="  e5 info my-e5\n  e5 info my-e5 --json")
    parser.add_argument("--json", action="store_true", help="print everything as JSON (default: a table)")
    parser.set_defaults(run=run)


def run(parsed: argparse.Namespace) -> int:
    """Runs the command."""
    facts = gather(open_folder(parsed.model))
    if parsed.json:
        print_json(facts, indent=2)
    else:
        print_text(_table(facts))
    return DONE


def gather(folder: ModelFolder) -> dict[str, Any]:
    """Returns the object that `--json` prints."""
    manifest = folder.manifest
    threads, cpu = choose_threads(None), cpu_facts()
    return {
        **json.loads(manifest.to_json()),
        "folder": str(folder.path),
        "fingerprint": manifest.fingerprint,
        "size_bytes": folder.size_bytes,
        "threads": asdict(threads),
        "cpu": asdict(cpu),
        "int8_kernels_exact": kernels_are_exact(),
        "weights_can_saturate": can_saturate(manifest),
        "slower_exact_kernels": needs_exact_kernels(manifest, "auto"),
        "telemetry": TELEMETRY,
        "summary": _summary(manifest),
    }


def _summary(manifest: Manifest) -> dict[str, str]:
    source, recipe = manifest.source, manifest.recipe
    revision = f" at {source.revision}" if source.revision else ""
    note = f" ({source.note})" if source.note else ""
    summary = {
        "model": f"{source.name}{revision}{note}, licence {source.license or 'unknown'}",
        "encoder": f"{manifest.architecture.body}, {manifest.architecture.layers} layers, "
        f"{manifest.dimension} dimensions, {manifest.max_tokens} tokens, {manifest.pooling} pooling",
        "recipe": recipe.name,
        "query": repr(recipe.query_template),
        "document": repr(recipe.document_template),
        "precision": _precision(manifest),
        "parity": _parity(manifest.parity),
        "tokenizer": _tokenizer(manifest),
    }
    return summary | ({"default task": recipe.default_task} if recipe.default_task else {})


def _precision(manifest: Manifest) -> str:
    bits = f", {manifest.weight_bits}-bit weights" if manifest.weight_bits else ""
    kept = manifest.extra.get("kept_in_fp32")
    return f"{manifest.precision}{bits}" + (f", in fp32: {', '.join(kept)}" if kept else "")


def _parity(parity: Parity) -> str:
    if not parity.checked:
        return "not compared with a reference"
    return (
        f"against {parity.reference} on {parity.texts} texts: max abs {parity.max_abs:.1e}, cosine mean "
        f"{parity.cosine_mean:.6f}, min {parity.cosine_min:.6f}"
    )


def _tokenizer(manifest: Manifest) -> str:
    lean = manifest.lean_tokenizer
    if lean is None:
        return "tokenizers"
    proof = f"{lean.library} {lean.version} proved equal on {lean.texts:,} texts"
    try:
        check_proof(manifest)
    except (MissingExtraError, ModelLoadError):
        return f"tokenizers here; {proof}"
    return f"{lean.library} here; {proof}"


def _table(facts: dict[str, Any]) -> str:
    rows = {
        **facts["summary"],
        "size": f"{facts['size_bytes'] / 1e6:.0f} MB",
        "fingerprint": facts["fingerprint"],
        "threads": f"{facts['threads']['count']}: {facts['threads']['reason']}",
        "cpu": f"{facts['cpu']['model']}: {' '.join(facts['cpu']['features'])}",
        "int8 kernels": _kernels(facts),
        "telemetry": EXPLANATIONS[TELEMETRY],
    }
    return "".join(f"{name:<14}{value}\n" for name, value in rows.items())


def _kernels(facts: dict[str, Any]) -> str:
    if facts["int8_kernels_exact"]:
        return "exact here"
    if facts["slower_exact_kernels"]:
        return "not exact here, so slower exact ones are used"
    return "not exact here, which this folder's weights cannot bring about"
