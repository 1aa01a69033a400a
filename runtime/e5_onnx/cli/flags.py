"""Errors in the words of the command line: the only place that knows which flag sets which parameter."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from e5_onnx.errors import E5Error, OptionError

FLAGS: Final[Mapping[str, str]] = {
    "address": "--address",
    "allow_host": "--allow-host",
    "body_timeout": "--body-timeout",
    "cache_dir": "--cache-dir",
    "connections": "--connections",
    "default_role": "--default-role",
    "delimiter": "--delimiter",
    "documents": "DOCUMENTS",
    "engine": "--engine",
    "folder": "MODEL",
    "header_timeout": "--header-timeout",
    "host": "--host",
    "id_column": "--id-column",
    "inputs": "INPUT",
    "insecure_no_key": "--insecure-no-key",
    "keep": "--keep",
    "key_file": "--key-file",
    "max_body_mb": "--max-body-mb",
    "max_items": "--max-items",
    "max_memory_mb": "--max-memory-mb",
    "max_tokens": "--max-tokens",
    "metrics_address": "--metrics-address",
    "name": "--name",
    "node_model": "--node-model",
    "on_bad_row": "--on-bad-row",
    "output": "--output",
    "overflow": "--overflow",
    "port": "--port",
    "query": "QUERY",
    "queue_tokens": "--queue-tokens",
    "request_timeout": "--request-timeout",
    "role": "--role",
    "send_timeout": "--send-timeout",
    "shard_rows": "--shard-rows",
    "shard_seconds": "--shard-seconds",
    "task": "--task",
    "text_column": "--text-column",
    "threads": "--threads",
    "tokenizer": "--tokenizer",
    "top": "--top",
    "workers": "--workers",
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
