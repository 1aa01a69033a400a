"""What is installed, and what is shipped: locked by hash, licensed, and built the same twice."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

pytestmark = pytest.mark.security

ROOT = Path(__file__).parents[1]
LOCKS = ROOT / "constraints"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
EXTRAS = PROJECT["project"]["optional-dependencies"]

# By lock: the extras and groups that it is for; see constraints/renew.py.
CORE = {"bulk", "demo", "dev", "export", "lean", "perf", "serve"}
ALONE = {"docs", "optimum", "peers", "llama-cpp"}
LOCKED = {
    "reference": EXTRAS.keys() - ALONE,
    "optimum": {"lean", "peers"},
    "core": CORE,
    "demo": {"demo", "lean"},
    "serve": {"lean", "serve"},
    "docs": {"docs"},
    "wheel": {"test"},
    "build": {"build"},
}


def locked(name: str) -> dict[str, list[str]]:
    """Versions by package."""
    found: dict[str, list[str]] = {}
    for line in re.findall(r"(?m)^([a-z0-9].*==[^\\\n]*)", (LOCKS / f"{name}.txt").read_text("ascii")):
        requirement = Requirement(line)
        found.setdefault(requirement.name, []).append(str(requirement.specifier).removeprefix("=="))
    return found


def needed(rows: list[str]) -> Iterator[Requirement]:
    """What rows of pyproject.toml ask for, the extras that they name included."""
    for row in rows:
        requirement = Requirement(row)
        if requirement.name == "e5-onnx":
            for extra in requirement.extras:
                yield from needed(EXTRAS[extra])
        else:
            yield requirement


def asked_for(name: str) -> list[Requirement]:
    groups = EXTRAS | PROJECT["dependency-groups"]
    rows = [row for group in LOCKED[name] for row in groups[group]]
    return list(needed([*rows, *([] if name == "build" else PROJECT["project"]["dependencies"])]))


@pytest.mark.parametrize("name", LOCKED)
def test_a_lock_holds_what_is_asked_for(name: str) -> None:
    versions = locked(name)
    for requirement in asked_for(name):
        found = versions[canonicalize_name(requirement.name)]
        assert all(requirement.specifier.contains(version) for version in found), (requirement, found)


@pytest.mark.parametrize("lock", sorted(LOCKS.glob("*.txt")), ids=lambda lock: lock.stem)
def test_every_file_is_locked_by_its_hash(lock: Path) -> None:
    rows = lock.read_text("ascii").replace("\\\n", "").splitlines()
    assert rows
    for row in rows:
        assert re.fullmatch(r"\S+==[^#]+?( +--hash=sha256:[0-9a-f]{64})+", row), row


def test_every_lock_is_known() -> None:
    assert {lock.stem for lock in LOCKS.glob("*.txt")} == LOCKED.keys() | {"lowest"}


def test_the_lowest_versions_are_the_declared_ones() -> None:
    declared = {row.name: str(row.specifier) for row in needed(PROJECT["project"]["dependencies"])}
    assert declared.keys() == {"numpy", "onnxruntime", "tokenizers"}
    for name, specifier in declared.items():
        lowest = locked("lowest")[name]
        assert len(lowest) == 1
        assert lowest[0] in (f"{specifier.removeprefix('>=')}.0", specifier.removeprefix(">="))


def test_nobody_is_held_at_an_old_transformers_but_who_needs_optimum() -> None:
    """transformers before 5 has a hole (CVE-2026-1839)."""
    assert all(int(version.split(".")[0]) >= 5 for version in locked("reference")["transformers"])
    assert {name for name in LOCKED if name not in ("optimum", "reference")} & {
        name for name in LOCKED if "transformers" in locked(name)
    } == set()


def test_the_list_of_licences_is_that_of_what_is_installed() -> None:
    for name, versions in locked("serve").items():
        with suppress(metadata.PackageNotFoundError):
            if metadata.version(name) not in versions:
                pytest.skip(f"the lock has another {name}")
    command = [sys.executable, str(LOCKS / "licences.py")]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert (ROOT / "docs" / "licences.md").read_text("utf-8") == listed
    licences = dict(re.findall(r"(?m)^\| (\S+) \| (.+) \|$", listed.partition("---")[2]))
    assert {"numpy", "onnxruntime", "tokenizers", "tokie", "uvicorn"} <= licences.keys()
    assert not [name for name, licence in licences.items() if not re.search(r"[A-Z]{2,}|Apache", licence)]


def test_two_builds_of_the_wheel_are_the_same_to_the_byte(tmp_path: Path) -> None:
    pytest.importorskip("hatchling", reason="is not installed: constraints/build.txt")
    pytest.importorskip("build", reason="is not installed: constraints/build.txt")
    one = build(tmp_path / "one", mask=0o022, age=0)
    assert build(tmp_path / "two", mask=0o077, age=10**8) == one


def build(folder: Path, *, mask: int, age: int) -> tuple[str, str]:
    """Builds from a copy of another place, of files of another time and mode."""
    listed = subprocess.run(["git", "ls-files", "-z"], capture_output=True, text=True, check=True, cwd=ROOT)
    for name in listed.stdout.rstrip("\0").split("\0"):
        if (ROOT / name).is_file():
            copy = folder / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, copy)
            copy.chmod(0o666 & ~mask)
            os.utime(copy, (1.7e9 - age, 1.7e9 - age))
    words = ["build", "--wheel", "--no-isolation", "--outdir", str(folder / "dist"), str(folder)]
    subprocess.run([sys.executable, "-m", *words], capture_output=True, check=True)
    (wheel,) = (folder / "dist").glob("*.whl")
    return wheel.name, hashlib.sha256(wheel.read_bytes()).hexdigest()
