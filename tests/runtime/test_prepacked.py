"""The cache of packed weights: same vectors, one copy, nobody else's, and no harm when it fails."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from e5_onnx import Embedder
from e5_onnx.cli import main
from e5_onnx.errors import CacheWarning, ModelLoadError, UnsafeCacheError
from e5_onnx.inference.session import Session
from e5_onnx.model_folder.digest import file_sha256
from e5_onnx.model_folder.folder import open_folder
from e5_onnx.model_folder.manifest import GRAPH_NAME, WEIGHTS_NAME
from e5_onnx.prepacked.cache import PrepackedCache
from e5_onnx.prepacked.entry import ENTRY_NAME, packed_for, read_entry
from e5_onnx.prepacked.place import ENVIRONMENT

TEXTS = ["moon", "the river is wide", ""]

posix = pytest.mark.skipif(not hasattr(os, "geteuid"), reason="owners and modes are POSIX's")


def vectors(folder: Path, cache: Path | None, **options: bool) -> np.ndarray:
    with Embedder(folder, threads=1, cache_dir=cache, **options) as model:  # type: ignore[arg-type]
        return model.embed_documents(TEXTS)


def only_entry(cache: Path) -> Path:
    (entry,) = (cache / "prepacked").iterdir()
    return entry


def test_the_vectors_are_the_same_and_the_entry_is_used_again(tiny_folder: Path, tmp_path: Path) -> None:
    plain = vectors(tiny_folder, None)
    np.testing.assert_array_equal(vectors(tiny_folder, tmp_path / "new" / "cache"), plain)
    entry = only_entry(tmp_path / "new" / "cache")
    made = (entry / WEIGHTS_NAME).stat().st_mtime_ns
    np.testing.assert_array_equal(vectors(tiny_folder, tmp_path / "new" / "cache"), plain)
    assert (entry / WEIGHTS_NAME).stat().st_mtime_ns == made
    assert sorted(file.name for file in entry.iterdir()) == sorted([ENTRY_NAME, GRAPH_NAME, WEIGHTS_NAME])


def test_the_environment_turns_it_on(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ENVIRONMENT, "")
    vectors(tiny_folder, None)
    assert not list(tmp_path.iterdir())
    monkeypatch.setenv(ENVIRONMENT, str(tmp_path))
    vectors(tiny_folder, None)
    assert only_entry(tmp_path).is_dir()


@posix
def test_only_the_owner_may_look_in(tiny_folder: Path, tmp_path: Path) -> None:
    vectors(tiny_folder, tmp_path)
    place = tmp_path / "prepacked"
    assert place.stat().st_mode & 0o777 == 0o700
    place.chmod(0o750)
    with pytest.raises(UnsafeCacheError, match=r"prepacked is open to others.*`chmod 700 .*prepacked`"):
        vectors(tiny_folder, tmp_path)


@posix
def test_another_users_cache_is_refused(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors(tiny_folder, tmp_path)
    monkeypatch.setattr(os, "geteuid", lambda: 4_000_000)
    with pytest.raises(UnsafeCacheError, match=r"belongs to user \d+.*choose a folder of your own"):
        vectors(tiny_folder, tmp_path)


def test_a_link_is_refused(tiny_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (tmp_path / "prepacked").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UnsafeCacheError, match="is a link"):
        vectors(tiny_folder, tmp_path)


def cut_weights(entry: Path) -> None:
    with (entry / WEIGHTS_NAME).open("r+b") as file:
        file.truncate(100)


def spoil_weights(entry: Path) -> None:
    with (entry / WEIGHTS_NAME).open("r+b") as file:
        file.write(b"spoilt")


def spoil_graph(entry: Path) -> None:
    (entry / GRAPH_NAME).write_bytes(b"")


def lose_the_description(entry: Path) -> None:
    (entry / ENTRY_NAME).unlink()


def spoil_the_description(entry: Path) -> None:
    (entry / ENTRY_NAME).write_text("{}", "utf-8")


def describe_another(entry: Path) -> None:
    values = json.loads((entry / ENTRY_NAME).read_text("utf-8"))
    values["purpose"]["cpu"] = "another"
    (entry / ENTRY_NAME).write_text(json.dumps(values), "utf-8")


def lose_weights(entry: Path) -> None:
    (entry / WEIGHTS_NAME).unlink()


@pytest.mark.parametrize(
    "harm",
    [
        cut_weights,
        spoil_weights,
        spoil_graph,
        lose_the_description,
        spoil_the_description,
        describe_another,
        lose_weights,
    ],
    ids=lambda harm: harm.__name__,
)
def test_what_is_spoilt_is_made_anew(harm, tiny_folder: Path, tmp_path: Path) -> None:
    plain = vectors(tiny_folder, tmp_path)
    harm(only_entry(tmp_path))
    np.testing.assert_array_equal(vectors(tiny_folder, tmp_path), plain)
    entry = read_entry(only_entry(tmp_path))
    assert entry is not None
    assert entry.is_sound(only_entry(tmp_path), whole=True)


def test_verify_reads_every_byte_of_the_copy(tiny_folder: Path, tmp_path: Path) -> None:
    plain = vectors(tiny_folder, tmp_path)
    weights = only_entry(tmp_path) / WEIGHTS_NAME
    sound = weights.read_bytes()
    place = 8192  # beyond what the sample reads of the first MiB
    assert len(sound) > place
    with weights.open("r+b") as file:
        file.seek(place)
        file.write(bytes(byte ^ 255 for byte in sound[place : place + 4]))
    np.testing.assert_array_equal(vectors(tiny_folder, tmp_path, verify=True), plain)
    assert weights.read_bytes() == sound


def test_another_model_gets_another_entry(tiny_folder_copy: Path, tmp_path: Path) -> None:
    opened = open_folder(tiny_folder_copy)
    keys = {packed_for(opened.manifest, exact_int8=exact).key for exact in (True, False)}
    assert len(keys) == 2
    entry = PrepackedCache(tmp_path).make(opened, packed_for(opened.manifest, exact_int8=False))
    assert entry.name in keys
    # The second of two that make it at once finds the first one's.
    assert PrepackedCache(tmp_path).make(opened, packed_for(opened.manifest, exact_int8=False)) == entry


def test_a_cache_that_cannot_be_made_costs_a_warning(tiny_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.warns(CacheWarning, match=r"file.* cannot be used, the model takes more memory without it"):
        found = vectors(tiny_folder, tmp_path / "file")
    np.testing.assert_array_equal(found, vectors(tiny_folder, None))


def test_an_entry_that_does_not_load_costs_a_warning(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(folder: Path, *_: int, exact_int8: bool, optimised: bool, spinning: bool) -> Session:
        assert optimised
        raise ModelLoadError(GRAPH_NAME, f"no {folder.name}, {exact_int8}, {spinning}")

    with monkeypatch.context() as patched:
        patched.setattr("e5_onnx.prepacked.sessions.Session", load)
        with pytest.warns(CacheWarning, match="cannot be loaded"), pytest.raises(TypeError):
            vectors(tiny_folder, tmp_path)  # the folder itself is then loaded, without `optimised`
    assert not list((tmp_path / "prepacked").iterdir())


def test_no_room_costs_a_warning_and_leaves_nothing(tiny_folder: Path, tmp_path: Path) -> None:
    def allow_10_kb() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))

    program = (
        "import signal, sys, warnings\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "from e5_onnx import Embedder\n"
        "with warnings.catch_warnings(record=True) as caught:\n"
        "    warnings.simplefilter('always')\n"
        "    print(Embedder(sys.argv[1], cache_dir=sys.argv[2]).embed_documents('x').shape)\n"
        "print(*(warning.category.__name__ for warning in caught))\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", program, tiny_folder, tmp_path],
        check=True,
        capture_output=True,
        text=True,
        preexec_fn=allow_10_kb,
    )
    assert run.stdout == "(32,)\nCacheWarning\n"
    assert not list((tmp_path / "prepacked").iterdir())


def test_what_a_killed_process_left_is_swept_after_an_hour(tiny_folder: Path, tmp_path: Path) -> None:
    vectors(tiny_folder, tmp_path)
    shutil.rmtree(only_entry(tmp_path))
    old, new = (tmp_path / "prepacked" / name for name in (".making-old", ".making-new"))
    for folder in (old, new):
        folder.mkdir()
    three_hours_earlier = new.stat().st_mtime - 3 * 3600
    os.utime(old, (three_hours_earlier, three_hours_earlier))
    vectors(tiny_folder, tmp_path)
    assert not old.exists()
    assert new.exists()


def test_list_and_clear(
    tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ENVIRONMENT, str(tmp_path))
    vectors(tiny_folder, None)
    usable = only_entry(tmp_path)
    stale = usable.with_name("0" * 32)
    shutil.copytree(usable, stale)
    describe_another(stale)
    (usable.parent / ".making-x").mkdir()
    assert main(["cache", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[2] for line in lines] == ["unfinished", "stale", "usable"]
    assert str(tiny_folder) in lines[2]
    assert main(["cache", "clear", "--stale"]) == 0
    assert capsys.readouterr().out.startswith("2 entries removed")
    assert only_entry(tmp_path) == usable
    assert main(["cache", "clear", "--cache-dir", str(tmp_path)]) == 0
    assert capsys.readouterr().out.startswith("1 entry removed")
    assert not list(usable.parent.iterdir())


def test_the_command_asks_for_a_folder(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(ENVIRONMENT, raising=False)
    assert main(["cache", "list"]) == 2
    assert "--cache-dir is missing; it must be given, or E5_ONNX_CACHE set" in capsys.readouterr().err


def test_an_entry_that_cannot_be_put_in_place_leaves_nothing(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Path, target: Path) -> None:
        raise PermissionError(13, f"no right to make {target.name} of {self.name}")

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.warns(CacheWarning, match="no right to make"):
        vectors(tiny_folder, tmp_path)
    assert not list((tmp_path / "prepacked").iterdir())


def test_where_there_are_no_owners_the_user_folder_is_trusted(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "geteuid", raising=False)
    np.testing.assert_array_equal(vectors(tiny_folder, tmp_path), vectors(tiny_folder, None))


@pytest.mark.security
@pytest.mark.parametrize("harm", [spoil_weights, lose_weights, lose_the_description])
def test_cache_verify_names_what_is_damaged(
    harm, tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    vectors(tiny_folder, tmp_path)
    entry = only_entry(tmp_path)
    assert main(["cache", "verify", "--cache-dir", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"{entry.name}  whole\n"
    harm(entry)
    assert main(["cache", "verify", "--cache-dir", str(tmp_path)]) == 1
    assert capsys.readouterr().out == f"{entry.name}  damaged: run e5 cache clear\n"


@pytest.mark.parametrize("action", ["list", "verify", "clear"])
def test_what_another_process_removes_meanwhile_is_left_out(
    action: str,
    tiny_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    vectors(tiny_folder, tmp_path)
    entry = only_entry(tmp_path)

    def read_and_remove(folder: Path) -> object:
        found = read_entry(folder)
        shutil.rmtree(folder)
        return found

    monkeypatch.setattr("e5_onnx.prepacked.cache.read_entry", read_and_remove)
    assert main(["cache", action, "--cache-dir", str(tmp_path)]) == 0
    assert capsys.readouterr().out == ("0 entries removed, 0 MB\n" if action == "clear" else "")
    assert not entry.exists()


def test_an_entry_that_is_removed_while_it_is_hashed_is_not_damaged(
    tiny_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    vectors(tiny_folder, tmp_path)

    def remove_and_read(file: Path) -> str:
        shutil.rmtree(file.parent)
        return file_sha256(file)

    monkeypatch.setattr("e5_onnx.prepacked.entry.file_sha256", remove_and_read)
    assert main(["cache", "verify", "--cache-dir", str(tmp_path)]) == 0
    assert capsys.readouterr().out == ""


def test_an_entry_that_is_being_made_is_not_damaged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "prepacked").mkdir(mode=0o700)
    (tmp_path / "prepacked" / ".making-x").mkdir()
    assert main(["cache", "verify", "--cache-dir", str(tmp_path)]) == 0
    assert capsys.readouterr().out == ".making-x  unfinished\n"


@pytest.mark.security
@pytest.mark.parametrize("harm", [spoil_weights, spoil_graph, lose_weights, lose_the_description])
def test_verify_looks_at_the_entry_in_use(
    harm,
    tiny_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert main(["verify", str(tiny_folder), "--cache-dir", str(tmp_path)]) == 0
    assert not list(tmp_path.iterdir())
    vectors(tiny_folder, tmp_path)
    assert main(["verify", str(tiny_folder), "--cache-dir", str(tmp_path)]) == 0
    assert "4 files and 1 in the cache whole" in capsys.readouterr().out
    harm(only_entry(tmp_path))
    monkeypatch.setenv(ENVIRONMENT, str(tmp_path))
    assert main(["verify", str(tiny_folder)]) == 1
    assert "copy of the weights is damaged: remove it with `e5 cache clear`" in capsys.readouterr().err
