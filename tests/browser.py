"""A real browser without a window, for the pages that people look at."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from waiting import PATIENCE_S

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (Debian: chromium)")

# A sandbox needs user namespaces, which a container may lack; the pages are this project's own. Nothing is
# to call home.
_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]


@contextmanager
def browser_page(*, width: int = 1100, scheme: str = "light", allowed: tuple[str, ...] = ()) -> Iterator[Any]:
    """Opens an empty page; whatever it says on the console, or throws, fails the test that used it.

    Unless it holds one of the words that are `allowed`.
    """
    from playwright.sync_api import sync_playwright

    said: list[str] = []
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=_FLAGS, timeout=1000 * PATIENCE_S)
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        context.set_default_timeout(1000 * PATIENCE_S)
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("requestfailed", lambda request: said.append(request.url))
        yield page
        browser.close()
    assert [text for text in said if not any(word in text for word in allowed)] == []
