"""The libraries name parameters; only the command lines know the flag that sets one."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

from e5_onnx.cli.flags import FLAGS
from e5_onnx_export.cli.export import export_parser
from e5_onnx_export.cli.flags import FLAGS as EXPORT_FLAGS
from e5_onnx_export.recipe.request import RecipeRequest
from e5_onnx_export.request import ExportRequest, QuantizationRequest

RUNTIME = Path(__file__).parents[1] / "runtime" / "e5_onnx"
LIBRARY = [file for file in sorted(RUNTIME.rglob("*.py")) if "cli" not in file.relative_to(RUNTIME).parts]
EXPORT = Path(__file__).parents[1] / "export" / "e5_onnx_export"
EXPORT_LIBRARY = [file for file in sorted(EXPORT.rglob("*.py")) if file.parent.name != "cli"]
PERF = Path(__file__).parents[1] / "perf" / "e5_onnx_perf"
PERF_LIBRARY = [
    file for file in sorted(PERF.rglob("*.py")) if file.name != "cli.py" and not file.stem.endswith("command")
]
FLAG = re.compile(r"(?<![\w-])--[a-z]")

# Another program's command, ready to copy.
FOREIGN = re.compile(r"`hf [^`]*`")
# Words of a command that is started, not of a message.
STARTED = {("serve/workers.py", "--listen-fd"), ("serve/workers.py", "--supervisor-fd")}
# Commands written out in full, in a card or in a remedy.
COMMAND = re.compile(r"^ --task '\.\.\.'$|\b(e5|e5-perf) [a-z]+ ")
# Set from Python alone.
NO_FLAG = {"exact_int8", "mode", "token_budget", "max_seq_length", "prompt_name"}


def parsed(file: Path) -> ast.Module:
    return ast.parse(file.read_text("utf-8"))


def strings(tree: ast.Module) -> Iterator[str]:
    """Every string of a module, but those that stand as statements, as docstrings do."""
    statements = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in statements:
            yield node.value


def flags_in(file: Path) -> Iterator[str]:
    for text in strings(parsed(file)):
        if FLAG.search(FOREIGN.sub("", text)) and not COMMAND.search(text):
            yield text


@pytest.mark.parametrize("file", LIBRARY, ids=lambda file: str(file.relative_to(RUNTIME)))
def test_no_message_of_the_library_names_a_flag(file: Path) -> None:
    name = file.relative_to(RUNTIME).as_posix()
    assert not [text for text in flags_in(file) if (name, text) not in STARTED]


@pytest.mark.parametrize("file", EXPORT_LIBRARY, ids=lambda file: str(file.relative_to(EXPORT)))
def test_no_message_of_the_exporter_names_a_flag(file: Path) -> None:
    assert not list(flags_in(file))


@pytest.mark.parametrize("file", PERF_LIBRARY, ids=lambda file: str(file.relative_to(PERF)))
def test_no_message_of_a_measurement_names_a_flag(file: Path) -> None:
    # A flag alone is a word of a command that is started, var(...) a colour of a page.
    assert not [text for text in flags_in(file) if not re.fullmatch(r"--[a-z-]+|var\(--\S+", text)]


def test_a_measurement_refuses_parameters_by_their_names() -> None:
    trees = [parsed(file) for file in PERF.rglob("*.py")]
    calls = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call)]
    refused = [call.args[0] for call in calls if ast.unparse(call.func) == "OptionError"]
    assert len(refused) > 10
    assert not [name for name in refused if isinstance(name, ast.Constant) and "--" in str(name.value)]


def test_every_flag_of_the_exporter_sets_its_parameter() -> None:
    taken = {flag: action for action in export_parser()._actions for flag in action.option_strings}
    assert set(EXPORT_FLAGS.values()) <= taken.keys()
    asked = {
        field.name for kind in (ExportRequest, RecipeRequest, QuantizationRequest) for field in fields(kind)
    }
    # Named in no message as parameters, or set by what --no-lean leaves out.
    assert asked - EXPORT_FLAGS.keys() == {"source", "out", "quantization", "lean"}
    assert EXPORT_FLAGS.keys() <= asked


def refused_parameters() -> Iterator[str]:
    """First arguments of every OptionError that the library makes, where they are written out."""
    for file in LIBRARY:
        for node in ast.walk(parsed(file)):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "OptionError":
                first = node.args[0]
                if isinstance(first, ast.Constant):
                    yield str(first.value)


def test_every_parameter_that_is_refused_has_its_flag() -> None:
    found = set(refused_parameters())
    assert len(found) > 15
    assert found - NO_FLAG <= FLAGS.keys()


def test_flags_are_found_in_messages() -> None:
    tree = ast.parse('def f(x):\n    """Of --role."""\n    raise E(f"{x}: set --role or a--b")')
    assert [bool(FLAG.search(text)) for text in strings(tree)] == [True]
