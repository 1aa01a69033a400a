"""Examples in docstrings run as they stand, in a folder where `my-e5` is a model."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest
from our_source import PACKAGES, all_modules

# One downloads a model from the hub, the other the tasks of mteb.
NOT_RUN = {"e5_onnx_export", "e5_onnx_perf.mteb_encoder"}
OTHER_LIBRARIES = {"chroma", "haystack", "langchain", "llama_index"}


def module_name(file: Path) -> str:
    package, root = next((name, root) for name, root in PACKAGES.items() if file.is_relative_to(root))
    parts = (package, *file.relative_to(root).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


EXAMPLES = sorted(module_name(file) for file in all_modules() if ">>> " in file.read_text("utf-8"))
MARKS = {
    name: [pytest.mark.reference] if name.rpartition(".")[2] in OTHER_LIBRARIES else [] for name in EXAMPLES
}


def test_there_are_examples() -> None:
    assert set(EXAMPLES) > NOT_RUN


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=MARKS[name]) for name in EXAMPLES if name not in NOT_RUN]
)
def test_an_example_runs(
    name: str, tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my-e5").symlink_to(tiny_folder)
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(name)
    assert "+SKIP" not in str(module.__doc__)
    ran = doctest.testmod(module)
    assert ran.attempted
    assert not ran.failed
