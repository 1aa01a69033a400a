"""Where measurements keep what can be made or downloaded again."""

from __future__ import annotations

from pathlib import Path

from platformdirs import user_cache_dir


def cache_folder() -> Path:
    """The folder for caches of this package, as the system has it; not made yet."""
    return Path(user_cache_dir("e5-onnx")) / "perf"
