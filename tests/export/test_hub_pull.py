"""`e5-export pull` from a real HTTP server: whole folders, kills, broken connections, other files."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hub_server import COMMIT, Hub, serve
from runtime_folders import edit
from waiting import PATIENCE_S, until

from e5_onnx import Embedder, verify_folder
from e5_onnx.model_folder.folder import open_folder

REPOSITORY = "some-org/tiny-int8"
WEIGHTS = "model.onnx.data"
BLOCK = 4096

# Small blocks, so that a tiny file is written in parts; BEFORE runs first.
PULL = """
import sys
from huggingface_hub import constants, file_download
constants.DOWNLOAD_CHUNK_SIZE = 4096
file_download.time.sleep = lambda seconds: None
BEFORE
from e5_onnx_export.cli import main
sys.exit(main(["pull", *sys.argv[1:]]))
"""
WAIT_BEFORE_CHECK = """
from e5_onnx.model_folder.folder import ModelFolder
ModelFolder.check_everything = lambda self: sys.stdin.read()
"""
Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def repository(tiny_folder: Path, tmp_path: Path) -> Path:
    folder = Path(shutil.copytree(tiny_folder, tmp_path / "repository"))
    (folder / "README.md").write_text("# A card\n", "utf-8")
    (folder / ".gitattributes").write_text("*.data filter=lfs\n", "utf-8")
    return folder


@pytest.fixture
def hub(repository: Path) -> Iterator[Hub]:
    with serve(REPOSITORY, repository) as served:
        yield served


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "place").mkdir()
    return tmp_path / "place" / "out"


@pytest.fixture
def start(hub: Hub, out: Path, tmp_path: Path) -> Start:
    def begin(*words: str, before: str = "", **settings: str) -> subprocess.Popen[str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
        environment = clean | {
            "HF_ENDPOINT": hub.endpoint,
            "HF_HOME": str(tmp_path / "hf"),
            "HF_HUB_DOWNLOAD_TIMEOUT": str(PATIENCE_S),
            "HF_HUB_ETAG_TIMEOUT": str(PATIENCE_S),
            "NO_PROXY": "127.0.0.1",
            "PYTHONPATH": os.pathsep.join(sys.path),
            **settings,
        }
        return subprocess.Popen(
            [sys.executable, "-c", PULL.replace("BEFORE", before), REPOSITORY, str(out), *words],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return begin


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    output, errors = process.communicate()
    return process.returncode, output, errors


def is_the_folder(out: Path, tiny_folder: Path) -> None:
    """Whole, the same, and nothing beside it."""
    assert [path.name for path in out.parent.iterdir()] == ["out"]
    names = {file.name for file in tiny_folder.iterdir()} | {"README.md"}
    assert {file.name for file in out.iterdir()} == names
    verify_folder(out, threads=1)
    with Embedder(out, threads=1) as pulled, Embedder(tiny_folder, threads=1) as original:
        np.testing.assert_array_equal(pulled.embed_documents("moon"), original.embed_documents("moon"))


def test_a_folder_arrives_whole(start: Start, out: Path, tiny_folder: Path) -> None:
    code, output, errors = ended(start())
    assert code == 0, errors
    assert output.startswith(f"{out}: 0 MB, commit {COMMIT}, fingerprint ")
    assert f"Embedder({str(out)!r})" in output
    is_the_folder(out, tiny_folder)
    assert (out / "README.md").read_text("utf-8") == "# A card\n"


def test_a_program_gets_the_commit_and_the_fingerprint(start: Start, hub: Hub, out: Path) -> None:
    code, output, _ = ended(start("--json", "--revision", COMMIT))
    report: dict[str, Any] = json.loads(output)
    opened = open_folder(out)
    assert code == 0
    assert report == {
        "folder": str(out),
        "repository": REPOSITORY,
        "revision": COMMIT,
        "fingerprint": opened.manifest.fingerprint,
        "bytes": opened.size_bytes,
    }
    assert not any(path.endswith("/main") for _, path, _ in hub.requests)


def test_what_a_killed_download_has_is_not_sent_again(
    start: Start, hub: Hub, out: Path, tiny_folder: Path
) -> None:
    hub.stall[WEIGHTS] = 10 * BLOCK + 100
    process = start()
    until(lambda: arrived(out) == 10 * BLOCK or process.poll() is not None)
    process.kill()
    ended(process)
    assert not out.exists()
    hub.stall.clear()
    hub.released.set()
    assert ended(start())[0] == 0
    assert hub.downloads(WEIGHTS) == [None, f"bytes={10 * BLOCK}-"]
    is_the_folder(out, tiny_folder)


def arrived(out: Path) -> int:
    return max((file.stat().st_size for file in out.parent.glob(".out.pull/*.incomplete")), default=0)


@pytest.mark.parametrize("kill", [signal.SIGTERM, signal.SIGKILL])
def test_killed_just_before_it_appears(
    kill: signal.Signals, start: Start, hub: Hub, out: Path, tiny_folder: Path
) -> None:
    process = start(before=WAIT_BEFORE_CHECK)
    until(lambda: any(out.parent.glob(".out.partial-*/e5.json")) or process.poll() is not None)
    process.send_signal(kill)
    ended(process)
    assert not out.exists()
    hub.requests.clear()
    assert ended(start())[0] == 0
    assert hub.fetched() == {"e5.json", "README.md"}
    is_the_folder(out, tiny_folder)


def test_broken_connections_are_continued(start: Start, hub: Hub, out: Path, tiny_folder: Path) -> None:
    hub.cuts[WEIGHTS] = [3 * BLOCK, 0, 5 * BLOCK + 7]
    codes = [ended(start())[0] for _ in range(4) if not out.exists()]
    assert codes[-1] == 0
    assert None not in hub.downloads(WEIGHTS)[1:]
    is_the_folder(out, tiny_folder)


def test_a_server_that_hangs_up_for_good(start: Start, hub: Hub, out: Path, tiny_folder: Path) -> None:
    hub.cuts[WEIGHTS] = [BLOCK, *[0] * 50]
    code, _, errors = ended(start())
    assert code == 1
    assert f"{REPOSITORY} cannot be downloaded: " in errors
    assert "what has arrived is kept, so the same command goes on" in errors
    assert not out.exists()
    hub.cuts.clear()
    assert ended(start())[0] == 0
    assert hub.downloads(WEIGHTS)[-1] == f"bytes={BLOCK}-"
    is_the_folder(out, tiny_folder)


def changed(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


@pytest.mark.parametrize(
    ("name", "send", "message"),
    [
        (WEIGHTS, changed, "arrived damaged and was removed"),
        ("golden.npz", changed, "arrived damaged and was removed"),
        (WEIGHTS, lambda data: data + b"more", "cannot be downloaded"),
    ],
    ids=["weights", "golden", "longer"],
)
def test_another_file_than_the_manifest_names(
    name: str,
    send: Callable[[bytes], bytes],
    message: str,
    start: Start,
    hub: Hub,
    out: Path,
    tiny_folder: Path,
) -> None:
    hub.send_instead[name] = send(hub.files[name])
    code, _, errors = ended(start())
    assert code == 1
    assert message in errors
    assert not out.exists()
    hub.send_instead.clear()
    assert ended(start())[0] == 0
    is_the_folder(out, tiny_folder)


@pytest.mark.security
def test_a_pinned_fingerprint_is_asked_for_before_anything_large(
    start: Start, hub: Hub, out: Path, tiny_folder: Path
) -> None:
    code, _, errors = ended(start("--fingerprint", "f" * 64))
    assert code == 1
    assert f"but {'f' * 64} was asked for" in errors
    assert hub.fetched() == {"e5.json", "README.md"}
    assert list(out.parent.iterdir()) == []
    right = open_folder(tiny_folder).manifest.fingerprint
    assert ended(start("--fingerprint", right))[0] == 0


@pytest.mark.security
def test_a_repository_cannot_name_files_elsewhere(
    start: Start, hub: Hub, out: Path, repository: Path
) -> None:
    def outside(manifest: dict[str, Any]) -> None:
        manifest["files"]["../outside"] = manifest["files"]["golden.npz"]

    edit(repository, outside)
    hub.files["e5.json"] = (repository / "e5.json").read_bytes()
    code, _, errors = ended(start())
    assert code == 1
    assert "outside" in errors
    assert list(out.parent.iterdir()) == []


def test_a_manifest_without_end_is_cut(start: Start, hub: Hub, out: Path) -> None:
    hub.files["e5.json"] = b" " * 5_000_000
    code, _, errors = ended(start())
    assert code == 1
    assert "a file is larger than its 4000000 bytes" in errors
    hub.files["e5.json"] = b"\xff"
    assert "is not UTF-8" in ended(start())[2]
    assert list(out.parent.iterdir()) == []


def test_a_checkpoint_is_no_model_folder(start: Start, hub: Hub) -> None:
    del hub.files["e5.json"]
    code, _, errors = ended(start())
    assert code == 1
    assert f"export it with `e5-export {REPOSITORY}`" in errors


def test_half_an_upload_is_said(start: Start, hub: Hub) -> None:
    del hub.files[WEIGHTS]
    assert f"it has no {WEIGHTS}: its upload was incomplete" in ended(start())[2]


def test_a_revision_that_is_not_there(start: Start) -> None:
    assert "no revision 'v9'" in ended(start("--revision", "v9"))[2]


def test_a_folder_is_replaced_only_if_asked(start: Start, hub: Hub, out: Path, tiny_folder: Path) -> None:
    shutil.copytree(tiny_folder, out)
    code, _, errors = ended(start())
    assert code == 1
    assert "exists: replace it with --force" in errors
    assert hub.requests == []
    assert ended(start("--force"))[0] == 0
    is_the_folder(out, tiny_folder)


def test_two_downloads_to_one_folder(start: Start, hub: Hub, out: Path, tiny_folder: Path) -> None:
    hub.stall[WEIGHTS] = 2 * BLOCK
    first = start()
    until(lambda: arrived(out) > 0 or first.poll() is not None)
    code, _, errors = ended(start())
    assert code == 1
    assert "another download of this folder runs" in errors
    hub.stall.clear()
    first.kill()
    ended(first)
    hub.released.set()
    assert ended(start())[0] == 0
    is_the_folder(out, tiny_folder)


def test_a_file_system_without_hard_links(start: Start, out: Path, tiny_folder: Path) -> None:
    before = "import os\ndef refuse(*_): raise PermissionError(1, 'no links here')\nos.link = refuse"
    assert ended(start(before=before))[0] == 0
    is_the_folder(out, tiny_folder)
