"""Work that many may ask for -> done once. Whoever asks waits for its end, and may be killed meanwhile."""

from collections.abc import Callable
from typing import Any

import gevent


class Once:
    """`work` in a greenlet of its own: Locust kills those that stop a test when another one stops it, too."""

    def __init__(self, work: Callable[[], None]) -> None:
        self._work = work
        self._greenlet: Any = None

    def __call__(self) -> None:
        """Raises what `work` raises."""
        if self._greenlet is None:
            self._greenlet = gevent.spawn(self._work)
        self._greenlet.get()
