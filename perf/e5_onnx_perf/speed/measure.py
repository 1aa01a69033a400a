"""Engines that take turns: whatever the machine does to one round, it does to every engine."""

from __future__ import annotations

import json
import time
from base64 import b64decode
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from e5_onnx_export.progress import Progress
from e5_onnx_perf.errors import WorkerError
from e5_onnx_perf.machine_load import busy_seconds, share_of_others, wait_until_still
from e5_onnx_perf.speed.engine import EngineSpec
from e5_onnx_perf.speed.texts import FreshTexts
from e5_onnx_perf.speed.workloads import Workload
from e5_onnx_perf.worker_process import WorkerProcess

_MODULE: Final = "e5_onnx_perf.speed.worker"
_PEAK: Final = (256,) * 8


Running = tuple[EngineSpec, WorkerProcess]


@dataclass(frozen=True, slots=True)
class Timing:
    """Times of an engine on a workload.

    Attributes:
        seconds: The time of each round and request.
        cpu_seconds: The CPU time of all requests of each round.
        tokens: The number of tokens of each round.
    """

    seconds: Sequence[Sequence[float]]
    cpu_seconds: Sequence[float]
    tokens: Sequence[int]

    @property
    def rounds(self) -> list[float]:
        """The seconds of all requests together, by round."""
        return [sum(own) for own in self.seconds]

    @property
    def tokens_per_s(self) -> float:
        """The median of the rounds' own rates: fresh texts do not have the same number of tokens each."""
        return median(tokens / seconds for tokens, seconds in zip(self.tokens, self.rounds, strict=True))


@dataclass(frozen=True, slots=True)
class Measured:
    """The measurements of an engine.

    Attributes:
        spec: The engine.
        loaded: The worker's report on loading.
        peak_mb: Largest resident memory while eight texts of 256 tokens are embedded.
        timings: By the name of the workload.
        vectors: float32 [texts, dimension] of all texts that were timed, by the name of the workload.
    """

    spec: EngineSpec
    loaded: dict[str, Any]
    peak_mb: float
    timings: dict[str, Timing]
    vectors: dict[str, NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Round:
    """The requests of a round.

    Attributes:
        requests: The texts of each request, by workload.
        tokens: The number of tokens of all of them, by workload.
    """

    requests: dict[str, list[list[str]]]
    tokens: dict[str, int]


@dataclass(frozen=True, slots=True)
class Comparison:
    """The measurements of all engines.

    Attributes:
        engines: In their order.
        absent: Why an engine is not among them, by its name.
        others: Share of the machine's CPU time that other programs took while times were taken.
    """

    engines: list[Measured]
    absent: dict[str, str]
    others: float


def measure(
    specs: Sequence[EngineSpec],
    workloads: Sequence[Workload],
    fresh: FreshTexts,
    *,
    rounds: int,
    progress: Progress,
) -> Comparison:
    """Loads every engine, then has them take turns: round by round, workload by workload.

    Args:
        specs: The engines; one that cannot be loaded is reported as absent, with the reason.
        workloads: The workloads to time.
        fresh: Makes the texts, the same for all and new in each round.
        rounds: How often each workload is run; one more is run first and not counted.
        progress: The display that counts rounds.

    Raises:
        WorkerError: If an engine that was loaded fails.
    """
    absent: dict[str, str] = {}
    with ExitStack() as stack:
        workers = []
        for spec in specs:
            progress.step(f"loading {spec.name}")
            try:
                workers.append((spec, stack.enter_context(start_worker(spec))))
            except WorkerError as error:
                absent[spec.name] = error.reason
        drawn = [_draw(workloads, fresh) for _ in range(rounds + 1)]
        peak = fresh.make(_PEAK)
        workers = warmed_up(workers, drawn[0], absent)
        answers: list[dict[str, list[dict[str, Any]]]] = [{} for _ in workers]
        started, busy, ours = time.perf_counter(), busy_seconds(), -time.process_time()
        for first, asked in enumerate(progress.track(drawn[1:], label="rounds", total=rounds)):
            ours += _take_turns(
                workers,
                asked,
                lambda number, name, answer: answers[number].setdefault(name, []).append(answer),
                first=first,
            )
        elapsed = time.perf_counter() - started
        others = share_of_others(busy=busy_seconds() - busy, ours=ours + time.process_time(), elapsed=elapsed)
        engines = [
            _measured(spec, worker, own, peak=peak, rounds=drawn[1:])
            for (spec, worker), own in zip(workers, answers, strict=True)
        ]
    return Comparison(engines, absent, others)


def start_worker(spec: EngineSpec) -> WorkerProcess:
    """Starts a process with an engine.

    Raises:
        WorkerError: If it cannot be loaded.
    """
    return WorkerProcess(spec.name, _MODULE, json.dumps(asdict(spec)))


def warmed_up(workers: Sequence[Running], asked: Round, absent: dict[str, str]) -> list[Running]:
    """Has each do everything once; a peer that dies of it is absent, an engine of ours is an error."""
    alive = []
    for spec, worker in workers:
        try:
            _take_turns([(spec, worker)], asked, lambda _number, _name, _answer: None)
        except WorkerError as error:
            if not spec.is_peer:
                raise
            absent[spec.name] = error.reason
        else:
            alive.append((spec, worker))
    return alive


def _draw(workloads: Sequence[Workload], fresh: FreshTexts) -> Round:
    requests = {workload.name: workload.make(fresh) for workload in workloads}
    tokens = {name: sum(sum(fresh.count(texts)) for texts in made) for name, made in requests.items()}
    return Round(requests, tokens)


def _take_turns(
    workers: Sequence[Running],
    asked: Round,
    keep: Callable[[int, str, dict[str, Any]], None],
    *,
    first: int = 0,
) -> float:
    """Every workload by every engine in turn, each turn on a machine where the one before has come to rest.

    Args:
        workers: The engines.
        asked: The texts.
        keep: Takes each answer, with the engine's number and the workload's name.
        first: The number of the engine that begins the first workload; the next one begins the second.

    Returns:
        The CPU seconds that the turns took.
    """
    cpu, count = 0.0, len(workers)
    processes = [worker.process_id for _, worker in workers]
    for turn, (name, requests) in enumerate(asked.requests.items()):
        for place in range(count):
            number = (first + turn + place) % count
            spec, worker = workers[number]
            if not wait_until_still(processes):
                raise WorkerError(spec.name, "the engine before it does not stop taking CPU time")
            answer = worker.request({"job": "time", "requests": requests})
            cpu += answer["cpu_seconds"]
            keep(number, name, answer)
    return cpu


def _measured(
    spec: EngineSpec,
    worker: WorkerProcess,
    answers: dict[str, list[dict[str, Any]]],
    *,
    peak: list[str],
    rounds: Sequence[Round],
) -> Measured:
    held = worker.request({"job": "peak", "requests": [peak]})["memory"]
    vectors = {name: np.concatenate([_vectors(answer) for answer in own]) for name, own in answers.items()}
    timings = {
        name: Timing(
            seconds=[answer["seconds"] for answer in own],
            cpu_seconds=[answer["cpu_seconds"] for answer in own],
            tokens=[asked.tokens[name] for asked in rounds],
        )
        for name, own in answers.items()
    }
    return Measured(spec, worker.loaded, held["peak_mb"], timings, vectors)


def _vectors(answer: dict[str, Any]) -> NDArray[np.float32]:
    texts, dimension = answer["texts"], answer["dimension"]
    return np.frombuffer(b64decode(answer["vectors"]), "<f4").reshape(texts, dimension)


def spread(values: Sequence[float]) -> float:
    """Half the distance between the quartiles, relative to the median."""
    low, high = np.quantile(values, [0.25, 0.75])
    return float((high - low) / 2 / median(values))
