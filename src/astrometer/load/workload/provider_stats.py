"""A copy of AstrBot's database -> what its table `provider_stats` tells of each answer. Read-only.

The table has no texts. AstrBot writes it from 4.22.3 on: one row per answer, on every platform.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import groupby
from pathlib import Path
from typing import Any
from urllib.parse import quote

from astrometer.load.workload.traffic import TrafficChat, TrafficTurn
from astrometer.load.workload.workload_file import WorkloadError

MAGIC = b"SQLite format 3\0"
TABLE = "provider_stats"
SOURCE = TABLE
_ROWS = f"""
    SELECT umo, conversation_id, start_time, end_time, token_input_other + token_input_cached, token_output
    FROM {TABLE} WHERE start_time > ? ORDER BY umo, conversation_id, start_time
"""  # noqa: S608 (no input in it)


def chats(path: Path, since_s: float, person_of: Callable[[str], int | None]) -> Iterator[TrafficChat]:
    """`person_of`: a number for whom a chat (its umo) is with; None: left out. Raises WorkloadError."""
    try:
        with closing(_opened(path)) as database:
            for (umo, _), rows in groupby(database.execute(_ROWS, (since_s,)), key=lambda row: row[:2]):
                person = person_of(str(umo))
                if person is not None:
                    yield TrafficChat(
                        person=person,
                        is_web=str(umo).startswith("webchat:"),
                        turns=[_turn(row) for row in rows],
                    )
    except sqlite3.OperationalError as exc:
        raise WorkloadError(f"{path}: {_cure(str(exc), path)}") from exc
    except sqlite3.DatabaseError as exc:
        raise WorkloadError(f"{path}: is not a whole SQLite database ({exc}); copy it again") from exc
    except (TypeError, ValueError) as exc:
        raise WorkloadError(f"{path}: {TABLE} holds something else than numbers ({exc})") from exc


def _opened(path: Path) -> sqlite3.Connection:
    """Nothing is written to it. A write-ahead log beside it belongs to it, and is read where it is."""
    log = path.with_name(f"{path.name}-wal")
    has_log = log.is_file() and log.stat().st_size > 0
    mode = "mode=ro" if has_log else "mode=ro&immutable=1"
    return sqlite3.connect(f"file:{quote(str(path.absolute()))}?{mode}", uri=True)


def _turn(row: tuple[Any, ...]) -> TrafficTurn:
    start_s, end_s, read, written = (float(value or 0.0) for value in row[2:])
    return TrafficTurn(
        start_s=start_s,
        end_s=end_s if end_s >= start_s else None,
        input_tokens=read or None,  # none are counted of an answer that failed
        output_tokens=written or None,
    )


def _cure(problem: str, path: Path) -> str:
    if "no such table" in problem or "no such column" in problem:
        return f"{problem}; AstrBot has {TABLE} from 4.22.3 on: export the conversations instead"
    if "unable to open" in problem or "readonly" in problem:
        return (
            f"cannot be opened ({problem}); copy it with {path.name}-wal beside it to a folder that you can "
            "write to"
        )
    return f"cannot be read ({problem})"
