"""Which runs were made from this account, against which server, under which names: what `clean` can look for.

One JSON object per line in the user's state directory ($ASTROMETER_STATE, else as the system says). AstrBot
lists the sessions of a user and not the users, so names that nobody noted cannot be found again.
"""

import json
import logging
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import platformdirs

from astrometer.measure.results.run_info import Usernames

FILE_NAME = "runs.jsonl"
MAX_LINES = 2000  # the oldest are forgotten beyond

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One run. `users`: (numbers used, the number before the first) of each process; empty until it ended."""

    url: str
    run_id: str
    prefix: str
    username: str | None
    started: float  # epoch seconds
    users: Sequence[Sequence[int]] = ()


def path() -> Path:
    override = os.environ.get("ASTROMETER_STATE")
    return (Path(override) if override else platformdirs.user_state_path("astrometer")) / FILE_NAME


def append(file: Path, entry: Entry) -> None:
    """Raises OSError."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a", encoding="utf-8") as lines:
        lines.write(json.dumps(asdict(entry)) + "\n")


def note(file: Path, url: str, names: Usernames, *, started: float, ended: bool) -> None:
    """Once when a run starts, should it not come to its end, and once with all its names."""
    entry = Entry(
        url=url,
        run_id=names.run_id,
        prefix=names.prefix,
        username=names.username,
        started=started,
        users=[list(pair) for pair in names.users] if ended else [],
    )
    try:
        append(file, entry)
    except OSError as exc:
        log.warning("the journal %s cannot be written: %s", file, exc.strerror)


def read(file: Path) -> list[Entry]:
    """The last word on each run, oldest first. A line that is none of ours is passed over."""
    try:
        lines = file.read_text("utf-8").splitlines()[-MAX_LINES:]
    except OSError:
        return []
    found: dict[str, Entry] = {}
    for line in lines:
        try:
            entry = Entry(**json.loads(line))
        except (ValueError, TypeError):
            continue
        found[entry.run_id] = entry
    return sorted(found.values(), key=lambda entry: entry.started)
