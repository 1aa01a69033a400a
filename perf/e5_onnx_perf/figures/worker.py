"""One engine in a process of its own; asked over stdin, answers over stdout, a JSON object a line.

`python -m e5_onnx_perf.figures.worker ENGINE PATH THREADS`
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from e5_onnx_perf.engines import ENGINES, Engine
from e5_onnx_perf.figures.workloads import BY_NAME
from e5_onnx_perf.process_memory import memory, reset_peak


def main() -> None:
    """Loads the engine, says what that took, then does what it is asked until stdin ends."""
    # What libraries print must not mix with answers.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    sys.stdout = sys.stderr
    name, path, threads = sys.argv[1:4]
    before = memory()
    started = time.perf_counter()
    engine = ENGINES[name](Path(path), int(threads))
    loaded = {"load_s": time.perf_counter() - started, "before": asdict(before), "memory": asdict(memory())}
    _answer(answers, loaded)
    for line in sys.stdin:
        asked = json.loads(line)
        _answer(answers, _JOBS[asked["job"]](engine, asked))


def _answer(answers: Any, values: dict[str, Any]) -> None:  # noqa: ANN401 - a text file
    answers.write(json.dumps(values) + "\n")
    answers.flush()


def _time(engine: Engine, asked: dict[str, Any]) -> dict[str, Any]:
    ids, mask = BY_NAME[asked["workload"]].batch(asked["seed"])
    started = time.perf_counter()
    engine.encode(ids, mask)
    return {"seconds": time.perf_counter() - started}


def _peak(engine: Engine, asked: dict[str, Any]) -> dict[str, Any]:
    reset_peak()
    _time(engine, asked)
    return {"memory": asdict(memory())}


_JOBS: Final[dict[str, Callable[[Engine, dict[str, Any]], dict[str, Any]]]] = {"time": _time, "peak": _peak}

if __name__ == "__main__":
    main()
