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
from typing import Any, Final, TextIO, cast

from e5_onnx_perf.engines import Engine, EngineName, import_engine
from e5_onnx_perf.figures.workloads import Draw
from e5_onnx_perf.process_memory import memory, reset_peak

Values = dict[str, Any]


def main() -> None:
    """Loads the engine, says what that took, then does what it is asked until stdin ends."""
    # What libraries print must not mix with answers.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    sys.stdout = sys.stderr
    name, path, threads = sys.argv[1:4]
    started = time.perf_counter()
    load = import_engine(cast(EngineName, name))
    imported, before = time.perf_counter(), memory()
    engine = load(Path(path), int(threads))
    ready = time.perf_counter()
    loaded = {"import_s": imported - started, "load_s": ready - imported}
    held = {"before": asdict(before), "memory": asdict(memory())}
    _answer(answers, {**loaded, **held, "vocabulary": engine.vocabulary})
    for line in sys.stdin:
        asked, before_job = json.loads(line), time.process_time()
        done = _JOBS[asked["job"]](engine, Draw(**asked["draw"]))
        _answer(answers, {**done, "cpu_seconds": time.process_time() - before_job})


def _answer(answers: TextIO, values: Values) -> None:
    answers.write(json.dumps(values) + "\n")
    answers.flush()


def _time(engine: Engine, draw: Draw) -> Values:
    ids, mask = draw.batch()
    started = time.perf_counter()
    engine.encode(ids, mask)
    return {"seconds": time.perf_counter() - started}


def _embed(engine: Engine, draw: Draw) -> Values:
    return {"vectors": engine.encode(*draw.batch()).tolist()}


def _peak(engine: Engine, draw: Draw) -> Values:
    reset_peak()
    _time(engine, draw)
    return {"memory": asdict(memory())}


_JOBS: Final[dict[str, Callable[[Engine, Draw], Values]]] = {"time": _time, "embed": _embed, "peak": _peak}

if __name__ == "__main__":
    main()
