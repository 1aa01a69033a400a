"""What commands print, on a stdout of any encoding."""

from __future__ import annotations

import json
import sys
from typing import Any


def print_text(text: str) -> None:
    """Writes text; characters that stdout's encoding does not have become Python's escapes."""
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))


def print_json(value: Any, *, indent: int | None = None) -> None:  # noqa: ANN401 - whatever JSON can hold
    """Writes JSON and a line end; an encoding without all characters gets JSON's own escapes."""
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(value, indent=indent)
    sys.stdout.write(f"{text}\n")
