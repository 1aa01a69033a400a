from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from tiny_models import XLM_ROBERTA, tiny_weights, write_checkpoint
from tiny_tokenizers import write_tiny_tokenizer

from e5_onnx_export import ExportRequest, RecipeRequest, export
from e5_onnx_export.request import QuantizationRequest
from e5_onnx_export.rounding.rounding import WeightBits


@dataclass(frozen=True)
class Exported:
    checkpoint: Path
    folder: Path
    int8: Path
    seven_bits: Path


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """A tiny model, before and after its export, that takes the 256 tokens of the longest workload."""
    root = tmp_path_factory.mktemp("exported")
    shape = replace(XLM_ROBERTA, hidden=32, intermediate=64, positions=258)
    tokenizer = write_tiny_tokenizer(root / "tokenizer.json")
    checkpoint = write_checkpoint(root / "checkpoint", shape, tiny_weights(shape), tokenizer)
    folder = root / "folder"
    recipe = RecipeRequest("e5-instruct")
    export(ExportRequest(str(checkpoint), folder, recipe=recipe, reference="none"))
    quantised: dict[WeightBits, Path] = {8: root / "folder-int8", 7: root / "folder-7-bits"}
    for bits, out in quantised.items():
        wanted = QuantizationRequest(min_cosine=0, weight_bits=bits)
        request = ExportRequest(
            str(checkpoint), out, recipe=recipe, reference="none", precision="int8", lean=False,
            quantization=wanted,
        )  # fmt: skip
        export(request)
    return Exported(checkpoint, folder, quantised[8], quantised[7])


@pytest.fixture
def file_server() -> Iterator[Callable[[Path], str]]:
    """Serves folders on this machine: from a folder to its address."""
    servers = []

    def serve(folder: Path) -> str:
        handler = partial(QuietHandler, directory=str(folder))
        servers.append(ThreadingHTTPServer(("127.0.0.1", 0), handler))
        threading.Thread(target=servers[-1].serve_forever, kwargs={"poll_interval": 0.02}).start()
        return f"http://127.0.0.1:{servers[-1].server_port}"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_args: object) -> None:
        """Says nothing."""
