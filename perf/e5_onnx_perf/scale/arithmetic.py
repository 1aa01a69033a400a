"""What embedding a corpus takes, from a measured rate: arithmetic without surprises."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from e5_onnx.bulk_job import DEFAULT_SHARD_ROWS, VectorType

_SECONDS_AN_HOUR: Final = 3600
_COMPONENT_BYTES: Final[dict[VectorType, int]] = {"float32": 4, "float16": 2, "int8": 1}
_SCALE_BYTES: Final[dict[VectorType, int]] = {"float32": 0, "float16": 0, "int8": 4}
# Of a line of the journal, measured (tests/perf/test_scale.py).
RECEIPT_BYTES: Final = 185


@dataclass(frozen=True, slots=True)
class Setting:
    """The facts that are known before.

    Attributes:
        tokens_per_core_second: Measured, of one core, on texts as long as these.
        tokens_per_text: The corpus's mean.
        bytes_per_text: The corpus's mean, compressed as it is stored.
        dimension: The dimension of a vector.
        process_mb: The memory of a worker process (10^6 bytes).
        cores_per_process: The number of cores that share a process.
        price: The price of a core for an hour.
        efficiency: The cluster's rate beside that of one process on as many cores.
        shard_seconds: The time that scheduling adds to a shard.
        shard_rows: Done or not done together.
    """

    tokens_per_core_second: float
    tokens_per_text: float
    bytes_per_text: float
    dimension: int
    process_mb: float
    cores_per_process: int
    price: float
    efficiency: float
    shard_seconds: float
    shard_rows: int = DEFAULT_SHARD_ROWS


@dataclass(frozen=True, slots=True)
class Need:
    """The resources for a corpus.

    Attributes:
        texts: How many.
        core_hours: The hours of computing.
        cost: In the price's currency.
        days: With so many cores.
        cores: The number of cores that `days` assumes.
        memory_gb: The memory of all worker processes together.
        input_gb: Read, once.
        output_gb: Written, by type of component.
        megabits: Per second that all nodes read and write together while they work, with float32.
        shards: How many.
        journal_mb: The file of receipts.
        scheduling_hours: The hours of the driver, which hands shards out one after another.
    """

    texts: int
    core_hours: float
    cost: float
    days: float
    cores: int
    memory_gb: float
    input_gb: float
    output_gb: dict[VectorType, float]
    megabits: float
    shards: int
    journal_mb: float
    scheduling_hours: float


def need(texts: int, cores: int, setting: Setting) -> Need:
    """Works out what a corpus takes.

    Args:
        texts: How many.
        cores: The number of cores that work at once.
        setting: The facts that are known before.
    """
    rate = setting.tokens_per_core_second * setting.efficiency
    seconds = texts * setting.tokens_per_text / rate
    output = {
        kind: texts * (setting.dimension * size + _SCALE_BYTES[kind]) / 1e9
        for kind, size in _COMPONENT_BYTES.items()
    }
    read = texts * setting.bytes_per_text / 1e9
    shards = -(-texts // setting.shard_rows)
    return Need(
        texts=texts,
        core_hours=seconds / _SECONDS_AN_HOUR,
        cost=seconds / _SECONDS_AN_HOUR * setting.price,
        days=seconds / cores / _SECONDS_AN_HOUR / 24,
        cores=cores,
        memory_gb=-(-cores // setting.cores_per_process) * setting.process_mb / 1e3,
        input_gb=read,
        output_gb=output,
        megabits=(read + output["float32"]) * 8e3 / (seconds / cores),
        shards=shards,
        journal_mb=shards * RECEIPT_BYTES / 1e6,
        scheduling_hours=shards * setting.shard_seconds / _SECONDS_AN_HOUR,
    )
