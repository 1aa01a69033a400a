"""Sample texts as the model will see them, and a graph run over them as the runtime does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from e5_onnx.inference.batching import pad
from e5_onnx.inference.exact_int8 import kernels_are_exact
from e5_onnx.inference.session import Session
from e5_onnx.machine.threads import choose_threads
from e5_onnx.tokens.tokenization import TextTokenizer, truncate
from e5_onnx_export.arrays import Floats, Ids
from e5_onnx_export.compare.parity import parity_batches
from e5_onnx_export.recipe.detection import EncodingChoice
from e5_onnx_export.texts import SampleText


@dataclass(frozen=True, slots=True)
class Samples:
    """Texts with their token ids: in the recipe's templates, cut to what the model takes."""

    texts: Sequence[SampleText]
    ids: Sequence[Ids]


def tokenize_samples(
    texts: Sequence[SampleText], tokenizer: TextTokenizer, choice: EncodingChoice
) -> Samples:
    """Turns sample texts into token ids."""
    ids = []
    for sample in texts:
        template = choice.recipe.template(sample.role)
        ids.append(truncate(tokenizer.tokenize(sample.text, template), choice.max_tokens))
    return Samples(texts, ids)


def open_folder_session(folder: Path, *, prepack: bool = False) -> Session:
    """Opens the graph in `folder` before it has a manifest, with kernels that are exact on this CPU.

    Args:
        folder: Holds the graph.
        prepack: As for `e5_onnx.inference.session.session_options`.
    """
    exact = not kernels_are_exact()
    return Session(folder, choose_threads(None).count, exact_int8=exact, prepack=prepack)


def run_graph(folder: Path, ids: Sequence[Ids]) -> Floats:
    """Embeds token ids with the graph in `folder`, in ragged batches.

    Returns:
        float32 [texts, dimension].
    """
    session = open_folder_session(folder)
    return parity_batches(lambda batch: session.run(*pad(batch)), ids)
