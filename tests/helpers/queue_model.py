"""Servers in virtual time whose capacity is known: M/M/c and M/D/1 queues, and a limit of answers at a time.

What is known of the queues is Erlang's: of M/D/1 since 1909, of M/M/c since 1917 (Gross et al. 2008, 3.3).
"""

import heapq
import math
import random


class Queue:
    """Poisson arrivals, `servers` with exponential service of mean `service_s`, first come first served.

    `steady`: the service always takes as long, as that of AstrBot, which hashes a key for each request.
    """

    def __init__(self, *, servers, service_s, seed, steady=False):
        self._rng = random.Random(seed)
        self._serve = (lambda: service_s) if steady else (lambda: self._rng.expovariate(1 / service_s))
        self._free = [0.0] * servers
        self._now = 0.0

    def run(self, rate, seconds):
        """How long each arrival of these seconds was in the system."""
        end, t, taken = self._now + seconds, self._now, []
        while (t := t + self._rng.expovariate(rate)) < end:
            begins = max(t, heapq.heappop(self._free))
            done = begins + self._serve()
            heapq.heappush(self._free, done)
            taken.append(done - t)
        self._now = end
        return taken

    def clear(self):
        """Nobody arrives until everybody has left."""
        self._now = max(self._now, *self._free)


class Bounded:
    """`limit` answers at a time; whoever comes then is refused, and asks again `patience_s` later."""

    def __init__(self, *, limit, service_s, seed, patience_s=0.1):
        self._rng = random.Random(seed)
        self._limit, self._service_s, self._patience_s = limit, service_s, patience_s
        self._asks, self._ends = [], []  # when users ask next, and when answers that are being given end
        self._now = 0.0

    def run(self, users, seconds):
        """How long each answer that was asked for in these seconds took; infinitely when it was refused."""
        while len(self._asks) < users:
            heapq.heappush(self._asks, self._now + self._rng.uniform(0, self._service_s))
        end, taken = self._now + seconds, []
        while self._asks[0] < end:
            t = self._asks[0]
            self._ends = [done for done in self._ends if done > t]
            is_free = len(self._ends) < self._limit
            if is_free:
                self._ends.append(t + self._service_s)
            taken.append(self._service_s if is_free else math.inf)
            heapq.heapreplace(self._asks, t + (self._service_s if is_free else self._patience_s))
        self._now = end
        return taken

    def clear(self):
        """All users go, and come anew when the last is answered."""
        self._now, self._asks = max(self._now, *self._ends), []


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


def share_longer_of_steady(rate, service_s, limit_s):
    """The same where each service takes as long, one after the other: waiting alone is left to chance."""
    t = limit_s - service_s
    steps = ((k, rate * (t - k * service_s)) for k in range(int(t / service_s + 1e-9) + 1))
    return 1 - (1 - rate * service_s) * math.fsum(
        (-x) ** k / math.factorial(k) * math.exp(x) for k, x in steps
    )


def capacity(servers, service_s, limit_s, share, *, steady=False):
    """The rate at which that share of all is in the system longer than the limit."""
    assert servers == 1 or not steady
    low, high = 0.0, servers / service_s - 1e-6
    for _ in range(60):
        rate = (low + high) / 2
        longer = (
            share_longer_of_steady(rate, service_s, limit_s)
            if steady
            else share_longer(servers, rate, service_s, limit_s)
        )
        low, high = (rate, high) if longer < share else (low, rate)
    return low
