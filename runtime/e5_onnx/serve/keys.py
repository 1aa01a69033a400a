"""Keys: from a file or the environment, never from an argument, which every user of a machine can see."""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from e5_onnx.errors import OptionError

ENVIRONMENT: Final = "E5_ONNX_KEYS"
_SHORTEST: Final = 16
_BEARER: Final = b"bearer "


def read_keys(file: Path | None, environment: Mapping[str, str]) -> tuple[bytes, ...]:
    """Reads keys, one a line in the file, or separated by white space in E5_ONNX_KEYS.

    Lines that begin with `#` are comments.

    Raises:
        OptionError: If a file is named and has none, or one of them is too short to be a secret.
        OSError: If the file cannot be read.
    """
    if file is not None:
        lines = [line.strip() for line in file.read_text("utf-8").splitlines()]
        found = [line for line in lines if line and not line.startswith("#")]
        if not found:
            raise OptionError("key_file", str(file), "a file with a key a line; this one has none")
    else:
        found = environment.get(ENVIRONMENT, "").split()
    if any(len(key) < _SHORTEST for key in found):
        where = ENVIRONMENT if file is None else str(file)
        # The key itself belongs into no message.
        raise OptionError(where, "***", f"made of keys of at least {_SHORTEST} characters")
    return tuple(key.encode() for key in found)


def is_valid(header: bytes | None, keys: Sequence[bytes]) -> bool:
    """Whether an Authorization header carries one of the keys; the time it takes does not say which."""
    if header is None or header[: len(_BEARER)].lower() != _BEARER:
        return False
    given = header[len(_BEARER) :].strip()
    # Every key is compared: none is left out after a match.
    return sum(hmac.compare_digest(given, key) for key in keys) > 0
