"""Nothing leaves the machine and nothing is left on it, seen from outside: each program runs under strace."""

from __future__ import annotations

import json
import sys
import urllib.request
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path

import pytest
from small_data import write_data
from tiny_models import XLM_ROBERTA, tiny_weights, write_checkpoint
from tiny_tokenizers import write_tiny_tokenizer
from traced import Traced, TracedProcess, trace
from waiting import PATIENCE_S

pytestmark = [pytest.mark.security]

TEXTS = "the sea\nthe moon\ntea and bread\n"
# Where e5-perf says that it keeps data and vectors, unless it is told another place.
PERF_CACHE = "home/.cache/e5-onnx/perf"
EMBED = "import sys; from e5_onnx import Embedder; Embedder(sys.argv[1]).embed_documents('hello')"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint that takes the 128 tokens of a workload."""
    root = tmp_path_factory.mktemp("checkpoint")
    shape = replace(XLM_ROBERTA, hidden=32, intermediate=64, positions=130)
    return write_checkpoint(root, shape, tiny_weights(shape), write_tiny_tokenizer(root / "made.json"))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Test sets for `e5-perf accuracy`."""
    folder = tmp_path_factory.mktemp("data")
    write_data(folder)
    return folder


Run = Callable[..., Traced]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs a program and asserts that it spoke to nobody and left nothing but its outputs."""
    (tmp_path / "texts.txt").write_text(TEXTS, "utf-8")

    def attempt(*command: object, outputs: Collection[str] = ()) -> Traced:
        done = trace(tmp_path, *command)
        assert done.code == 0, done.output
        assert done.sockets == []
        assert left_beside([tmp_path / name for name in outputs], done, tmp_path) == set()
        assert all((tmp_path / name).exists() for name in outputs)
        return done

    return attempt


def left_beside(outputs: Collection[Path], done: Traced, folder: Path) -> set[Path]:
    """What a program wrote outside of its folder, and what is still there that is no output."""
    found = {path for path in done.written if path.exists() or not path.is_relative_to(folder)}
    return {path for path in found if not any(near(path, output) for output in outputs)}


def near(path: Path, output: Path) -> bool:
    """Whether a path is an output, in it, or a folder on the way to it."""
    return path.is_relative_to(output) or output.is_relative_to(path)


def test_what_a_program_leaves_would_be_seen(tmp_path: Path, tiny_folder: Path) -> None:
    done = trace(tmp_path, "env", "ORT_DISABLE_TELEMETRY=0", sys.executable, "-c", EMBED, tiny_folder)
    assert done.code == 0, done.output
    assert any("/home/.cache/Microsoft/" in str(path) for path in left_beside([], done, tmp_path))


def test_whom_a_program_speaks_to_would_be_seen(tmp_path: Path) -> None:
    program = "import socket; socket.create_connection(('127.0.0.1', 9), timeout=1)"
    assert any(call.startswith("connect") for call in trace(tmp_path, "python", "-c", program).sockets)


def test_opening_and_embedding(run: Run, tiny_folder: Path) -> None:
    run("python", "-c", EMBED, tiny_folder)


@pytest.mark.parametrize("command", ["info", "verify"])
def test_looking_at_a_folder(command: str, run: Run, tiny_folder: Path) -> None:
    run("e5", command, tiny_folder)


@pytest.mark.parametrize("action", ["list", "verify", "clear"])
def test_looking_at_the_cache(action: str, run: Run) -> None:
    run("e5", "cache", action, "--cache-dir", "cache", outputs=["cache"])


def test_search(run: Run, tiny_folder: Path) -> None:
    run("e5", "search", tiny_folder, "texts.txt", "hello")


def test_embedding_a_file(run: Run, tiny_folder: Path) -> None:
    run("e5", "embed", tiny_folder, "texts.txt", "--role", "document", "--output", "x.npy", outputs=["x.npy"])


def test_embedding_in_bulk(run: Run, tiny_folder: Path) -> None:
    pytest.importorskip("pyarrow", reason="needs the [bulk] extra")
    run("e5", "bulk", tiny_folder, "texts.txt", "--role", "document", "--output", "out/", outputs=["out"])


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_export(precision: str, run: Run, checkpoint: Path) -> None:
    options = ["--recipe", "e5-prefix", "--reference", "numpy", "--precision", precision]
    floor = [] if precision == "fp32" else ["--min-cosine", "0"]
    run("e5-export", checkpoint, "out", *options, *floor, outputs=["out"])


def test_perf_accuracy(run: Run, tiny_folder: Path, data: Path) -> None:
    options = ["--data", data, "--languages", "de,en,deu,swh", "--tasks", "sts,bitext", "--resamples", "100"]
    words = [tiny_folder, tiny_folder, "--out", "out", *options]
    run("e5-perf", "accuracy", *words, outputs=["out", PERF_CACHE])


def test_perf_speed(run: Run, tiny_folder: Path) -> None:
    options = ["--quick", "--rounds", "1", "--workloads", "query"]
    run("e5-perf", "speed", tiny_folder, "--out", "out", *options, outputs=["out", PERF_CACHE])


@pytest.mark.parametrize("workers", [1, 2])
def test_the_server_speaks_to_its_clients_only(workers: int, tmp_path: Path, tiny_folder: Path) -> None:
    pytest.importorskip("starlette", reason="needs the [serve] extra")
    words = ["serve", tiny_folder, "--port", "0", "--default-role", "query", "--workers", workers]
    with TracedProcess(tmp_path, [Path(sys.executable).with_name("e5"), *words]) as server:
        records = map(json.loads, server.output)
        port = next(record["port"] for record in records if record["message"] == "serving")
        body = json.dumps({"inputs": ["hello"]}).encode()
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/embed", body, timeout=PATIENCE_S) as answer:
            assert len(json.load(answer)) == 1
        server.terminate()
        done = server.end()
    assert done.code == 0, done.output
    assert left_beside([], done, tmp_path) == set()
    calls = [call.partition("(")[0] for call in done.sockets]
    assert set(calls) <= {"socket", "bind", "accept4", "getsockname", "getpeername"}
    assert (calls.count("socket"), calls.count("bind"), calls.count("accept4")) == (1, 1, 1)
    assert all("127.0.0.1" in call for call in done.sockets if not call.startswith("socket("))
