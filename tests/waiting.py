"""Waiting for conditions. Only this file has a clock: a test that looks at one fails on a slow machine."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

# For tests that would otherwise hang for ever, and for timeouts that must never end: no machine that works
# needs as long.
PATIENCE_S = 900
_EVERY_S = 0.005


def until(condition: Callable[[], T], what: str = "the condition") -> T:
    """Waits until a condition holds and returns what it gave.

    Raises:
        AssertionError: If it does not hold after PATIENCE_S, or whatever the condition raises.
    """
    ends = time.monotonic() + PATIENCE_S
    while not (found := condition()):
        assert time.monotonic() < ends, f"waited {PATIENCE_S} s for {what}"
        time.sleep(_EVERY_S)
    return found


async def until_async(condition: Callable[[], T]) -> T:
    """`until`, while other tasks of the event loop run."""
    async with asyncio.timeout(PATIENCE_S):
        while not (found := condition()):
            await asyncio.sleep(_EVERY_S)
    return found


def a_moment_later(generator: random.Random) -> None:
    """Lets up to a tenth of a second pass, so that what follows strikes another process anywhere.

    A test must hold wherever that is.
    """
    time.sleep(generator.random() / 10)
