"""From a folder to a loaded model: everything is checked before anything is used."""

from __future__ import annotations

from pathlib import Path

from e5_onnx.errors import FingerprintError, FormatVersionError, ManifestError, OptionError
from e5_onnx.inference.batching import DEFAULT_PADDED_TOKENS
from e5_onnx.inference.engine import Engine
from e5_onnx.inference.exact_int8 import needs_exact_kernels
from e5_onnx.inference.options import Options
from e5_onnx.inference.session import INPUTS, Session, require_onnxruntime
from e5_onnx.model_folder.folder import ModelFolder, open_folder
from e5_onnx.model_folder.manifest import FORMAT_VERSION, GRAPH_NAME, Manifest
from e5_onnx.prepacked.sessions import open_session
from e5_onnx.tokens.opening import open_tokenizer
from e5_onnx.tokens.tokenization import TokenizerChoice


def open_engine(path: Path, options: Options, threads: int) -> Engine:
    """Checks a folder as far as the options ask and loads it.

    Raises:
        FolderError: A leaf of it says what is wrong with the folder.
        MissingExtraError: If a tokenizer is asked for that is not installed.
        UnsafeCacheError: If others could write to the cache of packed weights.
    """
    opened = open_folder(path)
    manifest = opened.manifest
    pinned = options.fingerprint is not None
    if pinned and options.fingerprint != manifest.fingerprint:
        raise FingerprintError(str(options.fingerprint), manifest.fingerprint)
    require_onnxruntime(manifest.onnxruntime_min)
    if options.verify or pinned:
        opened.check_everything()
    else:
        opened.check()
    tokenizer = open_tokenizer(path, manifest, _tokenizer_choice(options))
    # Either one batch for all threads, or a batch for each: they share the session and its weights.
    callers = threads if options.mode == "throughput" else 1
    exact = needs_exact_kernels(manifest, options.exact_int8)
    spinning = options.mode == "latency"
    if options.low_memory:
        session = Session(opened.path, threads // callers, exact_int8=exact, prepack=False, spinning=spinning)
    else:
        session = open_session(
            opened,
            threads // callers,
            exact_int8=exact,
            spinning=spinning,
            cache_dir=options.cache_dir,
            whole=options.verify or pinned,
        )
    _check_graph(session, manifest)
    return Engine(manifest, tokenizer, session, options.token_budget, callers)


def _tokenizer_choice(options: Options) -> TokenizerChoice:
    # Both vouch for tokenizer.json and not for the lean file made from it.
    if not options.verify and options.fingerprint is None:
        return options.tokenizer
    if options.tokenizer == "tokie":
        expected = "'auto' or 'tokenizers' beside verify or fingerprint, which do not cover tokenizer.tokie"
        raise OptionError("tokenizer", options.tokenizer, expected)
    return "tokenizers"


def open_frugal_engine(opened: ModelFolder, threads: int) -> Engine:
    """Loads a folder that was checked, leaving its weights in the mapped file: for a dozen texts."""
    exact = needs_exact_kernels(opened.manifest, "auto")
    session = Session(opened.path, threads, exact_int8=exact, prepack=False)
    _check_graph(session, opened.manifest)
    tokenizer = open_tokenizer(opened.path, opened.manifest, "tokenizers")
    return Engine(opened.manifest, tokenizer, session, DEFAULT_PADDED_TOKENS)


def _check_graph(session: Session, manifest: Manifest) -> None:
    further = [name for name in session.inputs if name not in INPUTS]
    if further:
        unknown = f"{GRAPH_NAME} takes the input {further[0]!r:.80}"
        raise FormatVersionError(manifest.format_version, FORMAT_VERSION, unknown)
    if session.dimension not in (None, manifest.dimension):
        raise ManifestError(
            "dimension", f"is {manifest.dimension}, and {GRAPH_NAME} gives vectors of {session.dimension}"
        )
