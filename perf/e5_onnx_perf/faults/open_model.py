"""A process that does with an open model what its users do: `open_model FOLDER WAY SEED TRIALS TEXT...`.

Writes a JSON object a line: `seen`, in some words, and the `vectors`, None for an E5Error.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, NoReturn

import numpy as np

from e5_onnx import E5Error, Embedder
from e5_onnx_export.arrays import Floats

_THREADS: Final = 2
_TASKS: Final = 64
_PROCESSES: Final = 2


@dataclass(frozen=True, slots=True)
class _Given:
    """The task of the process.

    Attributes:
        folder: The model folder.
        texts: The texts to embed.
        chance: The source of everything that is random.
        trials: How many times.
    """

    folder: str
    texts: list[str]
    chance: np.random.Generator
    trials: int

    def open(self) -> Embedder:
        """A model with threads of its own."""
        return Embedder(self.folder, threads=_THREADS)


_Row = tuple[str, Floats | None]


def _attempt(name: str, attempt: Callable[[], Floats]) -> _Row:
    try:
        return name, attempt()
    except E5Error as error:
        return f"{name}: {type(error).__name__}", None


def _fork(given: _Given) -> Iterator[_Row]:
    """The model is used, closed and opened in a fork, and used in the parent afterwards."""
    for _ in range(given.trials):
        with given.open() as model:
            model.embed_documents(given.texts)
            reading, writing = os.pipe()
            if os.fork() == 0:
                os.close(reading)
                _in_fork(given, model, writing)
            os.close(writing)
            with os.fdopen(reading) as rows:
                for line in rows:
                    seen, vectors = json.loads(line)
                    yield seen, None if vectors is None else np.array(vectors, np.float32)
            os.wait()
            yield _attempt("parent after a fork", lambda model=model: model.embed_documents(given.texts))  # type: ignore[misc]


def _in_fork(given: _Given, model: Embedder, writing: int) -> NoReturn:
    found = [_attempt("fork", lambda: model.embed_documents(given.texts))]
    model.close()
    with given.open() as own:
        found.append(_attempt("model opened in a fork", lambda: own.embed_documents(given.texts)))
    with os.fdopen(writing, "w") as rows:
        for seen, vectors in found:
            rows.write(json.dumps((seen, None if vectors is None else vectors.tolist())) + "\n")
    os._exit(0)


def _pool(given: _Given, method: str) -> Iterator[_Row]:
    """An open model is sent to the processes of a pool."""
    context = multiprocessing.get_context(method)
    with given.open() as model, ProcessPoolExecutor(_PROCESSES, context) as pool:
        model.embed_documents(given.texts)
        for _ in range(given.trials):
            future = pool.submit(model.embed_documents, given.texts)
            yield _attempt(f"pool by {method}", future.result)


def _spawn_pool(given: _Given) -> Iterator[_Row]:
    yield from _pool(given, "spawn")


def _fork_pool(given: _Given) -> Iterator[_Row]:
    yield from _pool(given, "fork")


def _asyncio(given: _Given) -> Iterable[_Row]:
    """Many tasks share a model; every third is cancelled, and the model is closed meanwhile."""
    return asyncio.run(_tasks(given))


async def _tasks(given: _Given) -> list[_Row]:
    loop, found = asyncio.get_running_loop(), list[_Row]()
    with ThreadPoolExecutor(8) as pool:
        for _ in range(given.trials):
            model = given.open()
            tasks = [loop.run_in_executor(pool, model.embed_documents, given.texts) for _ in range(_TASKS)]
            for task in tasks[::3]:
                task.cancel()
            await asyncio.wait(tasks[1:2])  # some are done, some run, some wait
            model.close()
            for result in await asyncio.gather(*tasks, return_exceptions=True):
                match result:
                    case asyncio.CancelledError():
                        found.append(("cancelled", None))
                    case E5Error():
                        found.append((f"task: {type(result).__name__}", None))
                    case BaseException():
                        raise result
                    case _:
                        found.append(("task", result))
    return found


def _interrupts(given: _Given) -> Iterator[_Row]:
    """KeyboardInterrupt while a model is opened, used or closed; then it is used again."""
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    started = time.perf_counter()
    with given.open() as model:
        model.embed_documents(given.texts)
    longest = 1.2 * (time.perf_counter() - started)
    for _ in range(given.trials):
        opened: Embedder | None = None
        try:
            try:
                signal.setitimer(signal.ITIMER_REAL, given.chance.uniform(1e-6, longest))
                opened = given.open()
                opened.embed_documents(given.texts)
                opened.close()
                opened = None  # another one is used afterwards
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
            seen = "done before the interrupt"
        except KeyboardInterrupt:
            seen = "interrupted with no model open" if opened is None else "interrupted with a model open"
        yield seen, None
        used = opened or given.open()
        yield _attempt("used afterwards", lambda used=used: used.embed_documents(given.texts))  # type: ignore[misc]
        used.close()


WAYS: Final[dict[str, Callable[[_Given], Iterable[_Row]]]] = {
    "fork": _fork,
    "spawn-pool": _spawn_pool,
    "fork-pool": _fork_pool,
    "asyncio": _asyncio,
    "interrupts": _interrupts,
}


def main() -> None:
    """Does it in one way."""
    folder, way, seed, trials, *texts = sys.argv[1:]
    for seen, vectors in WAYS[way](_Given(folder, texts, np.random.default_rng(int(seed)), int(trials))):
        row = {"seen": seen, "vectors": None if vectors is None else vectors.tolist()}
        sys.stdout.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
