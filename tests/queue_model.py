"""An M/M/c queue in virtual time, and what Erlang (1917) says of it: see Gross et al. 2008, chapter 3.3."""

import heapq
import math
import random


class Queue:
    """Poisson arrivals, `servers` with exponential service of mean `service_s`, first come first served."""

    def __init__(self, *, servers, service_s, seed):
        self._rng = random.Random(seed)
        self._service_s = service_s
        self._free = [0.0] * servers
        self._now = 0.0

    def run(self, rate, seconds):
        """How long each arrival of these seconds was in the system."""
        end, t, taken = self._now + seconds, self._now, []
        while (t := t + self._rng.expovariate(rate)) < end:
            begins = max(t, heapq.heappop(self._free))
            done = begins + self._rng.expovariate(1 / self._service_s)
            heapq.heappush(self._free, done)
            taken.append(done - t)
        self._now = end
        return taken

    def clear(self):
        """Nobody arrives until everybody has left."""
        self._now = max(self._now, *self._free)


def share_longer(servers, rate, service_s, limit_s):
    """P(waiting and service together > limit)."""
    offered, mu = rate * service_s, 1 / service_s
    blocked = 1.0
    for number in range(1, servers + 1):
        blocked = offered * blocked / (number + offered * blocked)
    waits = blocked / (1 - offered / servers * (1 - blocked))
    leaves = servers * mu - rate
    in_queue = (leaves * math.exp(-mu * limit_s) - mu * math.exp(-leaves * limit_s)) / (leaves - mu)
    return (1 - waits) * math.exp(-mu * limit_s) + waits * in_queue


def capacity(servers, service_s, limit_s, share):
    """The rate at which that share of all is in the system longer than the limit."""
    low, high = 0.0, servers / service_s - 1e-6
    for _ in range(60):
        rate = (low + high) / 2
        low, high = (rate, high) if share_longer(servers, rate, service_s, limit_s) < share else (low, rate)
    return low
