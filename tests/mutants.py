"""Makes mutants of modules and shows those that no test kills: `make mutants MODULES="FILE ..." TESTS="..."`.

Each mutant is one change of one operator, number or word, by cosmic-ray, in a copy of the project; the tests
are run on it. A survivor is a hole in the tests, or no change of behaviour, which people judge.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
COSMIC_RAY = Path(sys.executable).with_name("cosmic-ray")
# One change an operator is enough; `|` is mostly a type's; decorators are slots and frozen.
LEFT_OUT = (
    "core/ReplaceBinaryOperator_.*_(Pow|RShift|LShift|BitOr|BitAnd|BitXor|FloorDiv|Mod)",
    "core/ReplaceBinaryOperator_BitOr_.*",
    "core/ReplaceComparisonOperator_.*_(Is|IsNot)",
    "core/ReplaceUnaryOperator_.*_(Not|Invert)",
    "core/RemoveDecorator",
)
CONFIG = """\
[cosmic-ray]
module-path = {modules}
timeout = {timeout}
excluded-modules = []
test-command = {command}
distributor.name = "local"
filters.operators-filter.exclude-operators = {left_out}
"""


def main() -> int:
    parser = argparse.ArgumentParser(description="Shows the mutants of modules that no test kills.")
    parser.add_argument("modules", nargs="+", metavar="MODULE", help="files, from the project's folder")
    parser.add_argument("--tests", default="", help="words for pytest (default: test_MODULE.py)")
    parsed = parser.parse_args()
    tests = shlex.split(parsed.tests) or tests_of(parsed.modules)
    with tempfile.TemporaryDirectory(prefix="e5-mutants-") as scratch:
        copy = copied(Path(scratch))
        return report(run(copy, parsed.modules, tests))


def tests_of(modules: Iterable[str]) -> list[str]:
    """The test file that is called after each module."""
    found = []
    for module in map(Path, modules):
        files = sorted((ROOT / "tests").rglob(f"test_{module.stem}.py"))
        found += files or sys.exit(f"there is no test_{module.stem}.py: say which tests with --tests")
    return [str(path.relative_to(ROOT)) for path in found]


def copied(scratch: Path) -> Path:
    """A copy of the project as it is, without what git ignores."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, check=True,
    ).stdout  # fmt: skip
    for name in filter(None, listed.decode().split("\0")):
        if (ROOT / name).is_file():
            (scratch / name).parent.mkdir(parents=True, exist_ok=True)
            (scratch / name).write_bytes((ROOT / name).read_bytes())
    return scratch


def run(copy: Path, modules: Sequence[str], tests: Sequence[str]) -> Path:
    """Runs the tests without a change, then on every mutant; returns the session."""
    command = shlex.join([sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests])
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(str(copy / name) for name in ("runtime", "export", "perf")),
        # Two mutants of one second and one size would have the same .pyc.
        "PYTHONDONTWRITEBYTECODE": "1",
    }

    def call(*words: str) -> None:
        subprocess.run(words, cwd=copy, env=environment, check=True)

    started = time.monotonic()
    call(*shlex.split(command))
    timeout = 30 + 10 * (time.monotonic() - started)
    values = {"modules": list(modules), "timeout": timeout, "command": command, "left_out": LEFT_OUT}
    (copy / "mutants.toml").write_text(
        CONFIG.format(**{name: json.dumps(value) for name, value in values.items()}), "utf-8"
    )
    session = copy / "mutants.sqlite"
    call(str(COSMIC_RAY), "init", "mutants.toml", str(session))
    call(str(COSMIC_RAY.with_name("cr-filter-operators")), str(session), "mutants.toml")
    call(str(COSMIC_RAY), "exec", "mutants.toml", str(session))
    return session


def report(session: Path) -> int:
    """Prints the survivors."""
    dumped = subprocess.run([COSMIC_RAY, "dump", session], capture_output=True, text=True, check=True).stdout
    results = [result for _, result in map(json.loads, dumped.splitlines()) if result["test_outcome"]]
    survivors = [result for result in results if result["test_outcome"] == "survived"]
    for result in survivors:
        sys.stdout.write("\n".join(result["diff"].splitlines()[2:]) + "\n\n")
    sys.stdout.write(f"{len(results)} mutants, {len(survivors)} survived\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
