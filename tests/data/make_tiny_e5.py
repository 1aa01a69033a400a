"""Makes tests/data/tiny_e5, the model folder of the runtime's tests: `python tests/data/make_tiny_e5.py`.

Its weights are random and seeded, so its vectors mean nothing; all else is as in a folder of a real model.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS))

from tiny_models import XLM_ROBERTA, tiny_weights, write_checkpoint  # noqa: E402
from tiny_tokenizers import write_tiny_tokenizer  # noqa: E402

from e5_onnx.model_folder.manifest import Precision  # noqa: E402
from e5_onnx_export.cards.parts import CARD_NAME  # noqa: E402
from e5_onnx_export.pipeline import export  # noqa: E402
from e5_onnx_export.recipe.request import RecipeRequest  # noqa: E402
from e5_onnx_export.request import ExportRequest  # noqa: E402

FOLDER = TESTS / "data" / "tiny_e5"
NAME = "tiny-e5-instruct"
# 130 positions hold 128 tokens: some golden texts have more, in a vocabulary that is mostly letters.
ARCHITECTURE = replace(XLM_ROBERTA, hidden=32, intermediate=64, positions=130)
LIMIT_BYTES = 300_000


def make_tiny_e5(out: Path, *, precision: Precision = "fp32") -> Path:
    """Exports the seeded checkpoint to `out`, which may be an older one of its kind."""
    with tempfile.TemporaryDirectory() as scratch:
        tokenizer = write_tiny_tokenizer(Path(scratch, "tokenizer.json"))
        checkpoint = write_checkpoint(
            Path(scratch, NAME), ARCHITECTURE, tiny_weights(ARCHITECTURE), tokenizer
        )
        export(
            ExportRequest(
                str(checkpoint),
                out,
                precision=precision,
                recipe=RecipeRequest("e5-instruct"),
                reference="numpy",
                force=True,
            )
        )
    # For people, of whom none reads this one.
    (out / CARD_NAME).unlink()
    return out


def main() -> None:
    """Makes the folder and says how large it is."""
    made = make_tiny_e5(FOLDER)
    size = sum(file.stat().st_size for file in made.iterdir())
    sys.stdout.write(f"{made}: {size} bytes\n")
    if size > LIMIT_BYTES:
        shutil.rmtree(made)
        sys.exit(f"more than {LIMIT_BYTES} bytes, so it was removed")


if __name__ == "__main__":
    main()
