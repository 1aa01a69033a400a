"""An engine is given out whole or not at all, whoever ends it meanwhile."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from waiting import PATIENCE_S

from e5_onnx.errors import ClosedError
from e5_onnx.inference.engine import Engine
from e5_onnx.inference.lifetime import Lifetime


def test_an_end_while_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = object.__new__(Engine)
    lifetime, pid = Lifetime(engine), os.getpid()

    def end_meanwhile() -> int:
        lifetime.end()
        return pid

    monkeypatch.setattr(os, "getpid", end_meanwhile)
    assert lifetime.get() is engine
    with pytest.raises(ClosedError):
        lifetime.get()


def test_what_has_ended_is_not_kept() -> None:
    engine = object.__new__(Engine)
    lifetime, before = Lifetime(engine), sys.getrefcount(engine)
    lifetime.end()
    lifetime.leak()
    assert sys.getrefcount(engine) == before - 1


FORK = """
import os, sys, warnings
from e5_onnx import Embedder
from e5_onnx.errors import ForkedError
warnings.simplefilter("ignore")  # Python from 3.12 on warns of a fork of several threads
model = Embedder(sys.argv[1], threads=2)
model.embed_documents("a")
child = os.fork()
if child == 0:
    try:
        model.embed_documents("a")
    except ForkedError:
        {end}
    with Embedder(sys.argv[1], threads=2) as own:
        own.embed_documents("a")
else:
    status = os.waitpid(child, 0)[1]
    model.embed_documents("a")
    sys.exit(status)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize("end", ["model.close()", "del model", "pass"])
def test_a_fork_ends(end: str, tiny_folder: Path) -> None:
    """To free a session, onnxruntime waits for threads that a fork does not have."""
    command = [sys.executable, "-c", FORK.format(end=end), str(tiny_folder)]
    subprocess.run(command, check=True, timeout=PATIENCE_S)
