"""The page at / in a real browser: by keyboard, on a phone, in the dark, with a key and without."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from browser import browser_page, needs_browser
from served import KEY, LocalServer

from e5_onnx import Embedder

pytestmark = [pytest.mark.browser, needs_browser]

TEXTS = ["the moon is red", "the river of the city", "mond \u00fcber dem Fluss"]


@pytest.mark.parametrize(("width", "scheme"), [(1100, "light"), (375, "dark")])
def test_compare_by_keyboard(
    width: int, scheme: str, start_server: Callable[..., LocalServer], tmp_path: Path, tiny_folder: Path
) -> None:
    server = start_server("--threads", "1")
    with browser_page(width=width, scheme=scheme) as page:
        page.goto(server.url)
        page.get_by_text("32 dimensions").wait_for()
        page.keyboard.press("Tab")  # the choice of modes, then the texts
        page.keyboard.press("Tab")
        page.keyboard.press("Control+a")
        page.keyboard.type("\n".join(TEXTS))
        page.keyboard.press("Tab")
        page.keyboard.press("d")  # the role: document
        for _ in range(20):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.type") == "submit":
                break
        page.keyboard.press("Enter")
        page.locator("#answer table.matrix").wait_for()
        cells = page.locator("table.matrix td").all_inner_texts()
        page.locator("#tokens tbody tr").nth(2).wait_for()
        tokens = page.locator("#tokens td.number").all_inner_texts()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.screenshot(path=tmp_path / "compare.png", full_page=True)
    with Embedder(tiny_folder) as model:
        found = model.encode(TEXTS, role="document")
    shown = np.array([float(cell) for cell in cells if cell.strip()])
    cosines = found.vectors @ found.vectors.T
    np.testing.assert_allclose(shown, cosines[~np.eye(3, dtype=bool)], atol=6e-4)
    assert [int(count) for count in tokens] == found.tokens.tolist()
    assert (tmp_path / "compare.png").stat().st_size > 10_000


def test_rank_with_a_key(start_server: Callable[..., LocalServer], tmp_path: Path, tiny_folder: Path) -> None:
    server = start_server("--threads", "1", keys=KEY)
    # Without the key the browser itself notes the refused request on its console.
    with browser_page(allowed=("401",)) as page:
        page.goto(server.url)
        page.get_by_text("This server wants a key").wait_for()
        page.locator("#key").fill(KEY)
        page.get_by_label("Rank documents for a query").check()
        page.locator("#query").fill("moon")
        page.locator("#texts").fill("\n".join([*TEXTS, "river " * 600]))
        page.locator("button.main").click()
        page.locator("#ranking li").nth(3).wait_for()
        ranked = [text.rsplit(" ", 1)[0].strip() for text in page.locator("#ranking li").all_inner_texts()]
        page.get_by_text("cut to 128").first.wait_for()
        page.get_by_role("button", name="Copy as curl").click()
        page.screenshot(path=tmp_path / "rank.png", full_page=True)
    with Embedder(tiny_folder) as model:
        scores = model.embed_documents(TEXTS) @ model.embed_queries("moon")
    expected = [TEXTS[index] for index in np.argsort(-scores)]
    assert [text for text in ranked if text in TEXTS] == expected


def test_what_is_copied_runs(start_server: Callable[..., LocalServer], tmp_path: Path) -> None:
    server = start_server("--threads", "1")
    with browser_page() as page:
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        page.goto(server.url)
        page.get_by_text("32 dimensions").wait_for()
        page.locator("#texts").fill("it's the moon")
        page.get_by_role("button", name="Copy as curl").click()
        page.get_by_text("copied").wait_for()
        curl = page.evaluate("navigator.clipboard.readText()")
        page.get_by_role("button", name="Copy as Python").click()
        page.wait_for_function("navigator.clipboard.readText().then((text) => text.includes('OpenAI'))")
        python = page.evaluate("navigator.clipboard.readText()")
    assert curl.startswith(f"curl {server.url}/v1/embeddings ")
    assert """it'\\''s the moon""" in curl
    compile(python, "copied", "exec")
    assert f'base_url="{server.url}/v1"' in python


def test_an_error_is_shown(start_server: Callable[..., LocalServer]) -> None:
    server = start_server("--threads", "1", "--max-items", "2")
    with browser_page(allowed=("413",)) as page:
        page.goto(server.url)
        page.get_by_text("32 dimensions").wait_for()
        page.locator("#texts").fill("a\nb\nc")
        page.locator("button.main").click()
        page.get_by_text("a request may have 2 items").wait_for()
