"""`e5 bulk`, the command."""

from __future__ import annotations

import pickle
import re
import shutil
import subprocess
import sys
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from threading import Event
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from bulk_inputs import read_columns, read_rejects, read_vectors, rows, write

from e5_onnx import Embedder
from e5_onnx.bulk import errors
from e5_onnx.cli import main
from e5_onnx.cli.bulk import engine_of

TEXTS = [row["text"] for row in rows(30)]


@pytest.fixture
def inputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder with inputs of all kinds."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    write("parquet", tmp_path / "data", rows(20), name="a")
    write("csv.zst", tmp_path / "data", rows(30)[20:], name="b")
    write("jsonl", tmp_path, [{"body": text} for text in TEXTS], name="bodies")
    write("txt", tmp_path, rows(30), name="lines")
    return tmp_path


COMMANDS = {
    "a folder": "data --role document --output out",
    "a pattern": "data/*.* --role document --output out",
    "names": "data/a.parquet data/b.csv.zst --role document --output out.npy",
    "another column": "bodies.jsonl --text-column body --role document --output out",
    "another field": "bodies.jsonl --field body --role document --output out/",
    "lines": "lines.txt --role document --vectors float16 --output out.parquet",
    "one file": "lines.txt --role document --output out.npy",
    "small shards": "lines.txt --role document --shard-rows 7 --output out.npy",
}


@pytest.mark.parametrize("name", COMMANDS)
def test_bulk_runs(
    name: str, inputs: Path, tiny_folder: Path, tiny_model: Embedder, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["bulk", str(tiny_folder), *COMMANDS[name].split()]
    assert main(command) == 0
    first, last = capsys.readouterr().err.splitlines()
    assert re.fullmatch(r"e5: looking through \d files?, \d\.\d MB", first)
    assert last.startswith("e5: 30 rows, 30 vectors; 30 texts, ")
    output = inputs / command[-1]
    expected = tiny_model.embed_documents(TEXTS)
    np.testing.assert_allclose(read_vectors(output), expected, atol=5e-4 if "float16" in command else 1e-6)
    assert main([*command, "--no-progress"]) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line == "e5: 30 rows (30 done before), 30 vectors; 0 texts, 0.0 texts/s, 0 tokens/s"


def test_columns_bad_rows_and_cut_texts_are_told(
    inputs: Path, tiny_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    records: list[dict[str, Any]] = [
        {"key": 1, "text": "moon", "n": 1.5},
        {"key": 2, "text": None},
        {"key": 3, "text": "moon " * 400},
    ]
    write("jsonl", inputs, records)
    options = ["--id-column", "key", "--keep", "n,text", "--role", "document", "--output", "out"]
    assert main(["bulk", str(tiny_folder), "in.jsonl", *options]) == 0
    err = capsys.readouterr().err
    assert f"e5: 3 rows, 2 vectors, 1 rejected, see {Path('out/_e5/rejects.jsonl')}, 1 cut; " in err
    kept = {"id": [1, 3], "n": [1.5, None], "text": ["moon", "moon " * 400]}
    assert read_columns(inputs / "out") == kept
    assert [row["id"] for row in read_rejects(inputs / "out")] == [2]


@pytest.mark.parametrize(
    ("option", "code", "message"),
    [
        ("reject", 0, "2 rejected"),
        (
            "stop",
            1,
            "in.jsonl, line 2: field 'text' is NoneType, not a string; repair it and start again, or choose "
            "--on-bad-row reject",
        ),
    ],
)
def test_bad_rows(
    option: str,
    code: int,
    message: str,
    *,
    inputs: Path,
    tiny_folder: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write("jsonl", inputs, [{"text": "moon"}, {"text": None}, {"text": "sea"}, {"text": 5}])
    command = ["bulk", str(tiny_folder), "in.jsonl", "--role", "raw", "--output", "out"]
    assert main([*command, "--on-bad-row", option]) == code
    assert message in capsys.readouterr().err
    assert main([*command, "--on-bad-row", "reject"]) == 0


USAGE = {
    "- --role raw --output out": "INPUT is '-'; it must be files, which a resumed run reads again;",
    "lines.txt - --role raw --output out": "INPUT is '-'",
    "data --role raw --output -": "--output is '-'; it must be a folder or a .npy file; `e5 embed` writes",
    "data --role raw --output out.jsonl": "--output is 'out.jsonl'; it must be a folder or a .npy file; `e5",
    "data --role raw --output out.csv": "--output is 'out.csv'; it must be a folder or a .npy file; for",
    "data --output out": "--role is missing; it must be one of query, document, raw for recipe 'e5-instruct'",
    "data --role document --task find --output out": "recipe 'e5-instruct' takes no task for role 'document'",
    "data --role query --overflow window --output out": "--overflow is 'window'; it must be warn, error or",
    "data --role raw --output out --threads 0": "--threads is 0",
    "data --role raw --output out --shard-rows 0": "--shard-rows is 0; it must be at least 1",
    "data --role raw --output out --shard-seconds 0": "--shard-seconds is 0.0; it must be more than 0",
    "data --role raw --output out --shard-seconds nan": "--shard-seconds is nan; it must be more than 0",
    "data --role raw --output out --delimiter ab": "--delimiter is 'ab'; it must be one character, and no",
    "data --role raw --output out --keep id": "--keep is 'id'; it must be none of the output's own",
    "data --role raw --output out --keep year,year": "--keep is 'year,year'; it must be names of columns",
    "data --role raw --output out --keep year,": "--keep is 'year,'; it must be names of columns, each once",
    "nothing/*.csv --role raw --output out": "INPUT is 'nothing/*.csv'; it must be a file, or what names",
    "data --role raw --output data/out": "--output is 'data/out'; it must be outside of the input data",
}


@pytest.mark.parametrize("line", USAGE)
def test_usage(line: str, inputs: Path, tiny_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bulk", str(tiny_folder), *line.split()]) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith(f"e5: error: {USAGE[line]}")
    assert not list((inputs / "out").glob("*.parquet"))


FAILURES = {
    "absent.parquet --role raw --output out": "[Errno 2] No such file or directory: 'absent.parquet'",
    "data --role raw --output out --id-column n": "data/a.parquet: it has no column 'n' (`--id-column`); it",
    "lines.txt --role raw --output taken": "taken exists, and it was not made by a bulk run: name another",
}


@pytest.mark.parametrize("line", FAILURES)
def test_failures(line: str, inputs: Path, tiny_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (inputs / "taken").mkdir()
    (inputs / "taken" / "mine").touch()
    assert main(["bulk", str(tiny_folder), *line.split()]) == 1
    assert capsys.readouterr().err.splitlines()[-1].startswith(f"e5: error: {FAILURES[line]}")


def test_a_spoilt_model_is_found_before_the_input_is_read(
    inputs: Path, tiny_folder_copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = tiny_folder_copy / "model.onnx.data"
    weights.write_bytes(bytes(weights.stat().st_size))
    assert main(["bulk", str(tiny_folder_copy), "data", "--role", "raw", "--output", "out"]) == 1
    assert "the sampled sha256" in capsys.readouterr().err
    assert not (inputs / "out").exists()


def test_an_interrupted_run_says_how_to_go_on(
    inputs: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_arguments: object, **_options: object) -> None:
        raise KeyboardInterrupt

    command = ["bulk", str(tiny_folder), "data", "--role", "raw", "--output", "out"]
    with monkeypatch.context() as patched:
        patched.setattr(Embedder, "encode", interrupted)
        assert main(command) == 130
    assert capsys.readouterr().err.splitlines()[-2:] == [
        "e5: stopped: 0 of 30 rows are kept in out: the same command continues from there",
        "e5: error: interrupted",
    ]
    assert main(command) == 0
    assert pq.read_table(inputs / "out").num_rows == 30


@pytest.mark.parametrize("module", ["pyarrow", "filelock"])
def test_the_extra_is_asked_for(module: str, inputs: Path, tiny_folder: Path) -> None:
    code = (
        f"import sys; sys.modules[{module!r}] = None; "
        "from e5_onnx.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    command = [
        sys.executable,
        "-c",
        code,
        "bulk",
        str(tiny_folder),
        "data",
        "--role",
        "raw",
        "--output",
        "out",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (
        1,
        f"e5: error: {module} is not installed: `pip install 'e5-onnx[bulk]'`\n",
    )


def test_parts_are_a_data_set_of_their_own(inputs: Path, tiny_folder: Path) -> None:
    assert (
        main(["bulk", str(tiny_folder), "data", "--role", "raw", "--shard-rows", "8", "--output", "out"]) == 0
    )
    assert pq.read_table("out").num_rows == 30
    shutil.rmtree(inputs / "out" / "_e5")
    assert pq.read_table("out").column("id").to_pylist() == list(range(30))


ERRORS: dict[str, Callable[[], errors.BulkError]] = {
    "in.csv, row 4 (counted from 0): its id is null; repair it and start again, or choose "
    "on_bad_row='reject'": (lambda: errors.RowError("in.csv", 4, "its id is null")),
    "in.csv: it is damaged": lambda: errors.InputFileError("in.csv", "it is damaged"),
    "out was started with role query, and now it is raw: resume it with what it was started with, or name "
    "another `output`": lambda: errors.ResumeError(Path("out"), "role", begun="query", now="raw"),
    "out exists, and it was not made by a bulk run: name another `output`, or remove it": (
        lambda: errors.OutputExistsError(Path("out"))
    ),
    "another process is writing out: wait for it, or name another `output`": (
        lambda: errors.OutputBusyError(Path("out"))
    ),
    "out/a was written by another process and cannot be seen here: `output` must lie on storage that all "
    "nodes share": (lambda: errors.ShardLostError(Path("out/a"))),
    "no model folder can be fetched from gopher://a/b: it is no place; give a path that every node sees, or "
    "a URI that pyarrow opens, like s3://bucket/my-e5": (
        lambda: errors.ModelPlaceError("gopher://a/b", "it is no place")
    ),
    "no node of the cluster has 3 CPUs, the largest has 1: ask for fewer `threads`": (
        lambda: errors.NoNodeError(3, 1)
    ),
    "node n does not see /data: input and output must lie on storage that all nodes mount under the same "
    "path": (lambda: errors.NotSharedError(Path("/data"), "n")),
}


@pytest.mark.parametrize("message", ERRORS)
def test_errors_say_what_and_what_to_do_and_pickle(message: str) -> None:
    error = ERRORS[message]()
    assert str(error) == message
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
    assert (str(again), vars(again)) == (message, vars(error))


@pytest.mark.parametrize("option", ["--address", "--node-model"])
def test_an_option_of_a_cluster_needs_one(
    option: str, tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write("parquet", tmp_path, rows(3))
    words = ["bulk", str(tiny_folder), str(file), "--role", "document", "--output", str(tmp_path / "out")]
    assert main([*words, option, "x"]) == 2
    assert f"{option} is 'x'; it must be given together with --engine ray" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_cluster_needs_its_extra(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [name for name in sys.modules if name.startswith("e5_onnx.ray")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.setitem(sys.modules, "ray.data", None)
    file = write("parquet", tmp_path, rows(3))
    words = ["bulk", str(tiny_folder), str(file), "--role", "document", "--output", str(tmp_path / "out")]
    assert main([*words, "--engine", "ray"]) == 1
    assert "is not installed: `pip install 'e5-onnx[ray]'`" in capsys.readouterr().err


def test_the_cluster_that_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    package, engine = ModuleType("e5_onnx.ray"), ModuleType("e5_onnx.ray.engine")
    engine.RayEngine = lambda *asked: asked  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "e5_onnx.ray", package)
    monkeypatch.setitem(sys.modules, "e5_onnx.ray.engine", engine)
    asked = Namespace(engine="ray", address="auto", node_model="s3://bucket/my-e5")
    stop = Event()
    assert engine_of(asked, stop) == ("auto", "s3://bucket/my-e5", stop)
