"""A sandboxed server's own database: what no API changes."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

FILE = "data_v4.db"


class DatabaseError(RuntimeError):
    """The database is not as expected."""


def expire_key(data: Path, key_id: str) -> None:
    """Move a key's end into the past. The API makes only keys that live a day or longer.

    Raises DatabaseError.
    """
    with opened(data, "rw") as database, database:
        changed = database.execute(
            "UPDATE api_keys SET expires_at = '2020-01-01 00:00:00.000000' WHERE key_id = ?", (key_id,)
        ).rowcount
    if changed != 1:
        raise DatabaseError("the key to expire is not in the server's database")


@contextmanager
def opened(data: Path, mode: str) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(f"file:{data / FILE}?mode={mode}", uri=True, timeout=10)) as database:
        yield database
