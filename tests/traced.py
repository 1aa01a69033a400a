"""Programs under strace, as somebody without CI and with an empty home folder would start them."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import pytest

STRACE = shutil.which("strace")
# Set by .ci/run, where a test that cannot look must not pass for one that saw nothing.
REQUIRED = "E5_TESTS_NEED_STRACE"

_OPENING = ("open", "openat", "creat")
_NAMING = ("mkdir", "mkdirat", "rename", "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat")
_FILES = (*_OPENING, *_NAMING, "truncate")
_REACHING = ("socket", "bind", "connect")
_FOUND = re.compile(r"^\d+ +(?P<call>\w+)\((?P<arguments>.*)\) += (?P<result>.+)$")
_OPENED = re.compile(r"^\d+<([^>]*)>")
_FOR_WRITING = re.compile(r"O_WRONLY|O_RDWR|O_CREAT|O_TRUNC")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
# The process itself, and what is in memory only.
_NO_FILES = ("/dev/null", "/dev/tty", "/dev/shm/", "/proc/")  # noqa: S108 - names to look for


@dataclass(frozen=True)
class Traced:
    """What a program and its children did.

    Attributes:
        code: The exit code.
        output: What was printed, errors included.
        written: Files and folders that were made, opened for writing or renamed.
        sockets: Calls that make a socket or name an address; pairs within the program are left out.
    """

    code: int
    output: str
    written: set[Path]
    sockets: list[str]


class TracedProcess:
    """A program that runs under strace, until `end`."""

    def __init__(self, folder: Path, command: Sequence[object]) -> None:
        """Starts it in `folder`, whose `home` and `temporary` are the program's own."""
        if STRACE is None:
            assert REQUIRED not in os.environ, "strace is not installed"
            pytest.skip("strace is not installed")
        for name in ("home", "temporary"):
            (folder / name).mkdir()
        (folder / "fonts.conf").write_text("<fontconfig></fontconfig>")
        self._folder, self._trace = folder, folder / "trace"
        calls = ",".join([*_FILES, "%network"])
        words = [STRACE, "-f", "-qq", "-y", "-s", "4096", "-e", f"trace={calls}", "-o", self._trace, *command]
        self._process = subprocess.Popen(
            [str(word) for word in words],
            cwd=folder,
            env=self._environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,  # a group to be killed together
        )
        assert self._process.stdout is not None
        self.output = self._process.stdout

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:  # the test failed before the program ended
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self.output.close()

    def _environment(self) -> dict[str, str]:
        """Of a newcomer: no CI, no caches, no settings, and no fonts, whose cache is the system's."""
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "PYTHONPATH") if name in os.environ}
        folders = {"HOME": self._folder / "home", "TMPDIR": self._folder / "temporary"}
        return {
            **kept,
            **{name: str(path) for name, path in folders.items()},
            "PYTHONDONTWRITEBYTECODE": "1",
            "FONTCONFIG_FILE": str(self._folder / "fonts.conf"),
        }

    def terminate(self) -> None:
        """Asks the program itself to end, and not strace."""
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text("ascii")
        os.kill(int(children.split()[0]), signal.SIGTERM)

    def end(self) -> Traced:
        """Waits for the program and reads what it did."""
        output, _ = self._process.communicate()
        written, sockets = read_trace(self._trace.read_text("utf-8", "replace"), self._folder)
        return Traced(self._process.returncode, output, written, sockets)


def trace(folder: Path, *command: object) -> Traced:
    """Runs a program of this environment under strace, in `folder`."""
    beside = Path(sys.executable).with_name(str(command[0]))
    program = beside if beside.exists() else command[0]
    with TracedProcess(folder, [program, *command[1:]]) as process:
        return process.end()


def read_trace(text: str, folder: Path) -> tuple[set[Path], list[str]]:
    """What was written and what was done with sockets; a relative name is taken from `folder`."""
    written: set[Path] = set()
    sockets: list[str] = []
    for line in _whole_lines(text):
        found = _FOUND.match(line)
        assert found is not None or re.match(r"^\d+ +(\+\+\+|---)", line), line
        if found is None:
            continue
        if found["call"] in _FILES:
            written |= {path for path in _written(found, folder) if not str(path).startswith(_NO_FILES)}
        elif "AF_UNIX" in line and found["call"] not in _REACHING:
            continue  # a pair within the program
        elif "AF_" in line:
            sockets.append(line.split(maxsplit=1)[1])
    return written, sockets


def _written(found: re.Match[str], folder: Path) -> set[Path]:
    if found["result"].startswith(("-1", "?")):  # failed, or ended by the process's end
        return set()
    if found["call"] not in _OPENING:
        return {folder / name for name in _QUOTED.findall(found["arguments"])}
    if found["call"] != "creat" and not _FOR_WRITING.search(found["arguments"]):
        return set()
    opened = _OPENED.search(found["result"])
    assert opened is not None, found[0]
    return {Path(opened[1])}


def _whole_lines(text: str) -> list[str]:
    """Joins calls that another thread's interrupted."""
    lines, started = [], {}
    for line in text.splitlines():
        process, _, rest = line.partition(" ")
        if rest.endswith("<unfinished ...>"):
            started[process] = line.removesuffix("<unfinished ...>")
        elif resumed := re.search(r"<\.\.\. \w+ resumed>(.*)$", rest):
            lines.append(started.pop(process) + resumed[1])
        else:
            lines.append(line)
    return lines + [line + ") = ?" for line in started.values()]
