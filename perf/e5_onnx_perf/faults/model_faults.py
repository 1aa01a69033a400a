"""An open model in forks, pools, tasks and interrupts: right vectors or an E5Error, and no hang."""

from __future__ import annotations

import json

import numpy as np

from e5_onnx_perf.faults.fault import Ground, Outcome, near
from e5_onnx_perf.faults.program import module, run_program


def run_forks(ground: Ground, outcome: Outcome) -> None:
    """The model of a parent is used, closed and opened in its fork."""
    _run("fork", ground, outcome)


def run_pools(ground: Ground, outcome: Outcome) -> None:
    """A model is sent to process pools that spawn and that fork."""
    _run("spawn-pool", ground, outcome)
    _run("fork-pool", ground, outcome)


def run_tasks(ground: Ground, outcome: Outcome) -> None:
    """Tasks of asyncio share a model that is closed meanwhile."""
    _run("asyncio", ground, outcome)


def run_interrupts(ground: Ground, outcome: Outcome) -> None:
    """KeyboardInterrupt comes while a model is opened, used or closed."""
    _run("interrupts", ground, outcome)


def _run(way: str, ground: Ground, outcome: Outcome) -> None:
    texts = ground.texts(8)
    truth = ground.truth(texts)
    ended = run_program(module("open_model", ground.folder, way, ground.seed, ground.trials, *texts))
    outcome.trials += ground.trials
    outcome.expect(ended.code == 0, f"{way}: {ended.crash or ended.last_line}")
    for line in ended.output.splitlines():
        row = json.loads(line)
        outcome.seen[row["seen"]] += 1
        right = row["vectors"] is None or near(np.array(row["vectors"], np.float32), truth)
        outcome.expect(right, f"{row['seen']}: wrong vectors")
