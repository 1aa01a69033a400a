"""`e5` with few file descriptors: `python -m e5_onnx_perf.serve_load.few_files FILES COMMAND ...`."""

from __future__ import annotations

import resource
import sys

from e5_onnx.cli import main

if __name__ == "__main__":
    files = int(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    sys.exit(main(sys.argv[2:]))
