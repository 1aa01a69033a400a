from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterator

import pytest

from e5_onnx.cli import _parser
from e5_onnx.cli.flags import FLAGS, in_flags, with_flags
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


@pytest.mark.parametrize(
    "value",
    ["find: {text}", "it's {text}", 'it\'s "$HOME" `x`', "a\nb\\n", "-q{text}", "-", "", "'-", "é 語", 7],
)
def test_a_value_can_be_copied(value: str | int) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--query-template", type=type(value))
    line = in_flags(f"query_template={value!r}", {"query_template": "--query-template"})
    assert parser.parse_args(shlex.split(line)).query_template == value


@pytest.mark.parametrize(
    ("message", "line"),
    [
        ("replace it with force=True, or", "replace it with --force, or"),
        ("is for top=0.5 or 'b', not c", "is for --top 0.5 or b, not c"),
        ("set top='a'|'b'", "set --top a|b"),
        ("top='`force`'", "--top '`force`'"),
        (r"top='\d' top=007", r"top='\d' top=007"),
        ("data/top=5/a my_top=5 top=5/a top=5th", "data/top=5/a my_top=5 top=5/a top=5th"),
    ],
)
def test_values_are_literals(message: str, line: str) -> None:
    assert in_flags(message, {"force": "--force", "top": "--top"}) == line


def test_every_flag_is_one_that_a_command_takes() -> None:
    assert set(FLAGS.values()) <= set(spellings(_parser()))


def spellings(parser: argparse.ArgumentParser) -> Iterator[str]:
    """The flags and positional arguments of a parser and of the parsers below it."""
    for action in parser._actions:
        yield from action.option_strings or [str(action.metavar)]
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                yield from spellings(below)
