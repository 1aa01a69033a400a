from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from data.make_tiny_e5 import LIMIT_BYTES, make_tiny_e5

from e5_onnx import verify_folder
from e5_onnx.model_folder.golden import read_golden
from e5_onnx.model_folder.manifest import GOLDEN_NAME, MANIFEST_NAME, Manifest, parse_manifest


def described(folder: Path) -> Manifest:
    return parse_manifest((folder / MANIFEST_NAME).read_text("utf-8"))


def test_the_committed_folder_is_what_the_program_makes(tmp_path: Path, tiny_folder: Path) -> None:
    """But for what depends on the versions of the tools."""
    made = make_tiny_e5(tmp_path / "tiny_e5")
    new, old = described(made), described(tiny_folder)
    assert replace(new, files=old.files, parity=old.parity, tools=old.tools) == old
    ours, theirs = read_golden(made / GOLDEN_NAME), read_golden(tiny_folder / GOLDEN_NAME)
    assert (ours.texts, ours.roles) == (theirs.texts, theirs.roles)
    assert [ids.tolist() for ids in ours.ids] == [ids.tolist() for ids in theirs.ids]
    np.testing.assert_allclose(ours.vectors, theirs.vectors, rtol=0, atol=1e-6)


def test_it_is_small_and_whole(tiny_folder: Path) -> None:
    assert sum(file.stat().st_size for file in tiny_folder.iterdir()) <= LIMIT_BYTES
    report = verify_folder(tiny_folder)
    assert report.files == 4
    assert report.golden_texts >= 12
    assert report.max_abs <= report.tolerance == 1e-5
