from __future__ import annotations

import pickle
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from e5_onnx import errors
from e5_onnx.errors import E5Error, TruncationWarning

FOLDER = Path("my-model")

ONE_OF_EACH: list[tuple[E5Error, str]] = [
    (
        errors.FolderNotFoundError(FOLDER),
        "no model folder at my-model: make one with `e5-export SOURCE my-model`",
    ),
    (
        errors.CheckpointFolderError(FOLDER),
        "my-model holds a checkpoint, not a model folder: make one of it with `e5-export my-model OUT` and "
        "open OUT",
    ),
    (
        errors.MissingFileError(FOLDER, "model.onnx"),
        "my-model has no model.onnx: the folder is incomplete or is not one that e5-export made; copy it "
        "again or export it again",
    ),
    (
        errors.ManifestError("source.name", "is missing"),
        "e5.json: source.name: is missing; export the model again",
    ),
    (
        errors.FormatVersionError([2, 1], [1, 0]),
        "the folder has format 2.1, this e5-onnx reads 1.x: upgrade with `pip install -U e5-onnx`",
    ),
    (
        errors.FormatVersionError([1, 7], [1, 0], "requires is titles"),
        "requires is titles: the folder has format 1.7 and was made by a newer e5-onnx, this one knows 1.0: "
        "upgrade with `pip install -U e5-onnx`",
    ),
    (
        errors.StandardGraphError(FOLDER),
        "my-model holds a standard ONNX export (`last_hidden_state`) for other tools; Embedder needs the "
        "unpadded graph: export it again with e5-export's default graph",
    ),
    (
        errors.IntegrityError("model.onnx.data", "the size in bytes", expected=20, found=10),
        "model.onnx.data: the size in bytes is 10, the manifest says 20: the file is damaged or was "
        "exchanged; copy the folder again or export it again",
    ),
    (
        errors.UnsafeFolderError("golden.npz", "it is a link out of the folder"),
        "golden.npz: it is a link out of the folder; a model folder may not do that, so it was not opened",
    ),
    (
        errors.FingerprintError("aa", "bb"),
        "the folder's fingerprint is bb, but aa was asked for",
    ),
    (
        errors.RuntimeTooOldError("1.30", "1.29.0"),
        "this folder needs onnxruntime 1.30 or newer, 1.29.0 is installed: `pip install -U onnxruntime`",
    ),
    (
        errors.ModelLoadError("tokenizer.json", "no such type"),
        "tokenizer.json cannot be loaded: no such type",
    ),
    (
        errors.NotTextsError(dict),
        "texts is dict; it must be an iterable of str, such as a list, a generator, or one column of a table",
    ),
    (
        errors.TextTypeError(3, bytes),
        "text 3 is bytes, not str: leave it out, or make a text of it",
    ),
    (
        errors.LoneSurrogateError(3, 7),
        "text 3 has a lone surrogate at character 7: it is not valid Unicode; read the file as UTF-8, or "
        "repair it with text.encode('utf-8', 'replace').decode()",
    ),
    (
        errors.TextTooLongError(3, 700, 512),
        "text 3 has 700 tokens, the model takes 512: split it, or choose overflow='truncate' or, "
        "for documents, overflow='window'",
    ),
    (
        errors.TemplateTooLongError(600, 512),
        "the template and task alone take 600 of the model's 512 tokens and leave no room for the text: "
        "shorten the task",
    ),
    (
        errors.RoleMissingError("embed"),
        "embed does not say what the texts are, and a query and a document have different vectors: call "
        "embed_queries, embed_documents, or encode with role='query', 'document' or 'raw'",
    ),
    (
        errors.RoleError("passage", ("query", "document")),
        "unknown role: 'passage'; choose one of query, document",
    ),
    (errors.TaskError("leave `task` out"), "leave `task` out"),
    (
        errors.OptionError("threads", 0, "a whole number of at least 1"),
        "threads is 0; it must be a whole number of at least 1",
    ),
    (errors.RecordError("in.jsonl", 4, "no field 'text'"), "in.jsonl, line 4: no field 'text'"),
    (errors.ClosedError(), "this Embedder was closed: open a new one"),
    (
        errors.ForkedError(10, 11),
        "this Embedder was opened in process 10 and used in its fork 11, where its threads do not exist: "
        "open the Embedder after the fork, or start workers with 'spawn'",
    ),
    (
        errors.UnsafeCacheError(Path("c/prepacked"), "is open to others", "`chmod 700 c/prepacked`"),
        "c/prepacked is open to others, so no weights are cached there: `chmod 700 c/prepacked`",
    ),
    (
        errors.InferenceError("bad allocation", batch=4, tokens=100),
        "onnxruntime failed on a batch of 4 texts, 100 tokens long: bad allocation",
    ),
    (errors.MissingExtraError("lean", "tokie"), "tokie is not installed: `pip install 'e5-onnx[lean]'`"),
]


def leaves(kind: type[E5Error]) -> Iterator[type[E5Error]]:
    """The classes under `kind`, in the runtime, that no other class derives from."""
    below = [child for child in kind.__subclasses__() if getattr(errors, child.__name__, None) is child]
    if not below:
        yield kind
    for child in below:
        yield from leaves(child)


each = pytest.mark.parametrize(
    ("error", "message"), ONE_OF_EACH, ids=[type(row[0]).__name__ for row in ONE_OF_EACH]
)


def test_the_table_has_every_leaf() -> None:
    assert {type(error) for error, _ in ONE_OF_EACH} == set(leaves(E5Error))


@each
def test_the_message_names_the_thing_and_the_remedy(error: E5Error, message: str) -> None:
    with pytest.raises(E5Error, match=f"^{re.escape(message)}$"):
        raise error


@each
def test_values_are_kept_as_attributes(error: E5Error, message: str) -> None:
    assert isinstance(error, errors.ClosedError) or vars(error)


@each
def test_errors_cross_processes(error: E5Error, message: str) -> None:
    """An exception that does not unpickle hangs the multiprocessing.Pool that it was raised in."""
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert (type(copy), str(copy), vars(copy)) == (type(error), message, vars(error))


@pytest.mark.parametrize(
    ("count", "message"),
    [
        (1, "1 text was cut to the model's 512 tokens"),
        (2, "2 texts were cut to the model's 512 tokens"),
    ],
)
def test_the_warning_counts(count: int, message: str) -> None:
    warning = TruncationWarning(count, 512)
    assert str(warning).startswith(message)
    assert (warning.count, warning.limit) == (count, 512)
