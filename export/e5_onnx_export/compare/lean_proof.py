"""Makes tokenizer.tokie, and keeps it only if it is proved to give the tokens of tokenizer.json."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import cycle
from pathlib import Path
from typing import Final

from e5_onnx.errors import E5Error
from e5_onnx.model_folder.manifest import LEAN_TOKENIZER_NAME, LeanProof
from e5_onnx.recipes import ROLES, Recipe, Template
from e5_onnx.tokens.lean_tokenizer import LIBRARY, installed_version, keeps_apart, open_lean, write_lean
from e5_onnx.tokens.opening import load_tokenizer
from e5_onnx.tokens.tokenization import TextTokenizer, TokenizedText
from e5_onnx_export.recipe.detection import EncodingChoice
from e5_onnx_export.texts import calibration_texts, golden_texts, parity_texts
from e5_onnx_export.texts.varied_texts import every_character, varied_texts

_VARIED: Final = 20_000
_TASK: Final = "Given a question, find the passages that answer it"

Case = tuple[str, Template]


def prove_lean(
    folder: Path, choice: EncodingChoice, *, tell: Callable[[str], object] = lambda reason: None
) -> LeanProof | None:
    """Writes tokenizer.tokie beside a folder's tokenizer.json, if it can be proved to give the same tokens.

    Both tokenizers, in the code that the runtime uses, are given this package's sample texts, 20,000 varied
    strings and every character of Unicode, and must agree on every token and on where the template ends.

    Args:
        folder: It holds tokenizer.json.
        choice: The recipe, for its templates.
        tell: Called with the reason if there will be no lean tokenizer.

    Returns:
        The proof for the manifest; or None, and then there is no tokenizer.tokie.
    """
    samples = [sample.text for sample in (*golden_texts(), *calibration_texts(), *parity_texts())]
    try:
        version = installed_version()
        templates = _templates(choice.recipe)
        write_lean(folder)
        texts = _compare(load_tokenizer(folder), open_lean(folder), _cases(samples, templates))
    except (E5Error, _UnequalError) as error:
        (folder / LEAN_TOKENIZER_NAME).unlink(missing_ok=True)
        tell(f"no lean tokenizer: {error}")
        return None
    return LeanProof(LIBRARY, version, texts)


class _UnequalError(Exception):
    """Why there will be no lean tokenizer."""


def _templates(recipe: Recipe) -> Sequence[Template]:
    """Returns the recipe's templates, the empty one among them."""
    task = _TASK if recipe.takes_task else None
    templates = [recipe.template(role, task if role == "query" else None) for role in ROLES]
    for template in templates:
        if not keeps_apart(template):
            raise _UnequalError(f"no white space between text and template in {template}")
    return tuple(dict.fromkeys(templates))


def _cases(samples: Sequence[str], templates: Sequence[Template]) -> Iterator[Case]:
    yield from ((text, template) for text in samples for template in templates)
    yield from zip(varied_texts(samples, _VARIED), cycle(templates), strict=False)
    yield from ((text, Template()) for text in every_character())


def _compare(full: TextTokenizer, lean: TextTokenizer, cases: Iterable[Case]) -> int:
    """Returns the number of cases.

    Raises:
        _UnequalError: For the first that is not equal.
    """
    count = 0
    for text, template in cases:
        count += 1
        if _parts(full.tokenize(text, template)) != _parts(lean.tokenize(text, template)):
            raise _UnequalError(f"{LIBRARY} makes other tokens of {text!r:.80} in {template}")
    return count


def _parts(text: TokenizedText) -> tuple[bytes, bytes, bytes]:
    return text.head.tobytes(), text.body.tobytes(), text.tail.tobytes()
