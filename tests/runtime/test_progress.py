from __future__ import annotations

import io

import pytest

from e5_onnx.text_input.progress import ProgressLine


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def line(stream: io.StringIO, seconds: list[float], **options: bool) -> ProgressLine:
    return ProgressLine(stream=stream, clock=lambda: seconds[0], **options)


def test_rates_and_time_left() -> None:
    stream, seconds = Terminal(), [0.0]
    progress = line(stream, seconds)
    seconds[0] = 10.0
    progress.add(texts=20, tokens=3000, truncated=1, done=0.25)
    assert stream.getvalue() == "\r20 texts, 2.0 texts/s, 300 tokens/s, 25%, 0:30 left"
    assert (progress.texts, progress.tokens, progress.truncated, progress.seconds) == (20, 3000, 1, 10.0)


def test_a_shorter_line_covers_the_longer_one_and_closing_clears_it() -> None:
    stream, seconds = Terminal(), [0.0]
    progress = line(stream, seconds)
    seconds[0] = 1.0
    progress.add(texts=1000, tokens=1, truncated=0, done=0.5)
    seconds[0] = 1000.0
    progress.add(texts=0, tokens=0, truncated=0, done=None)
    first, second = stream.getvalue().split("\r")[1:]
    assert len(first) == len(second)
    progress.close()
    assert stream.getvalue().endswith("\r")
    progress.close()


def test_not_more_than_five_lines_a_second() -> None:
    stream, seconds = Terminal(), [0.0]
    progress = line(stream, seconds)
    for step in range(100):
        seconds[0] = step / 100
        progress.add(texts=1, tokens=1, truncated=0, done=None)
    assert stream.getvalue().count("\r") <= 5


@pytest.mark.parametrize(("stream", "shown"), [(io.StringIO(), None), (Terminal(), False)])
def test_silence(stream: io.StringIO, shown: bool | None) -> None:
    seconds = [0.0]
    progress = ProgressLine(stream=stream, clock=lambda: seconds[0], shown=shown)
    seconds[0] = 9.0
    progress.add(texts=1, tokens=1, truncated=0, done=1.0)
    progress.close()
    assert stream.getvalue() == ""


def test_no_time_has_passed() -> None:
    assert line(io.StringIO(), [5.0]).rates() == "0 texts, 0.0 texts/s, 0 tokens/s"
