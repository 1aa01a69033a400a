"""`e5-perf attention-operators`: all operators do the same, so that their times can be compared."""

from __future__ import annotations

import numpy as np
import pytest

from e5_onnx_perf.attention import command
from e5_onnx_perf.attention.operators import MASKLESS, OPERATORS, open_operator
from e5_onnx_perf.cli import main

HEADS, HIDDEN = 2, 16


def plain(qkv: np.ndarray, length: int) -> np.ndarray:
    """The context of one text's real tokens, as the paper has it (arXiv 1706.03762)."""
    q, k, v = (part.reshape(length, HEADS, -1).swapaxes(0, 1) for part in np.split(qkv[:length], 3, axis=-1))
    scores = q @ k.swapaxes(1, 2) / np.sqrt(HIDDEN // HEADS)
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return (weights / weights.sum(axis=-1, keepdims=True) @ v).swapaxes(0, 1).reshape(length, HIDDEN)


@pytest.mark.parametrize("name", OPERATORS)
def test_an_operator_is_attention(name: str) -> None:
    lengths = [5, 5] if name in MASKLESS else [5, 3]
    values = np.random.default_rng(0).standard_normal((2, 5, 3 * HIDDEN), np.float32)
    session = open_operator(name, heads=HEADS, hidden=HIDDEN, threads=1)
    (found,) = session.run(None, {"qkv": values, "lengths": np.array(lengths, np.int32)})
    for context, qkv, length in zip(found, values, lengths, strict=True):
        np.testing.assert_allclose(context[:length], plain(qkv, length), atol=2e-6)


def test_the_command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "_SECONDS", 0)  # as if the machine were too slow for a run
    assert main(["attention-operators", "--hidden", "16", "--heads", "2", "--threads", "1"]) == 0
    head, _, *rows = capsys.readouterr().out.splitlines()
    assert head.startswith("| ms of one layer | 1x16 | 1x128 | 32x32 | 8x256 | 4x512 | ragged 16x128 |")
    assert [row.split(" | ")[0].removeprefix("| ") for row in rows] == list(OPERATORS)
    ragged = {row.split(" | ")[0].removeprefix("| "): row.split(" | ")[6].strip() for row in rows}
    assert {name for name, cell in ragged.items() if not cell} == MASKLESS


def test_heads_must_divide(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["attention-operators", "--hidden", "16", "--heads", "3"]) == 2
    assert "--heads is 3; it must be a divisor of `--hidden`, 16" in capsys.readouterr().err
