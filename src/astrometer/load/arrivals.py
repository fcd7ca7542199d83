"""A rate that may change -> the intended time of every arrival. Pure: no clock, no gevent.

Arrivals are laid out in operational time, in which the rate is 1: constant arrivals stand at whole numbers,
Poisson arrivals a unit exponential apart. The integral of the rate maps them to real time, so a ramp of a
Poisson process is an exact inhomogeneous Poisson process (time rescaling: Brown et al. 2002,
Neural Computation 14), and a late generator skips nothing: what is due stays due.
"""

import math
import random
from enum import StrEnum


class Process(StrEnum):
    """How arrivals are spaced."""

    CONSTANT = "constant"
    POISSON = "poisson"


class Arrivals:
    """The arrivals of one kind of user in one process of the run.

    `shard` tells the processes apart and `stream` the kinds of users: all of them interleave.
    """

    def __init__(self, process: Process, *, seed: int, shard: int, start: float, stream: int = 0) -> None:
        self._process = process
        self._random = random.Random(f"{seed}/{shard}/{stream}")  # noqa: S311 (reproducible, no secret)
        self._t = start
        self._rate = 0.0
        self._operational = 0.0
        # The halves, quarters ... between the arrivals of the processes before this one.
        if process is Process.CONSTANT:
            self._next = (_van_der_corput(shard + 1) + stream * _GOLDEN) % 1.0
        else:
            self._next = self._random.expovariate(1.0)

    @property
    def rate(self) -> float:
        """Arrivals per second, now."""
        return self._rate

    def due(self) -> float:
        """When the next arrival is intended; infinite while the rate is 0."""
        if self._rate <= 0:
            return math.inf
        return self._t + (self._next - self._operational) / self._rate

    def take_until(self, t: float) -> list[float]:
        """The intended times up to `t` that were not taken yet, in order."""
        taken = []
        while (due := self.due()) <= t:
            taken.append(due)
            self._next += 1.0 if self._process is Process.CONSTANT else self._random.expovariate(1.0)
        return taken

    def change_rate(self, t: float, rate: float) -> list[float]:
        """From `t` on the rate is `rate`. Returns what was due before under the old one."""
        taken = self.take_until(t)
        self._operational += max(0.0, t - self._t) * self._rate
        self._t = max(t, self._t)
        self._rate = rate
        return taken


_GOLDEN = (math.sqrt(5) - 1) / 2  # its multiples spread evenly over an interval, too


def _van_der_corput(number: int) -> float:
    """0.5, 0.25, 0.75, 0.125 ...: any number of processes is spread evenly over one interval."""
    value, step = 0.0, 0.5
    while number:
        value += step * (number & 1)
        number >>= 1
        step /= 2
    return value
