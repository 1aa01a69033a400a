"""Options of a server, keys and logs."""

from __future__ import annotations

import errno
import json
import logging
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from e5_onnx.cli import main, parse
from e5_onnx.cli import serve as cli_serve
from e5_onnx.errors import OptionError
from e5_onnx.serve import command as serve_command
from e5_onnx.serve import settings as settings_module
from e5_onnx.serve.keys import read_keys
from e5_onnx.serve.log import JsonFormatter
from e5_onnx.serve.memory import resident_mb
from e5_onnx.serve.metrics import MULTIPROCESS, Metrics
from e5_onnx.serve.model import ServedModel
from e5_onnx.serve.settings import Limits, Settings, is_loopback, parse_address
from e5_onnx.serve.sockets import Sockets, listen

EVERYWHERE = "0.0.0.0"  # noqa: S104 - nothing is bound

WRONG = [
    (["--port", "0", "--workers", "0"], "--workers is 0; it must be at least 1"),
    (["--name", "a:b"], "--name is 'a:b'; it must be a name without a colon"),
    (["--host", EVERYWHERE], "--host is '0.0.0.0'; it must be 127.0.0.1 as long as there is no key"),
    (["--host", "::"], "or `--insecure-no-key`"),
    (["--host", "example.org"], "set `--key-file` or E5_ONNX_KEYS"),
    (["--max-body-mb", "0"], "--max-body-mb is 0.0; it must be more than 0"),
    (["--max-items", "-1"], "--max-items is -1"),
    (["--max-tokens", "0"], "--max-tokens is 0"),
    (["--queue-tokens", "0"], "--queue-tokens is 0"),
    (["--queue-mb", "0"], "--queue-mb is 0.0; it must be more than 0"),
    (["--connections", "0"], "--connections is 0"),
    (["--request-timeout", "0"], "--request-timeout is 0.0; it must be more than 0"),
    (["--header-timeout", "-1"], "--header-timeout is -1.0"),
    (["--body-timeout", "nan"], "--body-timeout is nan"),
    (["--max-memory-mb", "0"], "--max-memory-mb is 0.0"),
    (
        ["--allow-host", "*.example.org"],
        "--allow-host is '*.example.org'; it must be a name as clients write it",
    ),
    (["--allow-host", "http://e5"], "without scheme and port, or * for any"),
    (["--allow-host", "e5:8080"], "--allow-host is 'e5:8080'"),
    (["--allow-host", ""], "--allow-host is ''"),
    (["--port", "70000"], "--port is 70000; it must be 0 to 65535"),
    (
        ["--host", "192.0.2.1", "--insecure-no-key"],
        "--host is '192.0.2.1'; it must be an address of this machine",
    ),
    (
        ["--port", "0", "--metrics-address", "192.0.2.1:0"],
        "--metrics-address is '192.0.2.1:0'; it must be one that",
    ),
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
    [{"default_role": "passage"}, {"overflow": "explode"}, {"name": ""}, {"cache_queries": -1}],
    ids=lambda options: next(iter(options)),
)
def test_wrong_settings(options: dict[str, str], tiny_folder: Path) -> None:
    values: dict[str, Any] = {"folder": tiny_folder, "name": "x", **options}
    with pytest.raises(OptionError):
        Settings(**values)


def test_each_limit_is_an_option_with_the_same_name_and_default() -> None:
    rows = {row.flag: (row.default, row.kind) for row in cli_serve._LIMITS}
    own = {**vars_of(Limits), "drain_delay": Settings.__dataclass_fields__["drain_delay"].default}
    assert {flag: default for flag, (default, _) in rows.items()} == {
        "--" + name.replace("_", "-"): default for name, default in own.items()
    }
    words = [word for flag in rows for word in (flag, "7")]
    parsed = parse(["serve", "x", *words])
    assert {getattr(parsed, name) for name in own} == {7}


@pytest.mark.parametrize("words", [[], ["--low-memory"]])
def test_low_memory_reaches_the_session(words: list[str], tiny_folder: Path) -> None:
    settings = serve_command._settings(parse(["serve", str(tiny_folder), *words]))
    assert settings.low_memory is bool(words)
    model = ServedModel(settings, lambda *_: None)
    options = model._engine.session._session.get_session_options()
    assert options.get_session_config_entry("session.disable_prepacking") == str(len(words))
    model.close()


def vars_of(kind: type[Limits]) -> dict[str, object]:
    return {row.name: row.default for row in fields(kind)}


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("127.8.8.8", True), ("localhost", True), ("::1", True), ("[::1]", True),
     (EVERYWHERE, False), ("::", False), ("10.0.0.1", False), ("localhost.example", False)],
)  # fmt: skip
def test_loopback(host: str, loopback: bool) -> None:
    assert is_loopback(host) == loopback


def test_other_addresses_need_a_key_or_the_word(tiny_folder: Path) -> None:
    Settings(tiny_folder, "x", host=EVERYWHERE, keys=(b"k" * 16,))
    Settings(tiny_folder, "x", host=EVERYWHERE, insecure_no_key=True)
    assert parse_address("[::1]:9100", "--x") == ("::1", 9100)
    assert Limits(max_memory_mb=10).max_memory_mb == 10


def test_memory_that_cannot_be_measured_cannot_be_limited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert resident_mb(tmp_path / "absent") is None
    monkeypatch.setattr(settings_module, "resident_mb", lambda: None)
    with pytest.raises(
        OptionError, match="max_memory_mb is 10; it must be left out: this system does not tell"
    ):
        Limits(max_memory_mb=10)
    assert Limits().max_memory_mb is None


def test_memory_is_counted_in_the_systems_own_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    statm = tmp_path / "statm"
    statm.write_text("9000 1000 30 1 0 40 0\n")
    monkeypatch.setattr("os.sysconf", {"SC_PAGE_SIZE": 65_536}.__getitem__)
    assert resident_mb(statm) == 65.536
    monkeypatch.undo()
    assert 10 < (resident_mb() or 0) < 100_000


def test_windows_has_one_process(
    tiny_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    assert main(["serve", str(tiny_folder), "--workers", "2"]) == 2
    assert "--workers is 2; it must be 1 on Windows" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("bound", "url"),
    [(("0.0.0.0", 80), "http://127.0.0.1:80/"), (("::", 80), "http://[::1]:80/"),  # noqa: S104
     (("fe80::1", 80), "http://[fe80::1]:80/"), (("10.0.0.7", 8080), "http://10.0.0.7:8080/")],
)  # fmt: skip
def test_an_address_for_a_browser(bound: tuple[str, int], url: str) -> None:
    class Bound:
        def getsockname(self) -> tuple[str, int]:
            return bound

    assert Sockets(Bound(), None).url == url  # type: ignore[arg-type]


def test_a_port_that_needs_a_right(monkeypatch: pytest.MonkeyPatch, tiny_folder: Path) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("socket.create_server", refuse)
    with pytest.raises(OptionError, match="port is 80; it must be 1024 or more"):
        listen(Settings(tiny_folder, "x", port=80))


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
    command = [sys.executable, "-c", code, "serve", str(tiny_folder)]
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
