"""A rate that may change -> the intended time of every arrival. Pure: no clock, no gevent.

Arrivals are laid out in operational time, in which the rate is 1: constant arrivals stand at whole numbers,
Poisson arrivals a unit exponential apart. The integral of the rate maps them to real time, so a ramp of a
Poisson process is an exact inhomogeneous Poisson process (time rescaling: Brown et al. 2002,
Neural Computation 14), and a late generator skips nothing: what is due stays due.

Every load process lays out the same arrivals, of all processes together, and makes its share of them.
"""

import math
import random
from collections import deque
from enum import StrEnum
from typing import NamedTuple


class Process(StrEnum):
    CONSTANT = "constant"
    POISSON = "poisson"


class Share(NamedTuple):
    """Every `of`-th arrival, beginning with number `rank`."""

    rank: int = 0
    of: int = 1

    def skipped(self, number: int) -> int:
        """How many from `number` on are of others, until one of its own."""
        return (self.rank - number) % self.of


WHOLE = Share()


class IntendedArrival(NamedTuple):
    """When it is intended, and which of all it is: the same number in whichever process it falls to."""

    t: float
    number: int


class Arrivals:
    """The arrivals of one kind of user. `stream` tells the kinds apart: all of them interleave."""

    def __init__(self, process: Process, *, seed: int, stream: int = 0) -> None:
        self._process = process
        self._random = random.Random(f"{seed}/{stream}")  # noqa: S311 (reproducible, no secret)
        self._share = WHOLE
        self._t = -math.inf
        self._rate = 0.0
        self._operational = 0.0
        self._number = 0  # of the next arrival of all
        self._last = (0.5 + stream * _GOLDEN) % 1.0 - 1.0 if process is Process.CONSTANT else 0.0
        self._ahead: deque[float] = deque()  # the operational times from there on, as far as anybody asked

    def due(self) -> float:
        """When the next arrival of this share is intended; infinite while the rate is 0."""
        return self._time(self._share.skipped(self._number))

    def take_until(self, t: float) -> list[IntendedArrival]:
        """Those of this share up to `t` that were not taken yet, in order."""
        taken = []
        while (due := self._time(0)) <= t:
            if self._share.skipped(self._number) == 0:
                taken.append(IntendedArrival(due, self._number))
            self._drop()
        return taken

    def change(
        self, t: float, rate: float, share: Share = WHOLE, operational: float | None = None
    ) -> list[IntendedArrival]:
        """From `t` on the rate of all is `rate`. Returns what was due before in the old share.

        `operational`: how many arrivals the rates until then come to, when somebody else has added them up.
        """
        taken = self.take_until(t)
        if operational is None:
            operational = self._operational + (max(0.0, t - self._t) * self._rate if self._rate else 0.0)
        if self._t == -math.inf:  # what was before is past, and of others
            while self._place(0) <= operational:
                self._drop()
        self._t, self._operational = max(t, self._t), operational
        self._rate, self._share = rate, share
        return taken

    def _time(self, skipped: int) -> float:
        """When the next arrival but so many is intended."""
        if self._rate <= 0:
            return math.inf
        return self._t + (self._place(skipped) - self._operational) / self._rate

    def _place(self, skipped: int) -> float:
        """The same in operational time."""
        while len(self._ahead) <= skipped:
            self._last += 1.0 if self._process is Process.CONSTANT else self._random.expovariate(1.0)
            self._ahead.append(self._last)
        return self._ahead[skipped]

    def _drop(self) -> None:
        self._ahead.popleft()
        self._number += 1


_GOLDEN = (math.sqrt(5) - 1) / 2  # its multiples spread evenly over an interval
