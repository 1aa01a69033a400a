from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from runtime_folders import edit, flip, relist

from e5_onnx import Embedder, FingerprintError, IntegrityError
from e5_onnx.model_folder.golden import read_golden
from e5_onnx.model_folder.manifest import GOLDEN_NAME, LEAN_TOKENIZER_NAME, TOKENIZER_NAME
from e5_onnx.tokens.lean_tokenizer import installed_version, write_lean
from e5_onnx.verify import verify_folder

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


@pytest.mark.security
def test_a_pinned_folder_uses_the_tokenizer_that_the_fingerprint_covers(lean_folder: Path) -> None:
    with Embedder(lean_folder) as free:
        assert free.tokenizer == "tokie"
    for choice in ("auto", "tokenizers"):
        with Embedder(lean_folder, fingerprint=free.fingerprint, tokenizer=choice) as pinned:
            assert pinned.tokenizer == "tokenizers"
    # Whoever exchanges the lean file and its hash leaves the fingerprint as it was.
    flip(lean_folder / LEAN_TOKENIZER_NAME, -1)
    relist(lean_folder, LEAN_TOKENIZER_NAME)
    with Embedder(lean_folder, fingerprint=free.fingerprint) as pinned:
        assert pinned.tokenizer == "tokenizers"


@pytest.mark.security
def test_a_pinned_fingerprint(tiny_folder: Path) -> None:
    with Embedder(tiny_folder) as model:
        Embedder(tiny_folder, fingerprint=model.fingerprint).close()
    with pytest.raises(FingerprintError, match=f"is {model.fingerprint}, but 0123 was asked for"):
        Embedder(tiny_folder, fingerprint="0123")


@pytest.mark.security
@pytest.mark.parametrize("pinned", [True, False])
def test_a_pin_and_verify_hash_every_byte(tiny_folder_copy: Path, *, pinned: bool) -> None:
    with Embedder(tiny_folder_copy) as model:
        fingerprint = model.fingerprint
    flip(tiny_folder_copy / WEIGHTS, 20_000)
    Embedder(tiny_folder_copy).close()  # the sample does not reach there
    with pytest.raises(IntegrityError, match="the sha256 is"):
        Embedder(tiny_folder_copy, fingerprint=fingerprint if pinned else None, verify=not pinned)


def keep_documents_of_spaced_scripts(folder: Path) -> None:
    """Leaves the golden texts for which the tiny vocabulary has the same tokens in both libraries."""
    golden = read_golden(folder / GOLDEN_NAME)
    kept = [
        index for index, role in enumerate(golden.roles) if role == "document" and " " in golden.texts[index]
    ]
    ids = [golden.ids[index] for index in kept]
    np.savez(
        folder / GOLDEN_NAME,
        texts=np.array([golden.texts[index] for index in kept]),
        roles=np.array(["document"] * len(kept)),
        ids=np.concatenate(ids),
        lengths=np.array([len(row) for row in ids]),
        vectors=golden.vectors[kept],
        tolerance=np.array(golden.tolerance),
    )
    relist(folder, GOLDEN_NAME)


@pytest.mark.security
def test_verify_holds_the_lean_tokenizer_to_the_golden_tokens(lean_folder: Path) -> None:
    keep_documents_of_spaced_scripts(lean_folder)
    verify_folder(lean_folder, threads=1)
    true = lean_folder / TOKENIZER_NAME
    kept = true.read_bytes()
    values = json.loads(kept)
    vocabulary = values["model"]["vocab"]
    values["model"]["vocab"] = vocabulary[:5] + vocabulary[5:][::-1]
    true.write_text(json.dumps(values), "utf-8")
    write_lean(lean_folder)
    true.write_bytes(kept)
    relist(lean_folder, LEAN_TOKENIZER_NAME)
    with pytest.raises(IntegrityError, match=r"tokenizer\.tokie: .*golden text \d+ .*tokenizer='tokenizers'"):
        verify_folder(lean_folder, threads=1)
