"""What cleanups could not remove, of this process and of dead ones -> tried again when its server answers."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from itertools import islice
from time import perf_counter

import httpx

from astrometer.config.settings import Target
from astrometer.probing.budget import Ledger
from astrometer.probing.cleanup.identity import Memory, Server, server_of
from astrometer.probing.cleanup.leak_journal import LeakEntry, LeakJournal
from astrometer.probing.cleanup.teardown import MOST_SWEPT, Teardown
from astrometer.probing.exchanges import Exchanges
from astrometer.probing.run_record import Limits
from astrometer.probing.verdict import ProbeRun

MOST_KEPT = 500  # of one target: a server that deletes nothing any more would make the list grow for ever


class Orphans:
    """Keeps a list for each target, and removes a few at a time."""

    def __init__(
        self,
        journal: LeakJournal,
        memory: Memory,
        ledger: Ledger,
        http: Callable[[], httpx.AsyncBaseTransport] | None = None,
    ) -> None:
        self._journal = journal
        self._memory = memory
        self._ledger = ledger
        self._http = http
        self._left: defaultdict[Server, dict[str, LeakEntry]] = defaultdict(
            dict
        )  # by id, the next to try first
        self._tried: set[str] = set()  # ids that a run tries right now: they stay in the list meanwhile
        self._too_many: set[Server] = set()  # servers for which that was said

    def __len__(self) -> int:
        return sum(map(len, self._left.values()))

    async def clean(self, made: Teardown) -> list[str]:
        """Run every cleanup of a run, last made first. Returns the kinds of what is left by it."""
        failed = []
        while made.items:
            item = made.items.pop()
            if not await made.undo(item) and (item.entry is None or self._keep(item.entry)):
                failed.append(item.resource)
        return failed

    async def take_along(self, made: Teardown) -> list[tuple[str, str]]:
        """Try some of the target's leftovers again. Returns (probe, kind) of what is gone now.

        What that makes, and cannot remove, is among the run's own.
        """
        mine = [*self._left[server_of(made.asks.target)].values()]
        return await self._try(made, mine, MOST_SWEPT)

    async def _try(self, made: Teardown, mine: list[LeakEntry], most: int) -> list[tuple[str, str]]:
        target = made.asks.target
        gone, left, keys = [], self._left[server_of(target)], target.keys
        for entry in mine:
            if self._journal.forgets(entry):
                left.pop(entry.id, None)
        # Of a key that the config has lost: nobody else's may delete it. Or another run was quicker.
        open_ones = (
            entry for entry in mine if entry.key in keys and entry.id in left and entry.id not in self._tried
        )
        for entry in islice(open_ones, most):
            self._tried.add(entry.id)
            try:
                if await made.undo(made.cleanup_of(entry, keys[entry.key])):
                    gone.append((entry.probe, entry.resource))
                    left.pop(entry.id, None)
                elif entry.id in left:
                    left[entry.id] = left.pop(entry.id)  # behind the others
            finally:
                self._tried.discard(entry.id)
        return gone

    async def sweep(self, targets: Iterable[Target], limit_s: float = 15.0) -> list[ProbeRun]:
        """At the start: adopt what dead processes left and remove it. A run, without a verdict, for each."""
        for entry in self._journal.adopt():
            self._keep(entry)
        runs = await asyncio.gather(*(self._sweep_target(target, limit_s) for target in targets))
        return [run for some in runs for run in some]

    def _keep(self, entry: LeakEntry) -> bool:
        """False: it is there already, from an earlier try to make it and remove it."""
        mine = self._left[entry.server]
        if entry.id in mine:
            return False
        mine[entry.id] = entry
        if len(mine) <= MOST_KEPT:
            return True
        oldest = min(mine.values(), key=lambda other: other.made_at)
        del mine[oldest.id]
        self._journal.done(oldest)
        if entry.server not in self._too_many:
            self._too_many.add(entry.server)
            said = f"more than {MOST_KEPT} things could not be deleted: the oldest are not tried again"
            self._journal.say(f"{entry.target}: {said}")
        return True

    async def _sweep_target(self, target: Target, limit_s: float) -> list[ProbeRun]:
        left = [*self._left[server_of(target)].values()]
        probes = dict.fromkeys(entry.probe for entry in left)
        return [
            await self._sweep_probe(
                target, probe, [entry for entry in left if entry.probe == probe], limit_s / len(probes)
            )
            for probe in probes
        ]

    async def _sweep_probe(
        self, target: Target, probe: str, mine: list[LeakEntry], limit_s: float
    ) -> ProbeRun:
        limits = Limits(total_s=limit_s, cleanup_s=limit_s)
        asks = Exchanges(target, limits, self._ledger, self._http() if self._http else None)
        made = Teardown(asks, probe, self._memory, self._journal)
        began_at, began = time.time(), perf_counter()
        try:
            await self._try(made, mine, len(mine))
            failed = await self.clean(made)
        finally:
            await asks.close()
        left = self._left[server_of(target)]
        return ProbeRun(
            target=target.name,
            url=target.url,
            probe=probe,
            verdict=None,
            started_at=began_at,
            duration_s=perf_counter() - began,
            cleanup_failures=(*(entry.resource for entry in mine if entry.id in left), *failed),
            note="what an earlier process left",
            log=tuple(asks.record.log),
        )
