"""Options of a server, keys and logs."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest

from e5_onnx.cli import main
from e5_onnx.errors import OptionError
from e5_onnx.serve.keys import read_keys
from e5_onnx.serve.log import JsonFormatter
from e5_onnx.serve.metrics import MULTIPROCESS, Metrics
from e5_onnx.serve.settings import Limits, Settings, is_loopback, parse_address

EVERYWHERE = "0.0.0.0"  # noqa: S104 - nothing is bound

WRONG = [
    (["--port", "0", "--workers", "0"], "--workers is 0; it must be at least 1"),
    (["--name", "a:b"], "--name is 'a:b'; it must be a name without a colon"),
    (["--host", EVERYWHERE], "--host is '0.0.0.0'; it must be 127.0.0.1 as long as there is no key"),
    (["--host", "::"], "or say --insecure-no-key"),
    (["--host", "example.org"], "set --key-file or E5_ONNX_KEYS"),
    (["--max-body", "0"], "--max-body is 0; it must be at least 1"),
    (["--max-items", "-1"], "--max-items is -1"),
    (["--max-tokens", "0"], "--max-tokens is 0"),
    (["--queue-tokens", "0"], "--queue-tokens is 0"),
    (["--connections", "0"], "--connections is 0"),
    (["--deadline", "0"], "--deadline is 0.0; it must be more than 0"),
    (["--header", "-1"], "--header is -1.0"),
    (["--max-memory", "0"], "--max-memory is 0.0"),
    (["--metrics-address", "9100"], "--metrics-address is '9100'; it must be HOST:PORT"),
    (["--metrics-address", "a:99999"], "it must be HOST:PORT"),
]


@pytest.mark.parametrize(
    ("words", "message"), WRONG, ids=lambda value: " ".join(value) if isinstance(value, list) else ""
)
def test_wrong_options(
    words: list[str], message: str, tiny_folder: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.delenv("E5_ONNX_KEYS", raising=False)
    assert main(["serve", str(tiny_folder), *words]) == 2
    assert message in capsys.readouterr().err


def test_a_folder_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", str(tmp_path / "absent")]) == 1
    assert "no model folder at" in capsys.readouterr().err


@pytest.mark.parametrize(
    "options",
    [{"default_role": "passage"}, {"overflow": "explode"}, {"name": ""}],
    ids=lambda options: next(iter(options)),
)
def test_wrong_settings(options: dict[str, str], tiny_folder: Path) -> None:
    with pytest.raises(OptionError):
        Settings(**{"folder": tiny_folder, "name": "x", **options})


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("127.8.8.8", True), ("localhost", True), ("::1", True), ("[::1]", True),
     (EVERYWHERE, False), ("::", False), ("10.0.0.1", False), ("localhost.example", False)],
)  # fmt: skip
def test_loopback(host: str, loopback: bool) -> None:
    assert is_loopback(host) == loopback


def test_other_addresses_need_a_key_or_the_word(tiny_folder: Path) -> None:
    Settings(tiny_folder, "x", host=EVERYWHERE, keys=(b"k" * 16,))
    Settings(tiny_folder, "x", host=EVERYWHERE, no_key_is_meant=True)
    assert parse_address("[::1]:9100", "--x") == ("::1", 9100)
    assert Limits(memory_mb=10).memory_mb == 10


def test_keys_come_from_a_file_or_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text("# of the team\nfirst-key-of-the-team\n\n  second-key-of-the-team  \n", "utf-8")
    environment = {"E5_ONNX_KEYS": "one-key-of-16-chars two-key-of-16-chars"}
    assert read_keys(file, environment) == (b"first-key-of-the-team", b"second-key-of-the-team")
    assert read_keys(None, environment) == (b"one-key-of-16-chars", b"two-key-of-16-chars")
    assert read_keys(None, {}) == ()


def test_bad_keys_are_not_repeated(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text("# nothing\n", "utf-8")
    with pytest.raises(OptionError, match="this one has none"):
        read_keys(file, {})
    with pytest.raises(OptionError, match=r"E5_ONNX_KEYS is '\*\*\*'; .*at least 16 characters") as caught:
        read_keys(None, {"E5_ONNX_KEYS": "hunter2"})
    assert "hunter2" not in str(caught.value)
    with pytest.raises(FileNotFoundError):
        read_keys(tmp_path / "absent", {})


def test_a_record_is_a_line_of_json_without_the_errors_words() -> None:
    def fail() -> None:
        raise ValueError("my secret text")

    try:
        fail()
    except ValueError as error:
        record = logging.makeLogRecord(
            {"msg": "it failed: %d", "args": (7,), "levelname": "ERROR", "route": "/embed", "levelno": 40,
             "exc_info": (type(error), error, error.__traceback__)}
        )  # fmt: skip
    written = JsonFormatter().format(record)
    values = json.loads(written)
    assert (values["level"], values["message"], values["route"]) == ("error", "it failed: 7", "/embed")
    assert values["error"] == "ValueError"
    assert "test_a_record_is" in values["where"][0]
    assert "secret" not in written


@pytest.mark.parametrize(
    ("absent", "message"),
    [("msgspec", "msgspec is not installed: `pip install 'e5-onnx[serve]'`"),
     ("e5_onnx.serve.keys", "ModuleNotFoundError: import of e5_onnx.serve.keys halted")],
)  # fmt: skip
def test_a_missing_extra_is_named(absent: str, message: str, tiny_folder: Path) -> None:
    code = (
        f"import sys; sys.modules[{absent!r}] = None\n"
        "from e5_onnx.cli import main\nsys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", code, "serve", tiny_folder]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert message in done.stderr


def test_the_counters_of_all_workers_are_added_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MULTIPROCESS, str(tmp_path))
    metrics = Metrics(lambda: 7)
    metrics.count(3, 30, 1)
    # This process does not write there: it had been started before, and there is nothing to add up.
    assert metrics.text() == b""
    monkeypatch.delenv(MULTIPROCESS)
    assert "e5_texts_total 3.0" in metrics.text().decode()
    assert "e5_queue_tokens 7.0" in metrics.text().decode()
