"""One entry of the cache: an optimised graph, its packed weights, and entry.json, which says what for."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from e5_onnx.inference.exact_int8 import kernels_are_exact
from e5_onnx.machine.cpu import cpu_digest
from e5_onnx.model_folder.digest import file_sha256, sampled_sha256
from e5_onnx.model_folder.folder import ModelFolder
from e5_onnx.model_folder.manifest import GRAPH_NAME, WEIGHTS_NAME, Manifest
from e5_onnx.silent import onnxruntime

ENTRY_NAME: Final = "entry.json"
_KEY_LENGTH: Final = 32
_MIB: Final = 1 << 20
_SAMPLE: Final = 4096


@dataclass(frozen=True, slots=True)
class PackedFor:
    """The model and machine that prepacked weights fit: everything that could change a byte of them.

    Attributes:
        graph: sha256 of the folder's graph.
        weights: sha256 of its weights.
        onnxruntime: The version.
        cpu: Digest of the CPU's features.
        kernels_exact: The result of the probe (`exact_int8.py`): cpuinfo may describe another machine.
        exact_int8: Whether the slower exact kernels are used.
    """

    graph: str
    weights: str
    onnxruntime: str
    cpu: str
    kernels_exact: bool
    exact_int8: bool

    @property
    def key(self) -> str:
        """The entry's name."""
        return hashlib.sha256(json.dumps(asdict(self)).encode()).hexdigest()[:_KEY_LENGTH]

    def fits_this_machine(self) -> bool:
        """Whether this process could use it."""
        return (self.onnxruntime, self.cpu, self.kernels_exact) == _here()


def packed_for(manifest: Manifest, *, exact_int8: bool) -> PackedFor:
    """Returns what a folder's prepacked weights must fit in this process."""
    version, cpu, exact = _here()
    files = manifest.files
    return PackedFor(files[GRAPH_NAME].sha256, files[WEIGHTS_NAME].sha256, version, cpu, exact, exact_int8)


def _here() -> tuple[str, str, bool]:
    return onnxruntime.__version__, cpu_digest(), kernels_are_exact()


@dataclass(frozen=True, slots=True)
class Entry:
    """entry.json, which is written last: an entry without it was never finished.

    Attributes:
        model: Path of the folder that it was made from, for `e5 cache list`.
        precision: The folder's.
        purpose: The model and machine that it fits.
        graph_sha256: Of the optimised graph.
        weights_sha256: Of the packed weights.
        sampled_sha256: Of 4 KiB of each MiB of them, which is what is checked at each start.
        weights_bytes: Their size.
    """

    model: str
    precision: str
    purpose: PackedFor
    graph_sha256: str
    weights_sha256: str
    sampled_sha256: str
    weights_bytes: int

    def is_whole(self, folder: Path) -> bool:
        """Whether every byte of the entry's files is as it was written; a file that is gone is not."""
        try:
            return self.is_sound(folder, whole=True)
        except OSError:
            return False

    def is_sound(self, folder: Path, *, whole: bool) -> bool:
        """Whether the entry's files are those that were written, by sample or to the last byte."""
        weights = folder / WEIGHTS_NAME
        if weights.stat().st_size != self.weights_bytes:
            return False
        if file_sha256(folder / GRAPH_NAME) != self.graph_sha256:
            return False
        if whole:
            return file_sha256(weights) == self.weights_sha256
        return sampled_sha256(weights, _samples(self.weights_bytes)) == self.sampled_sha256


def describe_entry(folder: Path, opened: ModelFolder, purpose: PackedFor) -> Entry:
    """Returns the content of entry.json for the files just written to `folder`."""
    weights = folder / WEIGHTS_NAME
    size = weights.stat().st_size
    return Entry(
        model=str(opened.path.absolute()),
        precision=opened.manifest.precision,
        purpose=purpose,
        graph_sha256=file_sha256(folder / GRAPH_NAME),
        weights_sha256=file_sha256(weights),
        sampled_sha256=sampled_sha256(weights, _samples(size)),
        weights_bytes=size,
    )


def write_entry(entry: Entry, folder: Path) -> None:
    """Writes entry.json."""
    (folder / ENTRY_NAME).write_text(json.dumps(asdict(entry), indent=2) + "\n", "utf-8")


def read_entry(folder: Path) -> Entry | None:
    """Reads entry.json; None if it is missing, or is not what this version writes."""
    try:
        values: dict[str, Any] = json.loads((folder / ENTRY_NAME).read_text("utf-8"))
        purpose = PackedFor(**values.pop("purpose"))
        return Entry(purpose=purpose, **values)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def _samples(size: int) -> list[tuple[int, int]]:
    return [(start, min(_SAMPLE, size - start)) for start in range(0, size, _MIB)]
