"""States and runs over time <-> a SQLite file of the state folder: spells of layers, counts by hour. Bounded.

A spell is a time in which a layer was in one state. A time without any, such as one without an exporter, is
neither up nor down.
"""

import sqlite3
import time
import weakref
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from astrometer.api.outcome import Outcome
from astrometer.probing.cleanup.state_file import FOLDER_MODE, Say, lock_file, open_private
from astrometer.probing.failure_sides import LLM, SERVER, is_judged, side_of
from astrometer.probing.layer_evidence import Sign, StateLayer, evidence_of
from astrometer.probing.plan import Plan
from astrometer.probing.state_by_layer import State, TargetState
from astrometer.probing.verdict import ProbeRun

FILE = "history.sqlite"
HOUR_S = 3600
KEPT_S = 100 * 86400.0  # the last three whole months
MOST_BYTES = 40_000_000
RECENT_S = 31 * 86400.0
FLUSH_S = 10.0
PRUNE_S = 3600.0
_SCHEMA = """
CREATE TABLE IF NOT EXISTS spells(
    id INTEGER PRIMARY KEY, target TEXT, layer TEXT, state TEXT, reason TEXT, began REAL, ended REAL);
CREATE INDEX IF NOT EXISTS spells_by_end ON spells(ended);
CREATE TABLE IF NOT EXISTS layer_hours(
    target TEXT, layer TEXT, hour INTEGER, good INTEGER, bad INTEGER,
    PRIMARY KEY(target, layer, hour)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS run_hours(
    target TEXT, hour INTEGER, judged INTEGER, server INTEGER, llm INTEGER, skipped INTEGER,
    answers INTEGER, ttft_s REAL, PRIMARY KEY(target, hour)) WITHOUT ROWID;
"""
_LAYERS = {layer.value: layer for layer in StateLayer}
_STATES = {state.value: state for state in State}
_COUNTS = ("judged", "server", "llm", "skipped", "answers", "ttft_s")


@dataclass(slots=True, kw_only=True)
class Spell:
    """Epoch seconds. `reason`: the newest that was most frequent."""

    target: str
    layer: StateLayer
    state: State
    reason: str
    began: float
    ended: float
    row: int | None = None

    def within(self, since: float, until: float) -> float:
        """Its seconds between two times."""
        return max(0.0, min(self.ended, until) - max(self.began, since))


@dataclass(frozen=True, slots=True, kw_only=True)
class RunHour:
    """The runs of one target that ended in one hour (epoch seconds of its begin). `ttft_s`: the sum."""

    target: str
    hour: int
    judged: int
    server: int
    llm: int
    skipped: int
    answers: int
    ttft_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RunTotals:
    """Runs of one target, as the alert rules count them: judged, and failed on the server's side."""

    judged: int = 0
    failed: int = 0
    skipped: int = 0

    @property
    def uptime(self) -> float | None:
        return 1 - self.failed / self.judged if self.judged else None


class Reader:
    """What a history knows of a time."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def spells(self, since: float, until: float) -> list[Spell]:
        rows = self._database.execute(
            "SELECT id, target, layer, state, reason, began, ended FROM spells "
            "WHERE ended > ? AND began < ? ORDER BY began",
            (since, until),
        )
        return [
            Spell(
                row=row,
                target=target,
                layer=_LAYERS[layer],
                state=_STATES[state],
                reason=reason,
                began=began,
                ended=ended,
            )
            for row, target, layer, state, reason, began, ended in rows
        ]

    def run_hours(self, since: float, until: float) -> list[RunHour]:
        rows = self._database.execute(
            f"SELECT target, hour, {', '.join(_COUNTS)} FROM run_hours "  # noqa: S608 (our own names)
            "WHERE hour >= ? AND hour < ? ORDER BY hour",
            (since, until),
        )
        return [
            RunHour(target=target, hour=hour, **dict(zip(_COUNTS, counts, strict=True)))
            for target, hour, *counts in rows
        ]

    def run_totals(self, since: float, until: float) -> dict[str, RunTotals]:
        """The runs of each target."""
        rows = self._database.execute(
            "SELECT target, sum(judged), sum(server), sum(skipped) FROM run_hours "
            "WHERE hour >= ? AND hour < ? GROUP BY target",
            (since, until),
        )
        return {
            target: RunTotals(judged=judged, failed=failed, skipped=skipped)
            for target, judged, failed, skipped in rows
        }

    def runs_by_layer(self, since: float, until: float) -> dict[tuple[str, StateLayer], int]:
        """How many runs told of each layer."""
        rows = self._database.execute(
            "SELECT target, layer, sum(good + bad) FROM layer_hours WHERE hour >= ? AND hour < ? "
            "GROUP BY target, layer",
            (since, until),
        )
        return {(target, StateLayer(layer)): count for target, layer, count in rows}


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
        self._lock: IO[str] | None = None
        self._open: dict[tuple[str, StateLayer], Spell] = {}
        self._ended: list[Spell] = []
        self._layer_counts: dict[tuple[str, str, int], list[int]] = {}
        self._run_counts: dict[tuple[str, int], dict[str, float]] = {}
        self._flushed_at = self._pruned_at = clock()
        self._failed = False
        self._database = self._connect(folder)
        # A page must not wait for what has not changed.
        self._recent = Reader(self._database).spells(clock() - RECENT_S, clock())
        self._close = weakref.finalize(self, _closed, self._database, self._lock)

    def note(self, states: Mapping[str, TargetState]) -> None:
        """What every target is in now."""
        now = self._clock()
        seen = set()
        for target, state in states.items():
            for layer in state.layers:
                if not layer.is_probed:
                    continue
                place = (target, layer.layer)
                seen.add(place)
                before = self._open.get(place)
                if before is not None and before.state is layer.state:
                    before.ended, before.reason = now, layer.reason
                    continue
                # A failure began with its first run, which was some runs ago.
                known = before is not None and before.began < layer.since < now
                began = layer.since if known else now
                if before is not None:
                    before.ended = began
                    self._end(before)
                self._open[place] = Spell(
                    target=target,
                    layer=layer.layer,
                    state=layer.state,
                    reason=layer.reason,
                    began=began,
                    ended=now,
                )
        for gone in self._open.keys() - seen:
            self._end(self._open.pop(gone))
        if now - self._flushed_at >= FLUSH_S or now < self._flushed_at:
            self.flush()

    def add(self, run: ProbeRun, plan: Plan) -> None:
        """A run that is over."""
        hour = int((run.started_at + run.duration_s) // HOUR_S * HOUR_S)
        if run.skipped is not None:
            self._count(run.target, hour, skipped=1)
        if run.verdict is None:
            return
        for layer, found in evidence_of(run, plan).items():
            counts = self._layer_counts.setdefault((run.target, layer.value, hour), [0, 0])
            counts[found.sign is Sign.BAD] += 1
        reason = run.verdict.reason
        if is_judged(reason):
            asks = plan.probe.costs_tokens or plan.probe.needs_messenger
            side = side_of(reason) if reason is not Outcome.OK else None
            # A model that was never asked is not to blame.
            side = SERVER if side == LLM and not asks else side
            self._count(run.target, hour, judged=1, **({side: 1} if side else {}))
        if run.ok and run.ttft_s is not None:
            self._count(run.target, hour, answers=1, ttft_s=run.ttft_s)

    def recent(self, since: float) -> list[Spell]:
        """Those of the last 31 days that ended after `since`, in the order of their end."""
        return [spell for spell in (*self._recent, *self._open.values()) if spell.ended > since]

    def _end(self, spell: Spell) -> None:
        self._ended.append(spell)
        self._recent.append(spell)

    def reader(self) -> Reader:
        """All that is known until now."""
        self.flush()
        return Reader(self._database)

    def flush(self) -> None:
        """Write what is new. A disk that cannot be written is said once; it is tried again."""
        now = self._clock()
        self._flushed_at = now
        try:
            with self._database:
                self._write()
                if now - self._pruned_at >= PRUNE_S or now < self._pruned_at:
                    self._pruned_at = now
                    self._prune(now)
        except sqlite3.Error as exc:
            if not self._failed:
                self._say(f"{FILE}: cannot be written ({exc}); kept in memory until it can")
            self._failed = True
            return
        self._failed = False
        self._ended.clear()
        self._layer_counts.clear()
        self._run_counts.clear()

    def close(self) -> None:
        self.flush()
        self._close()

    def _count(self, target: str, hour: int, **counts: float) -> None:
        known = self._run_counts.setdefault((target, hour), dict.fromkeys(_COUNTS, 0))
        for name, count in counts.items():
            known[name] += count

    def _write(self) -> None:
        execute = self._database.execute
        for spell in (*self._ended, *self._open.values()):
            values = (spell.state.value, spell.reason, spell.began, spell.ended)
            if spell.row is None:
                made = execute(
                    "INSERT INTO spells(target, layer, state, reason, began, ended) "
                    "VALUES (?, ?, ?, ?, ?, ?)",
                    (spell.target, spell.layer.value, *values),
                )
                spell.row = made.lastrowid
            else:
                execute(
                    "UPDATE spells SET state = ?, reason = ?, began = ?, ended = ? WHERE id = ?",
                    (*values, spell.row),
                )
        self._database.executemany(
            "INSERT INTO layer_hours VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
            "good = good + excluded.good, bad = bad + excluded.bad",
            [(*place, *counts) for place, counts in self._layer_counts.items()],
        )
        added = ", ".join(f"{name} = {name} + excluded.{name}" for name in _COUNTS)
        self._database.executemany(
            f"INSERT INTO run_hours VALUES (?, ?, ?, ?, ?, ?, ?, ?) "  # noqa: S608 (our own names)
            f"ON CONFLICT DO UPDATE SET {added}",
            [(*place, *counts.values()) for place, counts in self._run_counts.items()],
        )

    def _prune(self, now: float) -> None:
        self._recent = [spell for spell in self._recent if spell.ended > now - RECENT_S]
        self._forget(now - KEPT_S)
        for part in range(1, 10):
            size, pages, free = (
                self._database.execute(f"PRAGMA {name}").fetchone()[0]
                for name in ("page_size", "page_count", "freelist_count")
            )
            if size * (pages - free) <= MOST_BYTES:
                return
            self._forget(now - KEPT_S * (1 - part / 10))

    def _forget(self, before: float) -> None:
        self._database.execute("DELETE FROM spells WHERE ended < ?", (before,))
        for table in ("layer_hours", "run_hours"):
            self._database.execute(f"DELETE FROM {table} WHERE hour < ?", (before,))  # noqa: S608

    def _connect(self, folder: Path | None) -> sqlite3.Connection:
        if folder is None:
            return _made(":memory:")
        path = folder / FILE
        try:
            folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
            self._lock = open_private(path.with_suffix(".lock"))
            if not lock_file(self._lock, wait=False):
                self._lock.close()
                self._say(f"{path}: another exporter writes the history; this one keeps its own in memory")
                return _made(":memory:")
            open_private(path).close()
            try:
                return _made(str(path))
            except sqlite3.DatabaseError as exc:
                aside = path.with_suffix(f".damaged-{int(self._clock())}")
                path.replace(aside)
                self._say(f"{path}: is damaged ({exc}); put aside as {aside.name}, starting from nothing")
                for rest in ("-wal", "-shm"):
                    with suppress(OSError):
                        path.with_name(path.name + rest).unlink()
                open_private(path).close()
                return _made(str(path))
        except (OSError, sqlite3.Error) as exc:
            self._say(f"{path}: cannot be used ({exc}); the history is kept in memory")
            return _made(":memory:")


def _closed(database: sqlite3.Connection, lock: IO[str] | None) -> None:
    database.close()
    if lock is not None:
        lock.close()


def read_only(folder: Path) -> sqlite3.Connection:
    """For a report beside a running exporter. Raises sqlite3.Error."""
    return sqlite3.connect(f"file:{folder / FILE}?mode=ro", uri=True)


def _made(name: str) -> sqlite3.Connection:
    # Whoever collects garbage may close it.
    database = sqlite3.connect(name, check_same_thread=False)
    # Nothing waits for the disk but a checkpoint; a crash loses seconds, never the whole.
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = NORMAL")
    database.executescript(_SCHEMA)
    return database
