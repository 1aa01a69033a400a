"""The workflow and the forms in .github: their schemas hold, and they run what the package declares."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from our_source import ROOT

GITHUB = ROOT / ".github"
WORKFLOW = (GITHUB / "workflows" / "ci.yml").read_text("utf-8")
SYSTEMS = {
    "ubuntu": "Operating System :: POSIX :: Linux",
    "macos": "Operating System :: MacOS",
    "windows": "Operating System :: Microsoft :: Windows",
}
CHECK = Path(sys.executable).with_name("check-jsonschema")
SCHEMAS = {
    "github-workflows": ["workflows/ci.yml"],
    "github-issue-forms": ["ISSUE_TEMPLATE/bug.yml", "ISSUE_TEMPLATE/feature.yml"],
    "github-issue-config": ["ISSUE_TEMPLATE/config.yml"],
}


def check(schema: str, *files: Path) -> int:
    command: list[str] = [str(CHECK), "--builtin-schema", f"vendor.{schema}", *map(str, files)]
    return subprocess.run(command, capture_output=True, check=False).returncode


@pytest.mark.skipif(not CHECK.is_file(), reason="check-jsonschema is not installed")
@pytest.mark.parametrize("schema", SCHEMAS)
def test_files_follow_their_schemas(schema: str, tmp_path: Path) -> None:
    files = [GITHUB / name for name in SCHEMAS[schema]]
    assert check(schema, *files) == 0
    spoilt = tmp_path / "spoilt.yml"
    spoilt.write_text(files[0].read_text("utf-8") + "\nunknown_key: 1\n", "utf-8")
    assert check(schema, spoilt) != 0


def test_every_file_is_checked() -> None:
    files = {file.relative_to(GITHUB).as_posix() for file in GITHUB.rglob("*.yml")}
    assert files == {name for names in SCHEMAS.values() for name in names}


def test_every_declared_python_and_system_is_in_the_matrix() -> None:
    classifiers = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["classifiers"]
    declared = [row.rpartition(" ")[2] for row in classifiers if re.fullmatch(r".*:: Python :: 3\.\d+", row)]
    matrix = re.search(r"python: \[(.*)\]", WORKFLOW)
    assert matrix is not None
    assert re.findall(r'"(.*?)"', matrix[1]) == declared
    systems = re.search(r"system: \[(.*)\]", WORKFLOW)
    assert systems is not None
    named = {SYSTEMS[name.split("-")[0]] for name in systems[1].split(", ")}
    assert named == {row for row in classifiers if row.startswith("Operating System")}


def test_actions_are_pinned_by_their_commits_and_may_only_read() -> None:
    used = re.findall(r"uses: (.*)", WORKFLOW)
    assert used
    assert [one for one in used if not re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40} # v[\d.]+", one)] == []
    assert re.search(r"^permissions:\n  contents: read\n\n", WORKFLOW, re.MULTILINE)


def test_it_runs_what_make_runs() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    wanted = re.search(r"^CORE_TESTS := '(.*)'$", makefile, re.MULTILINE)
    assert wanted is not None
    assert f'pytest -m "{wanted[1]}"' in WORKFLOW
    for file in re.findall(r"constraints/\S+\.txt|\.ci/run", WORKFLOW):
        assert (ROOT / file).is_file()
