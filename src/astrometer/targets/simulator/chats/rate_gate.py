"""AstrBot's rate limit: a session's messages pass, wait, or are turned away."""

import asyncio
from collections import deque
from time import perf_counter

from astrometer.targets.simulator.simulator_config import SimulatedRateLimit


class RateGate:
    def __init__(self, limit: SimulatedRateLimit) -> None:
        self._limit = limit
        self._arrivals: dict[str, deque[float]] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    async def passes(self, umo: str) -> bool:
        """Wait for the limit, or be turned away by it."""
        limit = self._limit
        if limit.strategy == "off" or limit.count <= 0:
            return True
        async with self._locks.setdefault(umo, asyncio.Lock()):
            arrivals = self._arrivals.setdefault(umo, deque())
            while True:
                now = perf_counter()
                while arrivals and arrivals[0] < now - limit.window_s:
                    arrivals.popleft()
                if len(arrivals) < limit.count:
                    arrivals.append(now)
                    return True
                if limit.strategy == "discard":
                    return False
                await asyncio.sleep(arrivals[0] + limit.window_s - now + 0.3)
