"""`e5-export push` to a real HTTP server that the hub's own client speaks to: kills, refusals, and back."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

import pytest
from hub_server import COMMIT, Hub, serve
from huggingface_hub import ModelCard
from runtime_folders import flip
from waiting import PATIENCE_S, until

from e5_onnx import verify_folder
from e5_onnx.model_folder.folder import open_folder

REPOSITORY = "some-org/tiny"
LARGE = ("model.onnx", "model.onnx.data", "golden.npz")
RUN = """
import sys
from e5_onnx_export.cli import main
import time
time.sleep = lambda seconds: None
sys.exit(main(sys.argv[1:]))
"""
Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    (tmp_path / "empty").mkdir()
    with serve(REPOSITORY, tmp_path / "empty") as served:
        yield served


@pytest.fixture
def start(hub: Hub, tmp_path: Path) -> Start:
    def begin(*words: object) -> subprocess.Popen[str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
        environment = clean | {
            "HF_ENDPOINT": hub.endpoint,
            "HF_HOME": str(tmp_path / "hf"),
            "HF_TOKEN": "hf_a",
            "HF_HUB_ETAG_TIMEOUT": str(PATIENCE_S),
            "NO_PROXY": "127.0.0.1",
            "PYTHONPATH": os.pathsep.join(sys.path),
        }
        return subprocess.Popen(
            [sys.executable, "-c", RUN, *map(str, words)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return begin


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    output, errors = process.communicate()
    return process.returncode, output, errors


def digest(file: Path) -> str:
    return sha256(file.read_bytes()).hexdigest()


@pytest.mark.security
def test_a_folder_goes_there_in_one_commit_and_comes_back(
    start: Start, hub: Hub, tiny_folder_copy: Path, tmp_path: Path
) -> None:
    (tiny_folder_copy / "own notes.txt").write_text("private", "utf-8")
    code, output, errors = ended(start("push", tiny_folder_copy, REPOSITORY))
    assert code == 0, errors
    manifest = open_folder(tiny_folder_copy).manifest
    assert hub.files.keys() == {*manifest.files, "e5.json", "README.md"}
    (header,) = hub.commits
    assert header["description"] == f"fingerprint {manifest.fingerprint}"
    summary, command = output.split("\n\n")
    assert summary == f"{REPOSITORY}: 0 MB, commit {COMMIT}"
    _, *words = command.split()
    words[2] = str(tmp_path / "back")
    assert ended(start(*words))[0] == 0
    for name in manifest.files:
        assert (tmp_path / "back" / name).read_bytes() == (tiny_folder_copy / name).read_bytes()
    verify_folder(tmp_path / "back", threads=1)


def test_the_card_has_what_the_hub_wants(start: Start, hub: Hub, tiny_folder_copy: Path) -> None:
    (tiny_folder_copy / "README.md").write_text("---\nlicense: mit\n---\n# Of an older version\n", "utf-8")
    code, output, errors = ended(start("push", tiny_folder_copy, REPOSITORY, "--private", "--json"))
    assert code == 0, errors
    assert json.loads(output)["revision"] == COMMIT
    data = ModelCard(hub.files["README.md"].decode()).data.to_dict()
    assert (data["library_name"], data["license"]) == ("onnx", "mit")


def test_a_killed_upload_shows_nothing_and_goes_on(start: Start, hub: Hub, tiny_folder: Path) -> None:
    hub.stall_uploads = True
    process = start("push", tiny_folder, REPOSITORY)
    until(lambda: bool(hub.uploads) or process.poll() is not None)
    process.kill()
    ended(process)
    assert hub.files == {}
    hub.stall_uploads = False
    hub.released.set()
    arrived = digest(tiny_folder / "model.onnx")
    hub.blobs = {arrived: (tiny_folder / "model.onnx").read_bytes()}
    hub.uploads.clear()
    code, _, errors = ended(start("push", tiny_folder, REPOSITORY))
    assert code == 0, errors
    assert arrived not in hub.uploads
    assert len(hub.commits) == 1
    assert "e5.json" in hub.files


def test_a_connection_that_breaks(start: Start, hub: Hub, tiny_folder: Path) -> None:
    hub.upload_cuts = [1000]
    codes = [ended(start("push", tiny_folder, REPOSITORY))[0] for _ in range(2) if not hub.commits]
    assert codes[-1] == 0
    assert hub.blobs.keys() >= {digest(tiny_folder / name) for name in LARGE}


def test_a_hub_that_hangs_up_for_good(start: Start, hub: Hub, tiny_folder: Path) -> None:
    hub.upload_cuts = [1] * 100
    code, _, errors = ended(start("push", tiny_folder, REPOSITORY))
    assert code == 1
    assert f"{REPOSITORY} cannot be uploaded: " in errors
    assert "the repository shows nothing of it" in errors
    assert hub.files == {}


def test_without_a_token_that_may_write(start: Start, hub: Hub, tiny_folder: Path) -> None:
    hub.uploads_refused = 401
    code, _, errors = ended(start("push", tiny_folder, REPOSITORY))
    assert code == 1
    assert "log in with `hf auth login` or set HF_TOKEN" in errors


def test_a_damaged_folder_is_not_sent(start: Start, hub: Hub, tiny_folder_copy: Path) -> None:
    flip(tiny_folder_copy / "model.onnx.data", 20_000)
    code, _, errors = ended(start("push", tiny_folder_copy, REPOSITORY))
    assert code == 1
    assert "model.onnx.data: the sha256 is" in errors
    assert hub.requests == []


def test_a_folder_of_something_else_is_not_sent(start: Start, hub: Hub, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "empty")
    assert ended(start("push", tmp_path, REPOSITORY))[0] == 1
    assert hub.requests == []
