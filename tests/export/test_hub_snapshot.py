"""A model folder that the hub's own client downloaded into its cache."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hub_server import COMMIT, serve
from huggingface_hub import constants, hf_hub_download

from e5_onnx import Embedder
from e5_onnx.verify import verify_folder


@pytest.mark.security
def test_a_snapshot_of_the_hubs_cache_opens(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)  # the server speaks plain HTTP alone
    with serve("me/tiny", tiny_folder) as hub:
        (snapshot,) = {
            Path(
                hf_hub_download(
                    "me/tiny", name, revision=COMMIT, cache_dir=tmp_path, endpoint=hub.endpoint, token=False
                )
            ).parent
            for name in hub.files
        }
    assert (snapshot / "model.onnx.data").is_symlink()
    with Embedder(snapshot, threads=1) as linked, Embedder(tiny_folder, threads=1) as plain:
        np.testing.assert_array_equal(linked.embed_documents("moon"), plain.embed_documents("moon"))
    verify_folder(snapshot, threads=1)
