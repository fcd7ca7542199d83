"""Chunks of rows from all processes -> the records file. In the process that leads the run.

The file grows in a thread beside the event loop: a slow disk delays no stream. What is in it survives the
death of every process. A file of columns (Parquet) is made at the end, from rows that were kept beside it.
"""

import logging
import os
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import IO, Any

import gevent

from astrometer.load.run.record_log import Chunk
from astrometer.measure.records import record_files
from astrometer.output_files import reason

MOST_BYTES = 64_000_000  # that wait for the disk

log = logging.getLogger(__name__)


class RecordFile:
    """One run's. The next run's replaces it."""

    def __init__(self, path: Path, most_bytes: int = MOST_BYTES) -> None:
        self._path = path
        self._rows = record_files.rows_of_columns(path) if record_files.is_of_columns(path) else path
        self._most_bytes = most_bytes
        self._waiting: list[Chunk] = []
        self._bytes = 0  # that wait
        self._good = 0  # bytes of whole chunks in the file
        self._file: IO[bytes] | None = None
        self._writer: Any = None
        self._lines = 0
        self._lost = 0
        self._problem: str | None = None

    def begin(self) -> None:
        try:
            self._rows.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._rows.open("wb", buffering=0)
            if self._rows is not self._path:  # of an earlier run: nobody shall take it for this one's
                self._path.unlink(missing_ok=True)
        except OSError as exc:
            self._fail(f"{self._rows}: cannot be written ({reason(exc)})")

    def add(self, chunk: Chunk) -> None:
        """Never waits."""
        self._lost += chunk.lost
        if self._file is None or self._bytes + len(chunk.data) > self._most_bytes:
            self._lost += chunk.lines
            return
        self._waiting.append(chunk)
        self._bytes += len(chunk.data)
        if self._writer is None or self._writer.ready():
            self._writer = gevent.spawn(self._write_all)

    def sync(self) -> None:
        """Wait until what was added is in the file."""
        if self._writer is not None:
            self._writer.join()

    def close(self) -> None:
        """What was added is in the file, and no more comes."""
        self.sync()
        if self._file is None:
            return
        self._file.close()
        self._file = None
        if self._rows is self._path:
            return
        failure = _in_thread(partial(record_files.to_columns, self._rows, self._path))
        if failure is None:
            self._rows.unlink()
        else:
            self._fail(
                f"{self._path}: cannot be written ({reason(failure)}); the records are in {self._rows}"
            )

    def to_json(self, folder: Path | None) -> dict[str, Any]:
        """`records` of `results.json`, which is in `folder`."""
        place = self._path if folder is None else os.path.relpath(self._path, folder)
        return {"file": str(place), "lines": self._lines, "lost": self._lost, "problem": self._problem}

    def _write_all(self) -> None:
        while self._waiting:
            chunks, self._waiting = self._waiting, []
            data, lines = b"".join(chunk.data for chunk in chunks), sum(chunk.lines for chunk in chunks)
            failure = _in_thread(partial(self._write, data))
            if failure is None:
                self._lines += lines
            else:
                self._lost += lines
                self._fail(f"{self._rows}: not all records could be written ({reason(failure)})")
            self._bytes -= len(data)

    def _write(self, data: bytes) -> None:
        """All of it or nothing, so that every line in the file is whole. Raises OSError."""
        file, left = self._file, memoryview(data)
        if file is None:
            return
        try:
            while left:
                left = left[file.write(left) :]
        except OSError:
            with suppress(OSError):  # no regular file
                file.truncate(self._good)
                file.seek(self._good)
            raise
        self._good += len(data)

    def _fail(self, problem: str) -> None:
        if problem != self._problem:
            log.error("%s", problem)
        self._problem = problem


def _in_thread(work: Callable[[], None]) -> OSError | ValueError | None:
    """What went wrong. gevent would print the traceback of what a thread of its own raises."""

    def tried() -> OSError | ValueError | None:
        try:
            work()
        except (OSError, ValueError) as exc:
            return exc
        return None

    failure: OSError | ValueError | None = gevent.get_hub().threadpool.apply(tried)
    return failure
