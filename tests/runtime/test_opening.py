from __future__ import annotations

from pathlib import Path

import pytest
from runtime_folders import edit, flip, relist

from e5_onnx import Embedder, FingerprintError, IntegrityError
from e5_onnx.lean_tokenizer import installed_version, write_lean
from e5_onnx.manifest import LEAN_TOKENIZER_NAME

WEIGHTS = "model.onnx.data"


@pytest.fixture
def lean_folder(tiny_folder_copy: Path) -> Path:
    """A folder whose lean tokenizer the manifest calls proved."""
    pytest.importorskip("tokie", reason="tokie, the [lean] extra, is not installed")
    write_lean(tiny_folder_copy)
    relist(tiny_folder_copy, LEAN_TOKENIZER_NAME)
    proof = {"library": "tokie", "version": installed_version(), "texts": 1}
    edit(tiny_folder_copy, lambda manifest: manifest.update(lean_tokenizer=proof))
    return tiny_folder_copy


def test_a_pinned_folder_uses_the_tokenizer_that_the_fingerprint_covers(lean_folder: Path) -> None:
    with Embedder(lean_folder) as free:
        assert free.tokenizer == "tokie"
    for choice, name in {"auto": "tokenizers", "tokenizers": "tokenizers", "tokie": "tokie"}.items():
        with Embedder(lean_folder, fingerprint=free.fingerprint, tokenizer=choice) as pinned:  # type: ignore[arg-type]
            assert pinned.tokenizer == name
    # Whoever exchanges the lean file and its hash leaves the fingerprint as it was.
    flip(lean_folder / LEAN_TOKENIZER_NAME, -1)
    relist(lean_folder, LEAN_TOKENIZER_NAME)
    with Embedder(lean_folder, fingerprint=free.fingerprint) as pinned:
        assert pinned.tokenizer == "tokenizers"


def test_a_pinned_fingerprint(tiny_folder: Path) -> None:
    with Embedder(tiny_folder) as model:
        Embedder(tiny_folder, fingerprint=model.fingerprint).close()
    with pytest.raises(FingerprintError, match=f"is {model.fingerprint}, but 0123 was asked for"):
        Embedder(tiny_folder, fingerprint="0123")


@pytest.mark.parametrize("pinned", [True, False])
def test_a_pin_and_verify_hash_every_byte(tiny_folder_copy: Path, *, pinned: bool) -> None:
    with Embedder(tiny_folder_copy) as model:
        fingerprint = model.fingerprint
    flip(tiny_folder_copy / WEIGHTS, 20_000)
    Embedder(tiny_folder_copy).close()  # the sample does not reach there
    with pytest.raises(IntegrityError, match="the sha256 is"):
        Embedder(tiny_folder_copy, fingerprint=fingerprint if pinned else None, verify=not pinned)
