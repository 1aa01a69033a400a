"""One engine in a process of its own; asked over stdin, answers over stdout, a JSON object a line.

`python -m e5_onnx_perf.speed.worker SPEC`, where SPEC is an EngineSpec in JSON.
"""

from __future__ import annotations

import json
import os
import sys
import time
from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any, Final, TextIO

import numpy as np

from e5_onnx_perf.process_memory import memory, proportional_mb, reset_peak
from e5_onnx_perf.speed.engine import EngineSpec, SpeedEngine, import_engine

Reply = dict[str, Any]
Requests = Sequence[Sequence[str]]


def main() -> None:
    """Loads the engine, says what that took, then does what it is asked until stdin ends."""
    # What libraries print must not mix with answers.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    sys.stdout = sys.stderr
    started = time.perf_counter()
    load = import_engine(EngineSpec(**json.loads(sys.argv[1])))
    imported, libraries = time.perf_counter(), memory()
    engine = load()
    facts = {"setting": engine.setting, "precision": engine.precision, "tokenizer": engine.tokenizer}
    size = {"disk_mb": engine.disk_bytes / 1e6}
    times = {"import_s": imported - started, "load_s": time.perf_counter() - imported}
    held = {"libraries_mb": libraries.resident_mb, "memory": asdict(memory())}
    _answer(answers, {**facts, **size, **times, **held})
    for line in sys.stdin:
        asked = json.loads(line)
        _answer(answers, _JOBS[asked["job"]](engine, asked["requests"]))


def _answer(answers: TextIO, values: Reply) -> None:
    answers.write(json.dumps(values) + "\n")
    answers.flush()


def _time(engine: SpeedEngine, requests: Requests) -> Reply:
    """Seconds of each request, one after another, and the vectors that came of it."""
    ready = [engine.ready(texts) for texts in requests]
    seconds, found, cpu = [], [], time.process_time()
    for run in ready:
        started = time.perf_counter()
        found.append(run())
        seconds.append(time.perf_counter() - started)
    cpu = time.process_time() - cpu
    # What was timed is also what is compared. Empty of nothing and of an engine that makes no vectors.
    rows = np.concatenate(found).astype("<f4") if found else np.empty((0, 0), "<f4")
    vectors = {"texts": len(rows), "dimension": rows.shape[1]}
    encoded = b64encode(rows.tobytes()).decode("ascii")
    return {"seconds": seconds, "cpu_seconds": cpu, **vectors, "vectors": encoded}


def _peak(engine: SpeedEngine, requests: Requests) -> Reply:
    reset_peak()
    _time(engine, requests)
    return {"memory": asdict(memory())}


def _held(engine: SpeedEngine, requests: Requests) -> Reply:
    """The memory of the process once it has embedded something; nothing is embedded when nothing is asked."""
    _time(engine, requests)
    return {"memory": asdict(memory()), "pss_mb": proportional_mb()}


_JOBS: Final[dict[str, Callable[[SpeedEngine, Requests], Reply]]] = {
    "time": _time,
    "peak": _peak,
    "held": _held,
}

if __name__ == "__main__":
    main()
