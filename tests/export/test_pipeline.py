from __future__ import annotations

import json
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny_models import XLM_ROBERTA, tiny_weights, write_checkpoint
from tiny_tokenizers import write_tiny_tokenizer
from waiting import until

from e5_onnx import Embedder, verify_folder
from e5_onnx.model_folder.manifest import parse_manifest
from e5_onnx_export import ExportRequest, ParityError, RecipeRequest, export, pipeline
from e5_onnx_export.cli import main
from e5_onnx_export.compare.samples import run_graph
from e5_onnx_export.errors import CalibrationError, DiskSpaceError, UnsupportedModelError
from e5_onnx_export.graph.weight_file import WeightFile
from e5_onnx_export.precision import full as full_precision
from e5_onnx_export.request import QuantizationRequest
from e5_onnx_export.texts import odd_calibration_texts

SHAPE = replace(XLM_ROBERTA, hidden=32, heads=4, intermediate=64, positions=130)
RECIPE = RecipeRequest("e5-instruct")
REPORT = {"folder", "precision", "bytes", "seconds", "peak_rss_mb", "parity"}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoints")
    tokenizer = write_tiny_tokenizer(folder / "tokenizer.json")
    return write_checkpoint(folder / "tiny", SHAPE, tiny_weights(SHAPE), tokenizer)


def run(checkpoint: Path, out: Path, **options) -> dict:
    quantization = QuantizationRequest(**options.pop("quantization", {}))
    request = ExportRequest(
        str(checkpoint), out, recipe=RECIPE, reference="numpy", quantization=quantization, **options
    )
    export(request)
    return json.loads((out / "e5.json").read_text("utf-8"))


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.mark.parametrize("precision", ["fp32", "int8", "int4"])
def test_a_folder_is_whole_and_the_same_every_time(precision: str, checkpoint: Path, tmp_path: Path) -> None:
    first = run(checkpoint, tmp_path / "a", precision=precision)
    run(checkpoint, tmp_path / "b", precision=precision)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert {"e5.json", "model.onnx", "model.onnx.data", "tokenizer.json", "golden.npz", "README.md"} <= set(
        contents(tmp_path / "a")
    )
    assert verify_folder(tmp_path / "a").max_abs == 0
    assert first["precision"] == precision
    assert first["source"]["name"] == "tiny"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_an_int8_folder_says_what_was_done(checkpoint: Path, tmp_path: Path) -> None:
    manifest = run(checkpoint, tmp_path / "out", precision="int8")
    assert manifest["parity"]["reference"] == "fp32"
    assert manifest["parity"]["texts"] >= 64
    assert manifest["parity"]["cosine_mean"] >= 0.999
    assert manifest["fp32_parity"]["reference"] == "numpy"
    assert manifest["weight_bits"] == 8
    assert 100 < manifest["weight_pair_sum"] <= 128
    assert [row["name"] for row in manifest["linears"][:4]] == [
        f"layer.0.{kind}" for kind in ("qkv", "attention_out", "ffn_in", "ffn_out")
    ]
    assert all(0 < row["error"] < 0.1 for row in manifest["linears"])
    # Rows of 32 random channels are too different for a static scale; real ones are not (test_real_company).
    assert {row["static_scale"] for row in manifest["linears"] if row["name"].endswith("_out")} == {None}
    assert manifest["odd_parity"]["texts"] >= 40
    assert manifest["odd_parity"]["cosine_min"] >= 0.99
    assert manifest["invariance"]["max_abs"] <= 1e-6
    assert manifest["kept_in_fp32"] == []
    assert manifest["worst_language"]["cosine_mean"] <= manifest["parity"]["cosine_mean"]
    parse_manifest((tmp_path / "out" / "e5.json").read_text("utf-8"))


def test_seven_bits(checkpoint: Path, tmp_path: Path) -> None:
    manifest = run(
        checkpoint, tmp_path / "out", precision="int8", quantization={"weight_bits": 7, "min_cosine": 0}
    )
    assert manifest["weight_bits"] == 7


def test_an_int4_folder_says_what_was_done(checkpoint: Path, tmp_path: Path) -> None:
    manifest = run(checkpoint, tmp_path / "out", precision="int4")
    assert manifest["parity"]["cosine_mean"] >= 0.95
    assert manifest["weight_bits"] == 4
    assert {row["format"] for row in manifest["linears"]} == {"int4"}
    assert all(0 < row["error"] < 0.3 for row in manifest["linears"])
    assert manifest["invariance"]["max_abs"] <= 1e-6
    wide = run(checkpoint, tmp_path / "wide", precision="int4", quantization={"table_bits": 8})
    assert wide["files"]["model.onnx.data"]["bytes"] > manifest["files"]["model.onnx.data"]["bytes"]
    assert wide["parity"]["cosine_mean"] >= 0.95


def test_int4_keeps_linears_too(checkpoint: Path, tmp_path: Path) -> None:
    plain = run(checkpoint, tmp_path / "plain", precision="int4", quantization={"table_bits": 8})
    floor = (1 + plain["parity"]["cosine_mean"]) / 2
    asked = {"min_cosine": floor, "table_bits": 8}
    manifest = run(checkpoint, tmp_path / "out", precision="int4", quantization=asked)
    assert manifest["parity"]["cosine_mean"] >= floor
    assert manifest["kept_in_fp32"]


def test_int4_needs_widths_that_fall_into_blocks(tmp_path: Path) -> None:
    shape = replace(SHAPE, intermediate=40)
    tokenizer = write_tiny_tokenizer(tmp_path / "tokenizer.json")
    narrow = write_checkpoint(tmp_path / "narrow", shape, tiny_weights(shape), tokenizer)
    with pytest.raises(UnsupportedModelError, match="its width 40 cannot be cut into blocks of 32"):
        run(narrow, tmp_path / "out", precision="int4")


def test_a_folder_without_the_lean_tokenizer(checkpoint: Path, tmp_path: Path) -> None:
    manifest = run(checkpoint, tmp_path / "out", lean=False)
    assert "lean_tokenizer" not in manifest
    assert not (tmp_path / "out" / "tokenizer.tokie").exists()


def test_sensitive_linears_are_kept_until_the_floor_is_met(checkpoint: Path, tmp_path: Path) -> None:
    plain = run(checkpoint, tmp_path / "plain", precision="int8")
    floor = (1 + plain["parity"]["cosine_mean"]) / 2
    manifest = run(checkpoint, tmp_path / "out", precision="int8", quantization={"min_cosine": floor})
    assert manifest["parity"]["cosine_mean"] >= floor
    losses = [row["loss"] for row in manifest["sensitivity"]]
    assert losses == sorted(losses, reverse=True)
    assert len(losses) == len(manifest["linears"])
    order = [row["name"] for row in manifest["sensitivity"]]
    assert 0 < len(manifest["kept_in_fp32"]) < len(order)
    assert manifest["kept_in_fp32"] == order[: len(manifest["kept_in_fp32"])]
    kept = {row["name"] for row in manifest["linears"] if row["format"] == "fp32"}
    assert kept == set(manifest["kept_in_fp32"])
    assert manifest["invariance"]["max_abs"] <= 2e-6
    with Embedder(tmp_path / "out") as model:
        alone = model.embed_documents("moon")
        together = model.embed_documents(["moon", "tea " * 30])[0]
        assert np.abs(alone - together).max() <= 2e-6


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"min_cosine": 1.1}, "even with every linear in fp32"),
        ({"min_cosine": 0.99999999, "max_size_mb": 0.01}, "`max_size_mb` is reached"),
    ],
)
def test_a_floor_that_cannot_be_met(asked: dict, message: str, checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(ParityError, match=message) as caught:
        run(checkpoint, tmp_path / "out", precision="int8", quantization=asked)
    assert "most sensitive linears" in str(caught.value)
    assert "layer." in str(caught.value)
    assert list(tmp_path.iterdir()) == []


class TestCalibration:
    def test_a_file_of_texts(self, checkpoint: Path, tmp_path: Path) -> None:
        file = tmp_path / "texts.txt"
        file.write_text("\ufeff" + "\n".join(f"the moon {number}" for number in range(20)) + "\n\n", "utf-8")
        manifest = run(
            checkpoint,
            tmp_path / "out",
            precision="int8",
            quantization={"calibration": file, "min_cosine": 0},
        )
        assert manifest["calibration_texts"] == 20
        assert manifest["odd_calibration_texts"] == len(odd_calibration_texts())

    @pytest.mark.parametrize(
        ("data", "message"),
        [
            (b"a\nb\n", "it has 2 texts, calibration needs at least 16"),
            (b"\xff\n" * 20, "invalid start byte"),
            (None, "No such"),
        ],
    )
    def test_bad_files(self, data: bytes | None, message: str, checkpoint: Path, tmp_path: Path) -> None:
        file = tmp_path / "texts.txt"
        if data is not None:
            file.write_bytes(data)
        with pytest.raises(CalibrationError, match=message):
            run(checkpoint, tmp_path / "out", precision="int8", quantization={"calibration": file})
        assert not (tmp_path / "out").exists()


def test_a_wrong_graph_is_not_put_in_place(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    true = run_graph
    monkeypatch.setattr(full_precision, "run_graph", lambda *given: true(*given) + np.float32(1e-4))
    with pytest.raises(ParityError, match="max_abs"):
        run(checkpoint, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_heads_that_onnxruntime_has_no_kernel_for(tmp_path: Path) -> None:
    tokenizer = write_tiny_tokenizer(tmp_path / "tokenizer.json")
    source = write_checkpoint(tmp_path / "tiny", XLM_ROBERTA, tiny_weights(XLM_ROBERTA), tokenizer)
    with pytest.raises(UnsupportedModelError, match="its attention heads are 4 wide, not a multiple of 8"):
        run(source, tmp_path / "out")


def test_no_reference_is_said(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [str(checkpoint), str(tmp_path / "out"), "--recipe", "e5-instruct", "--reference", "none"]
    assert main(arguments) == 0
    assert "not compared with a reference" in capsys.readouterr().out
    parity = json.loads((tmp_path / "out" / "e5.json").read_text("utf-8"))["parity"]
    assert (parity["checked"], parity["reference"]) == (False, "none")


def test_what_is_left_out_of_the_weights_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tokenizer = write_tiny_tokenizer(tmp_path / "tokenizer.json")
    weights = tiny_weights(SHAPE)
    weights.tensors["classifier.weight"] = np.zeros((2, 32), np.float32)
    source = write_checkpoint(tmp_path / "tiny", SHAPE, weights, tokenizer)
    assert main([str(source), str(tmp_path / "out"), "--recipe", "e5-instruct", "--reference", "none"]) == 0
    assert "note: model.safetensors also holds classifier, which the" in capsys.readouterr().err


class TestCommand:
    @pytest.fixture(autouse=True)
    def sigterm_restored(self):
        before = signal.getsignal(signal.SIGTERM)
        yield
        signal.signal(signal.SIGTERM, before)

    def test_json(self, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        out = str(tmp_path / "out")
        assert main([str(checkpoint), out, "--recipe", "e5-instruct", "--reference", "numpy", "--json"]) == 0
        captured = capsys.readouterr()
        report = json.loads(captured.out)
        assert set(report) == REPORT
        assert report["bytes"] == sum(file.stat().st_size for file in Path(out).iterdir())
        assert (report["precision"], report["parity"]["reference"]) == ("fp32", "numpy")
        assert "writing the fp32 graph" in captured.err

    def test_people_get_a_line(
        self, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        arguments = [
            str(checkpoint),
            str(tmp_path / "out"),
            "--recipe",
            "e5-instruct",
            "--reference",
            "numpy",
        ]
        assert main(arguments) == 0
        assert "against numpy on" in capsys.readouterr().out
        assert main(arguments) == 1
        assert "exists: replace it with --force" in capsys.readouterr().err
        assert main([*arguments, "--force"]) == 0

    @pytest.mark.parametrize(
        ("arguments", "code", "message"),
        [
            (["{checkpoint}", "{out}"], 2, "e5-instruct"),
            (["{checkpoint}", "{out}", "--recipe", "custom"], 2, "--query-template"),
            (["{checkpoint}", "{out}", "--recipe", "plain"], 2, "pool"),
            (
                ["{checkpoint}", "{out}", "--graph", "standard", "--precision", "int8"],
                2,
                "standard is fp32 only",
            ),
            (
                ["{checkpoint}", "{out}", "--min-cosine", "0.9"],
                2,
                "--min-cosine 0.9 is for --precision int8 or int4",
            ),
            (
                ["{checkpoint}", "{out}", "--precision", "int4", "--weight-bits", "7"],
                2,
                "--weight-bits 7 is for --precision int8, not int4",
            ),
            (
                ["{checkpoint}", "{out}", "--precision", "int8", "--table-bits", "8"],
                2,
                "--table-bits 8 is for --precision int4, not int8",
            ),
            (["./absent", "{out}"], 1, "there is no such folder here"),
            (["{checkpoint}", "{out}", "--recipe", "e5-instruct", "--revision", "main"], 1, "revision"),
        ],
    )
    def test_exit_codes(
        self, arguments: list[str], code: int, message: str, *, checkpoint: Path, tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:  # fmt: skip
        places = {"checkpoint": str(checkpoint), "out": str(tmp_path / "out")}
        assert main([argument.format(**places) for argument in arguments]) == code
        captured = capsys.readouterr()
        assert captured.out == ""
        assert message in captured.err
        assert not (tmp_path / "out").exists()

    def test_a_disk_that_fills_up(
        self,
        checkpoint: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        def full(_self: WeightFile, _data: bytes) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(WeightFile, "_write", full)
        assert main([str(checkpoint), str(tmp_path / "out"), "--recipe", "e5-instruct"]) == 1
        assert "No space left on device" in capsys.readouterr().err
        assert list(tmp_path.iterdir()) == []

    def test_a_disk_that_is_too_small(
        self, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(pipeline, "disk_need", lambda *_given: 10**18)
        with pytest.raises(DiskSpaceError):
            run(checkpoint, tmp_path / "out")

    def test_an_ordinary_kill(
        self,
        checkpoint: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        monkeypatch.setattr(WeightFile, "append", lambda *_given: signal.raise_signal(signal.SIGTERM))
        assert main([str(checkpoint), str(tmp_path / "out"), "--recipe", "e5-instruct"]) == 130
        assert "nothing was written" in capsys.readouterr().err
        assert list(tmp_path.iterdir()) == []


# Goes on writing for as long as its stdin is open.
WRITING_EXPORT = """
import sys
from e5_onnx_export.cli import main
from e5_onnx_export.graph.weight_file import WeightFile
append = WeightFile.append
def append_and_wait(*given):
    append(*given)
    sys.stdin.read()
WeightFile.append = append_and_wait
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize(("kill", "leftovers"), [(signal.SIGTERM, 0), (signal.SIGKILL, 1)])
def test_a_killed_process(kill: signal.Signals, leftovers: int, checkpoint: Path, tmp_path: Path) -> None:
    """Killed while it writes: no OUT; after SIGKILL a hidden folder that the next export removes."""
    out = tmp_path / "out"
    command = [sys.executable, "-c", WRITING_EXPORT, str(checkpoint), str(out), "--recipe", "e5-instruct"]
    command += ["--reference", "numpy", "--precision", "int8"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        until(lambda: any(tmp_path.glob(".out.partial-*/*")) or process.poll() is not None)
        process.send_signal(kill)
        assert process.wait() == (130 if kill == signal.SIGTERM else -signal.SIGKILL)
    assert not out.exists()
    assert sum(path.is_dir() for path in tmp_path.glob(".out.partial-*")) == leftovers
    run(checkpoint, out)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
