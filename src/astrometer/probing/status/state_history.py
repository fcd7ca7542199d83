"""States and runs over time -> the past of each target, in memory and in a file. Waits for no disk."""

import sqlite3
import time
import weakref
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from astrometer.api.outcome import Outcome
from astrometer.probing.cleanup.state_file import Say
from astrometer.probing.plan import Plan
from astrometer.probing.status.failure_sides import LLM, SERVER, is_judged, side_of
from astrometer.probing.status.history_file import (
    FILE,
    PRUNE_S,
    HistoryBatch,
    HistoryWriter,
    InUse,
    Reader,
    counts_row,
    open_history,
    row_of,
)
from astrometer.probing.status.layer_evidence import Sign, StateLayer, evidence_of
from astrometer.probing.status.spells import DAY_S, HOUR_S, RunCounts, Spell
from astrometer.probing.status.state_by_layer import LayerState, State, TargetState
from astrometer.probing.status.target_past import RECENT_S, TargetPast
from astrometer.probing.verdict import ProbeRun

FLUSH_S = 10.0
CLOSE_S = 10.0
MOST_WAITING = 20_000  # rows of each kind that a disk may be behind


class StateHistory:
    """Written by one exporter; the others of the same folder keep theirs in memory."""

    def __init__(
        self,
        folder: Path | None = None,
        *,
        say: Say = lambda _: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._say = say
        self._clock = clock
        self._open: dict[str, dict[StateLayer, Spell]] = defaultdict(dict)
        self._past: dict[str, TargetPast] = defaultdict(TargetPast)
        self._next_row = 1
        # What the file does not know yet.
        self._ended: deque[Spell] = deque()
        self._layer_counts: dict[tuple[str, str, int], list[int]] = {}
        self._run_counts: dict[tuple[str, int], RunCounts] = {}
        self._starts: deque[tuple[str, float, int]] = deque(maxlen=MOST_WAITING)
        self._flushed_at = self._pruned_at = clock()
        self._dropped = 0
        self._said = ""
        self._memory = ""  # why there is no file
        self._writer = None if folder is None else self._opened(folder)
        if self._writer is not None:
            self._end_writer = weakref.finalize(self, self._writer.close)

    @property
    def problem(self) -> str:
        """Why the file lacks something, for people; nothing while all is well."""
        if self._writer is None:
            return self._memory
        lacks = f"{self._dropped:,} changes were lost" if self._dropped else ""
        why = self._writer.problem
        return ", ".join(filter(None, (why and f"{why}; kept in memory until it can", lacks)))

    def note(self, states: Mapping[str, TargetState]) -> None:
        now = self._clock()
        for target, state in states.items():
            known = self._open[target]
            probed = {layer.layer: layer for layer in state.layers if layer.is_probed}
            for gone in known.keys() - probed.keys():
                self._end(known.pop(gone), now)
            for layer in probed.values():
                before = known.get(layer.layer)
                if before is not None and before.state is layer.state:
                    before.ended, before.reason = now, layer.reason
                    continue
                began = _began(before, layer, now)
                if before is not None:
                    before.ended = began
                    self._end(before, now)
                known[layer.layer] = Spell(
                    target=target,
                    layer=layer.layer,
                    state=layer.state,
                    reason=layer.reason,
                    began=began,
                    ended=now,
                    row=self._next_row,
                )
                self._next_row += 1
        for target in self._open.keys() - states.keys():
            for spell in self._open.pop(target).values():
                self._end(spell, now)
        if not 0 <= now - self._flushed_at < FLUSH_S:
            self._hand_over(now)
        if not 0 <= now - self._pruned_at < PRUNE_S:
            self._pruned_at = now
            for past in self._past.values():
                past.prune(now)

    def add(self, run: ProbeRun, plan: Plan) -> None:
        hour = int((run.started_at + run.duration_s) // HOUR_S * HOUR_S)
        if run.skipped is not None:
            self._count(run.target, hour, RunCounts(skipped=1))
        if run.verdict is None:
            return
        started_at = run.server_started_at
        believed = started_at is not None and 0 < started_at < hour + DAY_S  # a server may say anything
        if started_at is not None and believed and self._past[run.target].add_start(started_at):
            self._starts.append((run.target, started_at, hour))
        for layer, found in evidence_of(run, plan).items():
            counts = self._layer_counts.setdefault((run.target, layer.value, hour), [0, 0])
            counts[found.sign is Sign.BAD] += 1
        reason = run.verdict.reason
        if is_judged(reason):
            asks = plan.probe.costs_tokens or plan.probe.needs_messenger
            side = side_of(reason) if reason is not Outcome.OK else None
            # A model that was never asked is not to blame.
            side = SERVER if side == LLM and not asks else side
            failed = RunCounts(judged=1, server=int(side == SERVER), llm=int(side == LLM))
            self._count(run.target, hour, failed)
        if run.ok and run.ttft_s is not None:
            self._count(run.target, hour, RunCounts(answers=1, ttft_s=run.ttft_s))

    def past(self, target: str) -> TargetPast:
        return self._past[target]

    def going(self, target: str) -> list[Spell]:
        return [*self._open[target].values()]

    def flush(self, limit_s: float = CLOSE_S) -> bool:
        """Wait until all is written. Whether it is."""
        give_up = time.monotonic() + limit_s
        writer = self._writer
        while writer is not None and time.monotonic() < give_up:
            if writer.is_idle:
                self._hand_over(self._clock())
                break
            time.sleep(0.001)
        while writer is not None and not writer.is_idle and time.monotonic() < give_up:
            time.sleep(0.001)
        return writer is None or writer.is_idle

    def close(self) -> None:
        """Write the rest; what a disk does not take is said."""
        writer = self._writer
        if writer is None:
            return
        last = self._batch(self._clock())
        self._end_writer.detach()
        if not writer.close(last, CLOSE_S):
            self._say(f"{FILE}: the disk does not answer; the newest changes are lost")
        elif writer.lost:
            self._say(f"{writer.problem}; {writer.lost:,} changes are lost")

    def _end(self, spell: Spell, now: float) -> None:
        self._ended.append(spell)
        self._past[spell.target].add(spell, now)

    def _count(self, target: str, hour: int, runs: RunCounts) -> None:
        self._run_counts.setdefault((target, hour), RunCounts()).add(runs)
        self._past[target].count(hour, runs)

    def _hand_over(self, now: float) -> None:
        """Give the writer what is new, unless it has not finished yet."""
        self._flushed_at = now
        if self._writer is None or self._writer.is_idle:
            batch = self._batch(now)
            if self._writer is not None:
                self._writer.put(batch)
        self._bound()
        problem = self.problem
        if problem and not self._said:
            self._say(problem)
        self._said = problem

    def _batch(self, now: float) -> HistoryBatch:
        """All that is new; it is not new any more."""
        spells = [*self._ended, *(one for known in self._open.values() for one in known.values())]
        batch = HistoryBatch(
            now=now,
            spells=[row_of(spell) for spell in spells],
            layer_hours=[(*place, *counts) for place, counts in self._layer_counts.items()],
            run_hours=[counts_row(place, counts) for place, counts in self._run_counts.items()],
            starts=[*self._starts],
        )
        for new in (self._ended, self._layer_counts, self._run_counts, self._starts):
            new.clear()
        return batch

    def _bound(self) -> None:
        """The oldest goes, and is counted, where a disk is behind for days."""
        while len(self._ended) > MOST_WAITING:
            self._ended.popleft()
            self._dropped += 1
        self._dropped += _shortened(self._layer_counts) + _shortened(self._run_counts)

    def _opened(self, folder: Path) -> HistoryWriter | None:
        """The writer of the file, once what it knows is read; None: there is no file."""
        try:
            database, lock = open_history(folder, self._say, self._clock)
        except (OSError, sqlite3.Error) as exc:
            why = str(exc) if isinstance(exc, InUse) else f"{FILE} cannot be used ({exc})"
            self._memory = f"{why}; the history is kept in memory only"
            self._say(f"{folder / FILE}: {self._memory}")
            return None
        reader, now = Reader(database), self._clock()
        for spell in reader.spells(now - RECENT_S, now):
            self._past[spell.target].add(spell, now)
        for target, hour, runs in reader.run_hours(now - RECENT_S, now):
            self._past[target].count(hour, runs)
        for target, at in reader.starts():
            self._past[target].add_start(at)
        self._next_row = reader.next_row()
        return HistoryWriter(database, lock)


def _began(before: Spell | None, layer: LayerState, now: float) -> float:
    """When the new state began: a failure with its first run, which was some runs ago."""
    if before is None or layer.since >= now:
        return now
    if before.began < layer.since:
        return layer.since
    # Too few runs had told whether it fails, since the first of them.
    failed = layer.state is State.FAILING and before.state is State.UNKNOWN
    return before.began if failed else now


def _shortened(waiting: dict[Any, Any]) -> int:
    """How many of the oldest went."""
    over = [*waiting][: max(0, len(waiting) - MOST_WAITING)]
    for place in over:
        del waiting[place]
    return len(over)
