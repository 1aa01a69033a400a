from __future__ import annotations

import argparse
from collections.abc import Iterator

import pytest

from e5_onnx.cli import _parser
from e5_onnx.cli.flags import FLAGS, with_flags
from e5_onnx.errors import E5Error, OptionError, TaskError, TextTooLongError

MESSAGES: list[tuple[E5Error, str]] = [
    (
        OptionError("overflow", "drop", "warn or truncate"),
        "--overflow is 'drop'; it must be warn or truncate",
    ),
    (OptionError("role", None, "query or raw"), "--role is missing; it must be query or raw"),
    (
        OptionError("threads", 9, "at most 4 with tokenizer='tokie' and `task`"),
        "--threads is 9; it must be at most 4 with --tokenizer tokie and `--task`",
    ),
    (OptionError("spokes", 3, "even"), "spokes is 3; it must be even"),
    (TaskError("leave `task` out"), "leave `--task` out"),
    (
        TextTooLongError(3, 700, 512),
        "text 3 has 700 tokens, the model takes 512: split it, or choose --overflow truncate or, for "
        "documents, --overflow window",
    ),
    (E5Error("`tasks`, my_task='a', task"), "`tasks`, my_task='a', task"),
]


@pytest.mark.parametrize(("error", "message"), MESSAGES, ids=[message for _, message in MESSAGES])
def test_parameters_become_flags(error: E5Error, message: str) -> None:
    assert with_flags(error) == message


def test_a_program_has_its_own_flags() -> None:
    error = OptionError("largest_mb", 0, "more than `role`")
    assert with_flags(error, {"largest_mb": "--max-size"}) == "--max-size is 0; it must be more than `role`"


def test_every_flag_is_one_that_a_command_takes() -> None:
    assert set(FLAGS.values()) <= set(spellings(_parser()))


def spellings(parser: argparse.ArgumentParser) -> Iterator[str]:
    """The flags and positional arguments of a parser and of the parsers below it."""
    for action in parser._actions:
        yield from action.option_strings or [str(action.metavar)]
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                yield from spellings(below)
