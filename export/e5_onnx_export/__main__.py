"""`python -m e5_onnx_export`."""

import sys

from e5_onnx_export.cli import main

sys.exit(main())
