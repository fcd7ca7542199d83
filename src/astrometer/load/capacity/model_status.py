"""A model server's own status -> how many requests it is working on. What AstrBot itself does not tell.

JSON with `in_flight` (the sandbox's stub model, /stub/stats) or `chats_in_flight` (the simulator,
/sim/stats); or Prometheus text (vLLM, SGLang: /metrics).
"""

import json
import logging
import math
import re
import time
from contextlib import closing
from typing import Any

import gevent

from astrometer.api.call_exchange import CallExchange
from astrometer.load.transport.load_client import Client, Request

# vllm:num_requests_running, vllm:num_requests_waiting; sglang:num_running_reqs, sglang:num_queue_reqs
_RUNNING = re.compile(
    r"^\S*:num_(?:requests_(?:running|waiting)|(?:running|queue)_reqs)(?:\{[^\n]*\})? (\S+)", re.MULTILINE
)
TIMEOUT_S = 5.0
FRESH_S = 0.5
MAX_BYTES = 1_000_000

log = logging.getLogger(__name__)


class ModelStatus:
    """`--model-status URL`. What cannot be asked is taken for idle, and said once."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._has_failed = False
        self._asked_at = -math.inf
        self._answer = 0
        self._most: int | None = None
        self._watcher: Any = None

    @property
    def most(self) -> int | None:
        """Requests at once, of all that it told; None: it never told any number."""
        return self._most

    def watch(self) -> None:
        """Ask it all the time, from now on."""
        self._watcher = gevent.spawn(self._watch)

    def close(self) -> None:
        if self._watcher is not None:
            self._watcher.kill()
            self._watcher = None

    def _watch(self) -> None:
        while True:
            self.running()
            gevent.sleep(FRESH_S)

    def running(self) -> int:
        """Requests that it answers or keeps waiting; as it was half a second ago at most."""
        if time.monotonic() - self._asked_at >= FRESH_S:
            self._answer = self._ask()
            self._asked_at = time.monotonic()
        return self._answer

    def _ask(self) -> int:
        exchange = CallExchange(timeout_s=TIMEOUT_S, raw=True, max_bytes=MAX_BYTES)
        with closing(Client(self._url, lambda _scope: None)) as client:
            client.run(Request(method="GET", path="", scope=None), exchange)
        told = exchange.result()
        try:
            if told.outcome.is_ok:
                running = parse(told.body.decode("utf-8", "replace"))
                self._most = max(running, self._most or 0)
                return running
            reason = told.detail or told.outcome.value
        except ValueError as exc:
            reason = str(exc)
        if not self._has_failed:
            log.warning("--model-status %s cannot be read: %s", self._url, reason)
        self._has_failed = True
        return 0


def parse(text: str) -> int:
    """Raises ValueError when the text is neither."""
    try:
        found = json.loads(text)
    except ValueError:
        counts = [float(count) for count in _RUNNING.findall(text)]
        if not counts:
            raise ValueError("neither JSON with in_flight nor metrics of vLLM or SGLang") from None
        return round(sum(counts))
    known = found if isinstance(found, dict) else {}
    for name in ("in_flight", "chats_in_flight"):
        if isinstance(known.get(name), int):
            return int(known[name])
    raise ValueError("JSON without a number in_flight")
