"""What cleanups could not remove, of this process and of dead ones -> tried again when its server answers."""

import asyncio
import time
from collections.abc import Callable, Iterable
from time import perf_counter

import httpx

from astrometer.config import Target
from astrometer.probing.cleanup import MOST_SWEPT, cleanup_of, undo
from astrometer.probing.identity import Memory
from astrometer.probing.journal import Entry, Journal
from astrometer.probing.probe import Context
from astrometer.probing.record import Limits
from astrometer.probing.verdict import Run

MOST_KEPT = 500  # of one target: a server that deletes nothing any more would make the list grow for ever


class Leftovers:
    """Keeps a list for each target, and removes a few at a time."""

    def __init__(
        self,
        journal: Journal,
        memory: Memory,
        http: Callable[[], httpx.AsyncBaseTransport] | None = None,
    ) -> None:
        self._journal = journal
        self._memory = memory
        self._http = http
        self._left: list[Entry] = []
        self._too_many: set[tuple[str, str]] = set()  # targets of which that was said

    def __len__(self) -> int:
        return len(self._left)

    async def clean(self, context: Context) -> list[str]:
        """Run every cleanup of a run, last made first. Returns the kinds of what is still there."""
        failed = []
        while context.cleanups:
            item = context.cleanups.pop()
            if not await undo(item, context):
                failed.append(item.resource)
                if item.entry is not None:
                    self._keep(item.entry)
        return failed

    async def take_along(self, context: Context, most: int = MOST_SWEPT) -> list[tuple[str, str]]:
        """Try some of the target's leftovers again. Returns (probe, kind) of what is gone now."""
        gone, keys = [], context.target.keys
        mine = [entry for entry in self._left if entry.is_of(context.target)]
        for entry in mine:
            if self._journal.forgets(entry):
                self._left.remove(entry)
        # Of a key that the config has lost: nobody else's may delete it.
        for entry in [entry for entry in mine if entry.key in keys and entry in self._left][:most]:
            if entry not in self._left:
                continue  # another run of the same target was quicker
            self._left.remove(entry)
            item = cleanup_of(context, entry, keys[entry.key])
            if await undo(item, context):
                gone.append((entry.probe, entry.resource))
            else:
                self._left.append(entry)  # behind the others
        return gone

    async def sweep(self, targets: Iterable[Target], limit_s: float = 15.0) -> list[Run]:
        """At the start: adopt what dead processes left and remove it. A run, without a verdict, for each."""
        for entry in self._journal.adopt():
            self._keep(entry)
        runs = await asyncio.gather(*(self._sweep_target(target, limit_s) for target in targets))
        return [run for some in runs for run in some]

    def _keep(self, entry: Entry) -> None:
        self._left.append(entry)
        place = (entry.target, entry.url)
        mine = [other for other in self._left if (other.target, other.url) == place]
        if len(mine) <= MOST_KEPT:
            return
        oldest = min(mine, key=lambda other: other.made_at)
        self._left.remove(oldest)
        self._journal.done(oldest)
        if place not in self._too_many:
            self._too_many.add(place)
            said = f"more than {MOST_KEPT} things could not be deleted: the oldest are not tried again"
            self._journal.say(f"{entry.target}: {said}")

    async def _sweep_target(self, target: Target, limit_s: float) -> list[Run]:
        mine = [entry for entry in self._left if entry.is_of(target)]
        if not mine:
            return []
        context = Context(
            target=target,
            probe="sweep",
            limits=Limits(total_s=limit_s, cleanup_s=limit_s),
            memory=self._memory,
            journal=self._journal,
            http=self._http() if self._http else None,
        )
        began_at, began = time.time(), perf_counter()
        try:
            await self.take_along(context, most=len(mine))
        finally:
            await context.close()
        still = [entry for entry in mine if entry in self._left]
        return [
            Run(
                target=target.name,
                probe=probe,
                verdict=None,
                started_at=began_at,
                duration_s=perf_counter() - began,
                cleanup_failures=tuple(entry.resource for entry in still if entry.probe == probe),
                note="what an earlier process left",
                log=tuple(context.record.log),
            )
            for probe in dict.fromkeys(entry.probe for entry in mine)
        ]
