"""A test waits for what it needs, not for a time, and long enough, whatever else the machine does."""

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")
PATIENCE_S = 90.0  # a test has 120 s in all, unless it says otherwise


def until(condition: Callable[[], Found], what: str = "", limit_s: float = PATIENCE_S) -> Found:
    """The first true answer of `condition`."""
    give_up = time.monotonic() + limit_s
    while not (found := condition()):
        assert time.monotonic() < give_up, f"not within {limit_s:g} s: {what or condition}"
        time.sleep(0.05)
    return found


async def async_until(condition: Callable[[], Found]) -> Found:
    """The same while an event loop goes on."""
    async with asyncio.timeout(PATIENCE_S):
        while not (found := condition()):
            await asyncio.sleep(0.02)
    return found
