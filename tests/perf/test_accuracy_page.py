"""accuracy.html in a real browser, and its parts."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from browser import browser_page, needs_browser
from small_data import write_data, write_questions

from e5_onnx.errors import MissingExtraError
from e5_onnx_perf.accuracy.accuracy_page import _explain, write_accuracy_page
from e5_onnx_perf.accuracy.pictures import difference_pictures, readable
from e5_onnx_perf.cli import main
from e5_onnx_perf.report.rendering import environment
from e5_onnx_perf.report.svg import new_picture, require_matplotlib, to_svg


@pytest.fixture(scope="module")
def page(exported, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("page")
    write_data(root / "data")
    write_questions(root / "things.en.json")
    words = [
        exported.folder, exported.int8, exported.seven_bits,
        "--data", root / "data", "--cache", root / "cache",
        "--languages", "de,en", "--resamples", "200", "--retrieval", root / "things.en.json",
        "--out", root / "out",
    ]  # fmt: skip
    assert main(["accuracy", *map(str, words)]) == 0
    return root / "out" / "accuracy.html"


@pytest.mark.browser
@needs_browser
@pytest.mark.parametrize(("width", "scheme"), [(1100, "light"), (380, "dark")])
def test_the_page_in_a_browser(width: int, scheme: str, page: Path, tmp_path: Path) -> None:
    with browser_page(width=width, scheme=scheme) as opened:
        opened.goto(page.as_uri())
        assert opened.title() == "Accuracy against folder"
        assert opened.evaluate("document.documentElement.scrollWidth") == width
        # Text in pictures follows the page's colours, or it would be black on black.
        ink = opened.evaluate("getComputedStyle(document.body).color")
        assert opened.evaluate("getComputedStyle(document.querySelector('svg text')).fill") == ink
        assert (ink == "rgb(28, 30, 33)") == (scheme == "light")
        opened.screenshot(path=tmp_path / "page.png", full_page=True)
    assert (tmp_path / "page.png").stat().st_size > 20_000


@pytest.mark.browser
@needs_browser
def test_a_table_sorts_from_the_keyboard(page: Path) -> None:
    with browser_page() as opened:
        opened.goto(page.as_uri())
        table = opened.locator("h2:has-text('All scores') ~ details table").first
        button = table.get_by_role("button", name="reference")
        column = lambda: [float(text) for text in table.locator("td:nth-child(5)").all_inner_texts()]  # noqa: E731
        given = column()
        button.focus()
        opened.keyboard.press("Enter")
        assert column() == sorted(given)
        assert table.locator("th[aria-sort=ascending]").inner_text().startswith("reference")
        button.click()
        assert column() == sorted(given, reverse=True)


def test_what_comes_from_outside_is_escaped(page: Path, tmp_path: Path) -> None:
    values = json.loads((page.parent / "accuracy.json").read_text("utf-8"))
    values["candidates"][0]["name"] = '<script>alert("x")</script>'
    values["candidates"][0]["fidelity"]["worst_texts"][0]["text"] = "<img src=x onerror=alert(1)>"
    write_accuracy_page(values, tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text("utf-8")
    assert "<script>alert" not in text
    assert "<img" not in text
    assert text.count("<script>") == 1


def test_pictures_say_when_languages_are_left_out() -> None:
    rows = [
        {"task": "bitext", "metric": "accuracy", "language": f"l{number}-eng", "delta": number / 10,
         "ci_low": number / 10 - 1, "ci_high": number / 10 + 1}
        for number in range(60)
    ]  # fmt: skip
    pictures = difference_pictures(
        [{"name": "int8", "tasks": rows}], {"language": 1.0}, {"bitext": "Translation"}
    )
    assert len(pictures) == 1
    assert "The 45 worst of 60; all are in the table below." in pictures[0].caption
    assert "l0-eng</text>" in pictures[0].svg
    assert "l59-eng</text>" not in pictures[0].svg


def test_a_picture_takes_its_colours_from_the_page() -> None:
    figure, axes = new_picture(3, 2)
    axes.plot([1, 2], [3, 4])
    axes.set_xlabel("points")
    svg = to_svg(figure, label='a "picture" of <points>')
    label = 'aria-label="a &quot;picture&quot; of &lt;points>"'
    assert svg.startswith(f'<svg role="img" {label} style="max-width:216pt"')
    assert ">points</text>" in svg
    assert "#01" not in svg
    assert not re.search(r"<svg[^>]* (width|height)=", svg)
    assert svg == to_svg(figure, label='a "picture" of <points>')


def test_languages_are_called_by_their_names() -> None:
    assert readable("de") == "German"
    assert readable("deu-eng") == "German to English"
    assert readable("pt-br") == "pt-br"


SPREAD = [
    ((3, 3, 0, "holds"), "Every language is within its margin; the average: holds."),
    ((3, 1, 0, "holds"), "Average: holds; 1 languages hold; 2 cannot tell."),
    ((3, 1, 2, "cannot tell"), "Average: cannot tell; 1 languages hold; 2 do not hold."),
]


@pytest.mark.parametrize(("row", "sentence"), SPREAD)
def test_what_a_verdict_rests_on(row: tuple[Any, ...], sentence: str) -> None:
    names = ("languages", "languages_hold", "languages_do_not_hold", "verdict_average")
    assert _explain(dict(zip(names, row, strict=True))) == sentence


@pytest.mark.parametrize(
    ("module", "ask"), [("matplotlib.figure", require_matplotlib), ("jinja2", environment)]
)
def test_what_draws_is_asked_for(module: str, ask: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=r"pip install 'e5-onnx\[perf\]'"):
        ask()
