"""A process that opens a model and embeds: `python -m e5_onnx_perf.faults.embed_once FOLDER CACHE TEXT...`.

Says "ready", waits for a line, opens the model with the cache, and writes a JSON object of `vectors` and the
names of the `warnings`.
"""

from __future__ import annotations

import json
import sys
import warnings

from e5_onnx import Embedder


def main() -> None:
    """Does it once."""
    folder, cache, *texts = sys.argv[1:]
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with Embedder(folder, cache_dir=cache, threads=1) as model:
            vectors = model.embed_documents(texts)
    names = [warning.category.__name__ for warning in caught]
    sys.stdout.write(json.dumps({"vectors": vectors.tolist(), "warnings": names}) + "\n")


if __name__ == "__main__":
    main()
