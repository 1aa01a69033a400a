"""A pytest plugin for tests/runtime/ against the installed wheel: what is missing there fails."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from sitecustomize import UNIMPORTABLE

# The only reasons for which a test may skip itself: what this environment lacks on purpose.
ALLOWED_REASONS = ("Skipped: tokie, the [lean] extra, is not installed",)


def pytest_sessionstart() -> None:
    """Refuses to run where the run would prove nothing."""
    import e5_onnx

    place = Path(e5_onnx.__file__)
    if not place.is_relative_to(sys.prefix):
        raise pytest.UsageError(f"e5_onnx comes from {place}, not from the installed wheel")
    for name in UNIMPORTABLE:
        try:
            importlib.import_module(name)
        except ImportError:
            continue
        raise pytest.UsageError(f"{name} can be imported here")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport() -> Generator[None, Any, None]:
    """Refuses tests that skip themselves."""
    outcome = yield
    _refuse_skip(outcome.get_result())


@pytest.hookimpl(hookwrapper=True)
def pytest_make_collect_report() -> Generator[None, Any, None]:
    """Refuses files that skip themselves."""
    outcome = yield
    _refuse_skip(outcome.get_result())


def _refuse_skip(report: Any) -> None:  # noqa: ANN401 - a TestReport or a CollectReport
    if not report.skipped or hasattr(report, "wasxfail"):
        return
    _, _, reason = report.longrepr
    if reason not in ALLOWED_REASONS:
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid} skips itself, and here nothing may be missing: {reason}"
