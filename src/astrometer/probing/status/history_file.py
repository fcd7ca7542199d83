"""Spells and counts <-> a SQLite file of the state folder, written by a thread of its own. Bounded.

The caller never waits for the disk. One batch is written at a time; the caller collects what comes meanwhile.
"""

import queue
import sqlite3
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from time import monotonic
from typing import IO

from astrometer.probing.cleanup.state_file import FOLDER_MODE, Say, lock_file, open_private
from astrometer.probing.status.layer_evidence import StateLayer
from astrometer.probing.status.spells import RunCounts, Spell
from astrometer.probing.status.state_by_layer import State

FILE = "history.sqlite"
KEPT_S = 100 * 86400.0  # the last three whole months
MOST_BYTES = 40_000_000
PRUNE_S = 3600.0
RETRY_S = 10.0
LATE_S = 30.0  # a batch that takes longer is said
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
CREATE TABLE IF NOT EXISTS starts(
    target TEXT, at REAL, hour INTEGER, PRIMARY KEY(target, at)) WITHOUT ROWID;
"""
_LAYERS = {layer.value: layer for layer in StateLayer}
_STATES = {state.value: state for state in State}
_COUNTS = tuple(field.name for field in fields(RunCounts))
_PUT_SPELL = (
    "INSERT INTO spells(id, target, layer, state, reason, began, ended) VALUES (?, ?, ?, ?, ?, ?, ?) "
    "ON CONFLICT DO UPDATE SET state = excluded.state, reason = excluded.reason, began = excluded.began, "
    "ended = excluded.ended"
)
_ADD_LAYER_HOUR = (
    "INSERT INTO layer_hours VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
    "good = good + excluded.good, bad = bad + excluded.bad"
)
_ADD_RUN_HOUR = "INSERT INTO run_hours VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
_ADD_RUN_HOUR += ", ".join(f"{name} = {name} + excluded.{name}" for name in _COUNTS)


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryBatch:
    """Rows to write. `now`: epoch seconds."""

    now: float
    spells: list[tuple[object, ...]]
    layer_hours: list[tuple[object, ...]]
    run_hours: list[tuple[object, ...]]
    starts: list[tuple[object, ...]]

    @property
    def rows(self) -> int:
        return len(self.spells) + len(self.layer_hours) + len(self.run_hours) + len(self.starts)


def row_of(spell: Spell) -> tuple[object, ...]:
    return (
        spell.row,
        spell.target,
        spell.layer.value,
        spell.state.value,
        spell.reason,
        spell.began,
        spell.ended,
    )


class Reader:
    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def spells(self, since: float, until: float) -> list[Spell]:
        """In the order of their ends."""
        rows = self._database.execute(
            "SELECT id, target, layer, state, reason, began, ended FROM spells "
            "WHERE ended > ? AND began < ? ORDER BY ended, id",
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
            if layer in _LAYERS and state in _STATES  # a newer version may know others
        ]

    def run_hours(self, since: float, until: float) -> list[tuple[str, int, RunCounts]]:
        """Target, epoch seconds of the hour's begin, and the runs that ended in it."""
        rows = self._database.execute(
            f"SELECT target, hour, {', '.join(_COUNTS)} FROM run_hours "  # noqa: S608 (our own names)
            "WHERE hour >= ? AND hour < ?",
            (since, until),
        )
        return [
            (target, hour, RunCounts(**dict(zip(_COUNTS, counts, strict=True))))
            for target, hour, *counts in rows
        ]

    def run_totals(self, since: float, until: float) -> dict[str, RunCounts]:
        totals: dict[str, RunCounts] = {}
        for target, _, counts in self.run_hours(since, until):
            totals.setdefault(target, RunCounts()).add(counts)
        return totals

    def runs_by_layer(self, since: float, until: float) -> dict[tuple[str, StateLayer], int]:
        rows = self._database.execute(
            "SELECT target, layer, sum(good + bad) FROM layer_hours WHERE hour >= ? AND hour < ? "
            "GROUP BY target, layer",
            (since, until),
        )
        return {(target, _LAYERS[layer]): count for target, layer, count in rows if layer in _LAYERS}

    def starts(self) -> list[tuple[str, float]]:
        """Target, and when its AstrBot was started, by its own clock."""
        return self._database.execute("SELECT target, at FROM starts ORDER BY at").fetchall()

    def next_row(self) -> int:
        (highest,) = self._database.execute("SELECT max(id) FROM spells").fetchone()
        return (highest or 0) + 1


class HistoryWriter:
    """Writes what it is handed, in order. A batch that cannot be written is tried again and again."""

    def __init__(self, database: sqlite3.Connection, lock: IO[str]) -> None:
        self._database = database
        self._lock = lock
        self._batches: queue.SimpleQueue[HistoryBatch | None] = queue.SimpleQueue()
        self._closing = threading.Event()
        self._pruned_at: float | None = None
        self._began: float | None = None  # with a batch that is not written yet
        self._error = ""
        self.lost = 0  # rows
        self._thread = threading.Thread(target=self._work, name="history", daemon=True)
        self._thread.start()

    @property
    def is_idle(self) -> bool:
        """Whether the next batch may come."""
        return self._began is None

    @property
    def problem(self) -> str:
        """Why the newest batch is not on the disk; nothing while all is well."""
        began, error = self._began, self._error
        if error:
            return f"{FILE} cannot be written ({error})"
        late = began is not None and monotonic() - began > LATE_S
        return f"{FILE}: the disk does not answer" if late else ""

    def put(self, batch: HistoryBatch) -> None:
        """The next one, once it is idle. Never waits."""
        self._began = monotonic()
        self._batches.put(batch)

    def close(self, last: HistoryBatch | None = None, limit_s: float = 0.0) -> bool:
        """Write the rest, with one more attempt each. Whether it ended in time."""
        self._closing.set()
        if last is not None:
            self._batches.put(last)
        self._batches.put(None)
        self._thread.join(limit_s)
        return not self._thread.is_alive()

    def _work(self) -> None:
        while (batch := self._batches.get()) is not None:
            while not self._write(batch):
                if self._closing.is_set():
                    self.lost += batch.rows
                    break
                self._closing.wait(RETRY_S)
            self._began = None
        self._database.close()
        self._lock.close()

    def _write(self, batch: HistoryBatch) -> bool:
        try:
            with self._database as database:
                database.executemany(_PUT_SPELL, batch.spells)
                database.executemany(_ADD_LAYER_HOUR, batch.layer_hours)
                database.executemany(_ADD_RUN_HOUR, batch.run_hours)
                database.executemany("INSERT OR IGNORE INTO starts VALUES (?, ?, ?)", batch.starts)
                if self._pruned_at is None or not 0 <= batch.now - self._pruned_at < PRUNE_S:
                    self._prune(batch.now)
                    self._pruned_at = batch.now
        except sqlite3.Error as exc:
            self._error = str(exc)
            return False
        self._error = ""
        return True

    def _prune(self, now: float) -> None:
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
        for table in ("layer_hours", "run_hours", "starts"):
            self._database.execute(f"DELETE FROM {table} WHERE hour < ?", (before,))  # noqa: S608


class InUse(OSError):
    """Another exporter writes it."""


class Damaged(sqlite3.DatabaseError):
    """The file's content is damaged; the disk and others that use the file are not to blame."""


def open_history(folder: Path, say: Say, clock: Callable[[], float]) -> tuple[sqlite3.Connection, IO[str]]:
    """The database and the lock of its only writer. One that is damaged is put aside, and no other.

    Raises InUse, OSError and sqlite3.Error.
    """
    path = folder / FILE
    folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    lock = open_private(path.with_suffix(".lock"))
    if not lock_file(lock, wait=False):
        lock.close()
        raise InUse(f"another exporter writes {FILE}")
    try:
        return _connected_anew(path, say, clock), lock
    except (OSError, sqlite3.Error):
        lock.close()
        raise


def _connected_anew(path: Path, say: Say, clock: Callable[[], float]) -> sqlite3.Connection:
    try:
        return _connected(path)
    except Damaged as exc:
        aside = path.with_suffix(f".damaged-{int(clock())}")
        path.replace(aside)
        say(f"{path}: is damaged ({exc}); put aside as {aside.name}, starting from nothing")
        for rest in ("-wal", "-shm"):
            with suppress(OSError):
                path.with_name(path.name + rest).unlink()
        return _connected(path)


def read_only(folder: Path) -> sqlite3.Connection:
    """For a report beside a running exporter. Raises sqlite3.Error."""
    return sqlite3.connect(f"file:{folder / FILE}?mode=ro", uri=True)


def _connected(path: Path) -> sqlite3.Connection:
    """Raises Damaged, OSError and sqlite3.Error."""
    open_private(path).close()
    database = sqlite3.connect(path, check_same_thread=False)
    try:
        _prepare(database)
    except sqlite3.Error as exc:
        database.close()
        if getattr(exc, "sqlite_errorcode", None) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            raise Damaged(str(exc)) from exc
        raise
    return database


def _prepare(database: sqlite3.Connection) -> None:
    # Nothing waits for the disk but a checkpoint; a crash loses seconds, never the whole.
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = NORMAL")
    (found,) = database.execute("PRAGMA quick_check(1)").fetchone()  # 0.1 s for the largest
    if found != "ok":
        raise Damaged(" ".join(found.split()))
    database.executescript(_SCHEMA)


def counts_row(place: tuple[str, int], counts: RunCounts) -> tuple[object, ...]:
    return (*place, *astuple(counts))
