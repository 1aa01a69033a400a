"""`--help` of every command: each option is a phrase, and says its default where it has one."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import pytest

import e5_onnx.cli
import e5_onnx_perf.cli
from e5_onnx_export.cli import card, export

HIDDEN = argparse.SUPPRESS
PARSERS = {
    "e5": e5_onnx.cli._parser(),
    "e5-export": export.export_parser(),
    "e5-export card": card.card_parser(),
    "e5-perf": e5_onnx_perf.cli._parser(),
}


def options(parser: argparse.ArgumentParser, name: str) -> Iterator[tuple[str, argparse.Action]]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for word, inner in action.choices.items():
                yield from options(inner, f"{name} {word}")
        elif not isinstance(action, argparse._HelpAction | argparse._VersionAction) and action.help != HIDDEN:
            yield f"{name} {'/'.join(action.option_strings) or action.dest}", action


OPTIONS = dict(row for name, parser in PARSERS.items() for row in options(parser, name))


@pytest.mark.parametrize("name", OPTIONS)
def test_an_option_is_a_phrase_with_its_default(name: str) -> None:
    action = OPTIONS[name]
    words = (action.help or "").split()
    assert len(words) >= 2, f"{name} says {action.help!r}"
    assert words[0] not in ("of", "that", "where", "what", "which", "needs", "as"), f"{name}: {action.help}"
    if action.option_strings and not action.required:
        assert "default" in str(action.help), f"{name}: {action.help}"
