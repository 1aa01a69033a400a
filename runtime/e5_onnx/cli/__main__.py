"""`python -m e5_onnx.cli`."""

import sys

from e5_onnx.cli import main

sys.exit(main())
