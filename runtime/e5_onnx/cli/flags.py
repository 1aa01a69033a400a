"""Errors in the words of the command line: the only place that knows which flag sets which parameter."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Mapping
from typing import Final

from e5_onnx.errors import E5Error, OptionError

FLAGS: Final[Mapping[str, str]] = {
    "address": "--address",
    "allow_host": "--allow-host",
    "body_timeout": "--body-timeout",
    "cache_dir": "--cache-dir",
    "cache_queries": "--cache-queries",
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
    "queue_mb": "--queue-mb",
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


_ESCAPE: Final = r"""\\(?:[\\'"nrt]|x[0-9a-f]{2}|u[0-9a-f]{4}|U000[0-9a-f]{5}|U0010[0-9a-f]{4})"""
_STRING: Final = rf"""'(?:[^'\\\n]|{_ESCAPE})*'|"(?:[^"\\\n]|{_ESCAPE})*\""""
# As repr writes them: anything else in a message is not a value, and stays.
_LITERAL: Final = rf"(?:{_STRING}|(?:-?(?:0|[1-9]\d*)(?:\.\d+)?(?:e[+-]?\d+)?|True)(?![\w/]))"


def with_flags(error: E5Error, flags: Mapping[str, str] = FLAGS) -> str:
    """Returns an error's message with flags in place of parameters.

    Messages name a parameter as Python writes it: `overflow`, or overflow='error'. Here these become
    `--overflow` and `--overflow error`.

    Args:
        error: The error.
        flags: For each parameter that a message may name, the flag or the positional argument that sets it.
    """
    if not isinstance(error, OptionError):
        return in_flags(str(error), flags)
    state = "missing" if error.value is None else repr(error.value)
    name = flags.get(error.parameter, error.parameter)
    return f"{name} is {state}; it must be {in_flags(error.expected, flags)}"


def in_flags(message: str, flags: Mapping[str, str]) -> str:
    """Returns a message with flags in place of parameters, and values quoted for a shell.

    Values are Python literals: query_template='a {text}' becomes `--query-template 'a {text}'`, force=True
    becomes `--force`, and precision='int8' or 'int4' becomes `--precision int8 or int4`.
    """
    names = "|".join(map(re.escape, flags))
    values = rf"{_LITERAL}(?:(?: or |\|){_LITERAL})*"
    # In one pass, so that nothing inside a value is taken for a parameter.
    pattern = rf"(?<![\w/])(?P<set>{names})=(?P<values>{values})|`(?P<named>{names})`"
    return re.sub(pattern, lambda found: _written(found, flags), message)


def _written(found: re.Match[str], flags: Mapping[str, str]) -> str:
    if found["named"]:
        return f"`{flags[found['named']]}`"
    return _set(flags[found["set"]], found["values"])


def _set(flag: str, values: str) -> str:
    if values == "True":
        return flag
    written = re.sub(_LITERAL, lambda found: shlex.quote(str(ast.literal_eval(found[0]))), values)
    # argparse takes a word that begins with a dash for a flag.
    joint = "=" if written.startswith(("-", "'-")) else " "
    return f"{flag}{joint}{written}"
