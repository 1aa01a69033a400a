from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from e5_onnx.cli import info
from e5_onnx.model_folder.folder import open_folder
from e5_onnx.silent import EXPLANATIONS, TELEMETRY, VARIABLE, turn_off


@pytest.mark.security
@pytest.mark.parametrize(
    ("chosen", "imported", "becomes", "left"),
    [
        (None, [], "off", "1"),
        ("", [], "off", "1"),
        (None, ["onnxruntime"], "too late", "1"),
        ("1", ["onnxruntime"], "off", "1"),
        (" TRUE", [], "off", " TRUE"),
        ("yes", [], "off", "yes"),
        ("on", [], "off", "on"),
        ("0", [], "on", "0"),
        ("off", ["onnxruntime"], "on", "off"),
        ("2", [], "on", "2"),
    ],
)
def test_telemetry_is_off_unless_it_is_asked_for(
    chosen: str | None, imported: list[str], becomes: str, left: str
) -> None:
    environment = {} if chosen is None else {VARIABLE: chosen}
    assert turn_off(environment, imported) == becomes
    assert environment == {VARIABLE: left}


@pytest.mark.security
def test_it_is_off_here(tiny_folder: Path) -> None:
    assert TELEMETRY == "off"
    assert os.environ[VARIABLE]
    facts = info.gather(open_folder(tiny_folder))
    assert facts["telemetry"] == "off"
    assert "telemetry     off\n" in info._table(facts)


def started(program: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if name not in (VARIABLE, "CI")}
    # CI has onnxruntime keep its telemetry off by itself: this process leaves nothing, whatever it says.
    return subprocess.run(
        [sys.executable, "-c", program],
        env={**clean, "CI": "true", **environment},
        capture_output=True,
        text=True,
        check=True,
    )


SHOW = "from e5_onnx.cli import main; main(['info', {folder!r}])"


@pytest.mark.security
def test_somebody_who_was_first_is_named(tiny_folder: Path) -> None:
    done = started("import onnxruntime; " + SHOW.format(folder=str(tiny_folder)))
    assert done.stderr == f"onnxruntime's telemetry is {EXPLANATIONS['too late']}\n"
    assert f"telemetry     {EXPLANATIONS['too late']}\n" in done.stdout
    assert f"set {VARIABLE}=1" in done.stdout


def test_who_wants_it_has_it(tiny_folder: Path) -> None:
    done = started(SHOW.format(folder=str(tiny_folder)), **{VARIABLE: "0"})
    assert done.stderr == ""
    assert f"telemetry     {EXPLANATIONS['on']}\n" in done.stdout
