"""The files for production: what they start is a real command, and they keep to what docs/serve.md says."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from e5_onnx.cli import _parser

DEPLOY = Path(__file__).parents[1] / "deploy"
UNIT = (DEPLOY / "e5-serve.service").read_text("utf-8")
DOCKERFILE = (DEPLOY / "Dockerfile").read_text("utf-8")


def last(instruction: str) -> list[str]:
    found: list[str] = json.loads(re.findall(rf"^{instruction} (\[.*\])$", DOCKERFILE, re.MULTILINE)[-1])
    return found


def test_the_image_starts_a_real_command() -> None:
    command, *words = [*last("ENTRYPOINT"), *last("CMD")]
    parsed = _parser().parse_args(words)
    assert (command, str(parsed.model), parsed.host, parsed.port) == ("e5", "/model", "0.0.0.0", 8080)  # noqa: S104


def test_the_image_runs_without_root_and_is_looked_after() -> None:
    instructions = re.findall(r"^([A-Z]+) ", DOCKERFILE, re.MULTILINE)
    assert instructions.index("USER") < instructions.index("ENTRYPOINT")
    assert re.search(r"^USER [1-9]\d+$", DOCKERFILE, re.MULTILINE)
    assert "/ready" in DOCKERFILE[DOCKERFILE.index("HEALTHCHECK") :]
    assert "EXPOSE 8080" in DOCKERFILE


def test_the_unit_starts_a_real_command() -> None:
    command = re.search(r"^ExecStart=(.*)$", UNIT, re.MULTILINE)
    assert command is not None
    path, *words = shlex.split(command[1])
    parsed = _parser().parse_args(words)
    assert Path(path).name == "e5"
    assert parsed.key_file is not None
    assert parsed.max_memory_mb < 2000


def test_the_image_is_built_from_what_was_locked() -> None:
    bases = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    assert len(bases) == 2
    assert len(set(bases)) == 1
    assert re.fullmatch(r"python:3\.\d+-slim@sha256:[0-9a-f]{64}", bases[0])
    installing = re.findall(r"pip (?:install|wheel) .*", DOCKERFILE)
    assert len(installing) == 4
    assert all("--require-hashes" in command or "--no-deps" in command for command in installing)
    assert all((DEPLOY.parent / lock).is_file() for lock in re.findall(r"-r (\S+)", DOCKERFILE))


@pytest.mark.parametrize("text", [DOCKERFILE, UNIT], ids=["image", "unit"])
def test_onnxruntime_is_silent_from_the_start(text: str) -> None:
    assert re.search(r"^(ENV|Environment=).*\bORT_DISABLE_TELEMETRY=1$", text, re.MULTILINE)


HADOLINT = Path(sys.executable).with_name("hadolint")


@pytest.mark.skipif(not HADOLINT.is_file(), reason="hadolint is not installed")
def test_a_linter_finds_nothing_in_the_dockerfile(tmp_path: Path) -> None:
    def lint(file: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run([HADOLINT, file], capture_output=True, text=True, check=False)

    done = lint(DEPLOY / "Dockerfile")
    assert (done.returncode, done.stdout) == (0, "")
    spoilt = tmp_path / "Dockerfile"
    spoilt.write_text(re.sub(r"FROM python\S+\n", "FROM python\n", DOCKERFILE), "utf-8")
    assert "DL3006" in lint(spoilt).stdout


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    # The program need not be installed where the tests run.
    program = tmp_path / "e5"
    program.write_text("#!/bin/sh\n", "utf-8")
    program.chmod(0o755)
    unit = tmp_path / "e5-serve.service"
    unit.write_text(UNIT.replace("/opt/e5/bin/e5", str(program)), "utf-8")
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
    complaints = [line for line in done.stderr.splitlines() if "e5-serve" in line]
    assert complaints == []
