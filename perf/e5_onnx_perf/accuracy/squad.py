"""Questions and the paragraphs that answer them, in the format of SQuAD and XQuAD."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from e5_onnx.errors import OptionError
from e5_onnx.model_folder.digest import file_sha256
from e5_onnx_perf.errors import DataError


@dataclass(frozen=True, slots=True)
class RetrievalFile:
    """A file and the language of its texts.

    Attributes:
        path: The file.
        language: Its code.
    """

    path: Path
    language: str


@dataclass(frozen=True, slots=True)
class Questions:
    """The content of a file.

    Attributes:
        documents: Every paragraph once.
        questions: The questions.
        relevant: The number of the document that answers each question.
        clusters: The cluster of each question: its paragraph in any language. Parallel files give their
            questions the same ids.
        sha256: The hash of the file.
    """

    documents: list[str]
    questions: list[str]
    relevant: list[int]
    clusters: list[str]
    sha256: str


def name_retrieval_file(given: str) -> RetrievalFile:
    """Reads `FILE.json` or `LANGUAGE=FILE.json`.

    Without a language it is the last dotted part of the file's stem, as in `xquad.de.json`.

    Raises:
        OptionError: If neither says the language.
        DataError: If there is no such file.
    """
    language, separator, path = given.partition("=")
    # A path may hold an equals sign; a language's code is letters and hyphens.
    if not separator or not language.replace("-", "").isalnum():
        path, language = given, Path(given).stem.rpartition(".")[2] if "." in Path(given).stem else ""
    if not language:
        raise OptionError("retrieval", given, "LANGUAGE=FILE.json, or a file named like name.de.json")
    if not Path(path).is_file():
        raise DataError(path, "there is no such file: `retrieval` names a SQuAD-format JSON file")
    return RetrievalFile(Path(path), language)


def read_questions(file: Path, limit: int | None = None) -> Questions:
    """Reads a file; its paragraphs stay whole whatever the limit.

    Args:
        file: SQuAD-format JSON.
        limit: Questions to keep, the first; at least 1.

    Raises:
        DataError: Naming the file, and the place in it.
    """
    documents: dict[str, int] = {}
    rows = []
    for context, questions in _paragraphs(file):
        number = documents.setdefault(context, len(documents))
        cluster = questions[0][0] if questions else ""
        rows += [(question, number, cluster) for _, question in questions]
    if not rows:
        raise DataError(str(file), "it holds no question")
    texts, relevant, clusters = zip(*rows[:limit], strict=True)
    return Questions(list(documents), list(texts), list(relevant), list(clusters), file_sha256(file))


def _paragraphs(file: Path) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Yields each paragraph with the ids and texts of its questions."""
    for article, entry in enumerate(_list(_parse(file), "data", file, place="")):
        for number, paragraph in enumerate(_list(entry, "paragraphs", file, place=f"data[{article}]")):
            place = f"data[{article}].paragraphs[{number}]"
            asked = [
                (
                    str(row.get("id", f"{place}.{index}")) if isinstance(row, dict) else "",
                    _text(row, "question", file, place=f"{place}.qas[{index}]"),
                )
                for index, row in enumerate(_list(paragraph, "qas", file, place=place))
            ]
            yield _text(paragraph, "context", file, place=place), asked


def _parse(file: Path) -> Any:  # noqa: ANN401 - JSON
    try:
        return json.loads(file.read_text("utf-8"))
    except json.JSONDecodeError as error:
        raise DataError(str(file), f"it is not JSON: {error.msg}", line=error.lineno) from error
    except (ValueError, RecursionError) as error:
        raise DataError(str(file), f"it is not JSON: {error}") from error


def _list(values: Any, key: str, file: Path, *, place: str) -> list[Any]:  # noqa: ANN401
    found = values.get(key) if isinstance(values, dict) else None
    if not isinstance(found, list):
        raise DataError(str(file), f"{place + '.' if place else ''}{key} is not a list, as in SQuAD's format")
    return found


def _text(values: Any, key: str, file: Path, *, place: str) -> str:  # noqa: ANN401
    found = values.get(key) if isinstance(values, dict) else None
    if not isinstance(found, str) or not found.strip():
        raise DataError(str(file), f"{place}.{key} is not a text, as in SQuAD's format")
    return found
