"""A standard folder, opened as other tools open it, and their vectors compared with the reference's."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import numpy as np

from e5_onnx.inference.batching import pad
from e5_onnx.model_folder.manifest import GRAPH_NAME, Parity, Pooling
from e5_onnx.silent import onnxruntime
from e5_onnx.tokens.opening import load_tokenizer
from e5_onnx_export.arrays import Floats, Ids
from e5_onnx_export.compare.parity import gate_fp32, measure_parity, parity_batches
from e5_onnx_export.compare.reference_check import embed_with_reference, reference_samples
from e5_onnx_export.compare.samples import Samples
from e5_onnx_export.compare.token_check import check_tokens
from e5_onnx_export.context import ExportContext
from e5_onnx_export.errors import ParityError
from e5_onnx_export.recipe.detection import EncodingChoice
from e5_onnx_export.reference.foreign import foreign_tool
from e5_onnx_export.standard.sentence_folder import sentence_prompts
from e5_onnx_export.texts import SampleText

ONNX_FOLDER: Final = "onnx"

_ERRORS_AND_WORSE: Final = 3
_CPU: Final = "CPUExecutionProvider"
_BATCH: Final = 8


@dataclass(frozen=True, slots=True)
class Tool:
    """A program that reads standard folders.

    Attributes:
        name: The name of its package.
        module: The module that must be importable to try it.
        embed: Turns texts into unit vectors [texts, dimension].
    """

    name: str
    module: str
    embed: Callable[[Path, Sequence[SampleText], EncodingChoice], Floats]


@dataclass(frozen=True, slots=True)
class Trial:
    """The result of a trial.

    Attributes:
        parity: Distance of plain onnxruntime's vectors from the reference's.
        tools: Names of the tools that opened the folder and gave the same vectors.
    """

    parity: Parity
    tools: tuple[str, ...]


def try_standard(context: ExportContext, folder: Path) -> Trial:
    """Opens a standard folder with every tool that is installed, and holds each to the fp32 bounds.

    Args:
        context: Names the reference; with `none` the tools are compared with plain onnxruntime alone.
        folder: A whole standard folder.

    Returns:
        The result of the trial.

    Raises:
        ParityError: If a tool's vectors are too far away; it says which tool.
        ToolError: If a tool cannot open the folder.
    """
    tokenizer = load_tokenizer(folder)
    samples = reference_samples(context, tokenizer)
    check_tokens(context, tokenizer, samples)
    with foreign_tool("onnxruntime", extra="optimum"):
        vectors = _with_onnxruntime(folder, samples, context.choice.pooling)
    truth, parity = vectors, Parity(checked=False, reference="none")
    if context.request.reference != "none":
        name, truth = embed_with_reference(context, samples)
        parity = measure_parity(truth, vectors, name)
        gate_fp32(parity)
    rows = _same_everywhere(samples, context.choice)
    texts = [samples.texts[row] for row in rows]
    tried = ["onnxruntime"]
    for tool in TOOLS:
        if find_spec(tool.module) is None:
            context.progress.step(f"note: {tool.name} is not installed, so the folder was not tried with it")
            continue
        context.progress.step(f"opening it with {tool.name}")
        _try(tool, folder, texts, choice=context.choice, truth=truth[rows])
        tried.append(tool.name)
    return Trial(parity, tuple(tried))


def _try(
    tool: Tool, folder: Path, texts: Sequence[SampleText], *, choice: EncodingChoice, truth: Floats
) -> None:
    with foreign_tool(tool.name, extra="optimum"):
        found = tool.embed(folder, texts, choice)
    try:
        gate_fp32(measure_parity(truth, found, "own"))
    except ParityError as error:
        raise ParityError(f"opened with {tool.name}: {error.reason}") from error


def _same_everywhere(samples: Samples, choice: EncodingChoice) -> list[int]:
    """The texts of which all tools make the same tokens.

    Some versions of sentence-transformers strip texts; and all tools cut what is too long at its end, where
    we spare the words that a template has after the text.
    """
    return [
        row
        for row, (text, ids) in enumerate(zip(samples.texts, samples.ids, strict=True))
        if text.text == text.text.strip() != ""
        and (len(ids) < choice.max_tokens or not choice.recipe.template(text.role).after)
    ]


def _with_onnxruntime(folder: Path, samples: Samples, pooling: Pooling) -> Floats:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERRORS_AND_WORSE
    session = onnxruntime.InferenceSession(folder / ONNX_FOLDER / GRAPH_NAME, options, providers=[_CPU])
    names = [value.name for value in session.get_inputs()]

    def embed(batch: Sequence[Ids]) -> Floats:
        ids, mask = pad(batch)
        feeds = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        (states,) = session.run(["last_hidden_state"], {name: feeds[name] for name in names})
        return _pool(states, mask, pooling)

    return parity_batches(embed, samples.ids, size=_BATCH)


def _with_optimum(folder: Path, texts: Sequence[SampleText], choice: EncodingChoice) -> Floats:
    from optimum.onnxruntime import ORTModelForFeatureExtraction
    from transformers import AutoTokenizer

    model = ORTModelForFeatureExtraction.from_pretrained(
        folder, subfolder=ONNX_FOLDER, local_files_only=True, provider=_CPU
    )
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    vectors = []
    for batch in _batches([_written(text, choice) for text in texts]):
        inputs = tokenizer(batch, padding=True, truncation=True, return_tensors="np")
        states = model(**inputs).last_hidden_state
        vectors.append(_pool(states, inputs["attention_mask"], choice.pooling))
    return np.concatenate(vectors)


def _with_sentence_transformers(folder: Path, texts: Sequence[SampleText], choice: EncodingChoice) -> Floats:
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(
        str(folder), backend="onnx", device="cpu", local_files_only=True, model_kwargs={"provider": _CPU}
    )
    prompts = sentence_prompts(choice.recipe)
    vectors = np.empty((len(texts), model.get_sentence_embedding_dimension()), np.float32)
    for role in sorted({text.role for text in texts}):
        rows = [row for row, text in enumerate(texts) if text.role == role]
        vectors[rows] = model.encode(
            [texts[row].text if role in prompts else _written(texts[row], choice) for row in rows],
            prompt_name=role if role in prompts else None,
            batch_size=_BATCH,
            show_progress_bar=False,
        )
    return vectors


TOOLS: Final = (
    Tool("optimum", "optimum", _with_optimum),
    Tool("sentence-transformers", "sentence_transformers", _with_sentence_transformers),
)


def _written(text: SampleText, choice: EncodingChoice) -> str:
    template = choice.recipe.template(text.role)
    return template.before + text.text + template.after


def _batches(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(texts), _BATCH):
        yield texts[start : start + _BATCH]


def _pool(states: Floats, mask: Ids, pooling: Pooling) -> Floats:
    pooled = states[:, 0] if pooling == "cls" else (states * mask[:, :, None]).sum(axis=1, dtype=np.float64)
    vectors: Floats = (pooled / np.linalg.norm(pooled, axis=1, keepdims=True)).astype(np.float32)
    return vectors
