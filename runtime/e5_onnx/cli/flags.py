"""Errors in the words of the command line: the only place that knows which flag sets which parameter."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from e5_onnx.errors import E5Error, OptionError

FLAGS: Final[Mapping[str, str]] = {
    "address": "--address",
    "cache_dir": "--cache-dir",
    "documents": "DOCUMENTS",
    "engine": "--engine",
    "id_column": "--id-column",
    "inputs": "INPUT",
    "keep": "--keep",
    "node_model": "--node-model",
    "on_bad_row": "--on-bad-row",
    "output": "--output",
    "overflow": "--overflow",
    "role": "--role",
    "shard_rows": "--shard-rows",
    "task": "--task",
    "text_column": "--text-column",
    "threads": "--threads",
    "tokenizer": "--tokenizer",
    "top": "--top",
}


def with_flags(error: E5Error, flags: Mapping[str, str] = FLAGS) -> str:
    """Returns an error's message with flags in place of parameters.

    Messages name a parameter as Python writes it: `overflow`, or overflow='error'. Here these become
    `--overflow` and `--overflow error`.

    Args:
        error: The error.
        flags: For each parameter that a message may name, the flag or the positional argument that sets it.
    """
    if not isinstance(error, OptionError):
        return _translated(str(error), flags)
    state = "missing" if error.value is None else repr(error.value)
    name = flags.get(error.parameter, error.parameter)
    return f"{name} is {state}; it must be {_translated(error.expected, flags)}"


def _translated(message: str, flags: Mapping[str, str]) -> str:
    names = "|".join(map(re.escape, flags))
    message = re.sub(rf"\b({names})='([^']*)'", lambda found: f"{flags[found[1]]} {found[2]}", message)
    return re.sub(rf"`({names})`", lambda found: f"`{flags[found[1]]}`", message)
