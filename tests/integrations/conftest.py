from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from runtime_folders import edit

from e5_onnx import Embedder

# Before any of them is imported: nothing is to be sent anywhere.
os.environ |= {"ANONYMIZED_TELEMETRY": "False", "HAYSTACK_TELEMETRY_ENABLED": "False", "DO_NOT_TRACK": "1"}


@pytest.fixture(scope="session")
def model(tiny_folder: Path) -> Iterator[Embedder]:
    """The committed model, whose queries and documents are written differently."""
    with Embedder(tiny_folder) as opened:
        yield opened


@pytest.fixture
def other_folder(tiny_folder_copy: Path) -> Path:
    """A folder with another fingerprint."""
    edit(tiny_folder_copy, lambda manifest: manifest["recipe"].update(default_task="another"))
    return tiny_folder_copy
