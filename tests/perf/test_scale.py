"""`e5-perf capacity-plan`: the arithmetic, and the constants that it takes from the code."""

from __future__ import annotations

import json

import pytest

from e5_onnx.bulk.journal import Journal, Receipt
from e5_onnx_perf.cli import main
from e5_onnx_perf.scale.arithmetic import RECEIPT_BYTES, Setting, need

SETTING = Setting(
    tokens_per_core_second=400, tokens_per_text=100, bytes_per_text=200, dimension=1024, process_mb=700,
    cores_per_process=8, price=0.05, efficiency=0.5, shard_seconds=0.01, shard_rows=10_000,
)  # fmt: skip


def test_what_a_corpus_takes() -> None:
    found = need(36_000_000, 100, SETTING)
    # 3.6e9 tokens at 200 a second: 1.8e7 core-seconds.
    assert found.core_hours == pytest.approx(5000)
    assert found.cost == pytest.approx(250)
    assert found.days == pytest.approx(50 / 24)
    assert found.memory_gb == pytest.approx(13 * 0.7)
    assert found.input_gb == pytest.approx(7.2)
    assert found.output_gb == pytest.approx({"float32": 147.456, "float16": 73.728, "int8": 37.008})
    assert found.megabits == pytest.approx((7.2 + 147.456) * 8000 / 180_000)
    assert found.shards == 3600
    assert found.scheduling_hours == pytest.approx(0.01)
    assert found.journal_mb == pytest.approx(3600 * RECEIPT_BYTES / 1e6)


def test_a_receipt_is_as_long_as_is_assumed(tmp_path) -> None:
    receipt = Receipt(
        2_000_000_000, rows=16384, written=16384, rejected=0, tokens=2_100_000, truncated=0, sha256=64 * "a"
    )
    journal = Journal(tmp_path / "journal", [])
    journal.add(receipt)
    journal.close()
    assert abs((tmp_path / "journal").stat().st_size - RECEIPT_BYTES) < 10


def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["capacity-plan", "--tokens-per-core-second", "400"]) == 0
    table = capsys.readouterr().out
    assert "| documents | 10,000,000 | 1,000,000,000 | 100,000,000,000 |" in table
    assert "| core-hours | 889 | 88,889 | 8,888,889 |" in table
    assert "| output, float32 | 41 GB | 4.1 TB | 410 TB |" in table
    assert main(["capacity-plan", "--tokens-per-core-second", "400", "--json"]) == 0
    assert [row["texts"] for row in json.loads(capsys.readouterr().out)] == [10**7, 10**9, 10**11]


def test_wrong_options(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["capacity-plan", "--tokens-per-core-second", "0"]) == 2
    assert "--tokens-per-core-second is 0.0; it must be more than 0" in capsys.readouterr().err
