"""A sandboxed server's own database -> what is really stored in it, whichever user it belongs to."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

FILE = "data_v4.db"


class DatabaseError(RuntimeError):
    """The database is not as expected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """How many of each are there. A chat stores a session, two messages and a conversation."""

    sessions: int
    messages: int  # of users and of the bot
    user_messages: int
    conversations: int  # the model's context of a session
    attachments: int


def stored(data: Path) -> Stored:
    """Count what the server has stored so far."""
    with opened(data, "ro") as database:

        def count(what: str) -> int:
            number: int = database.execute(f"SELECT count(*) FROM {what}").fetchone()[0]  # noqa: S608  constants
            return number

        return Stored(
            sessions=count("platform_sessions"),
            messages=count("platform_message_history"),
            user_messages=count("platform_message_history WHERE sender_id <> 'bot'"),
            conversations=count("conversations"),
            attachments=count("attachments"),
        )


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
