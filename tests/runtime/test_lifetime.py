"""An engine is given out whole or not at all, whoever ends it meanwhile."""

from __future__ import annotations

import os

import pytest

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
