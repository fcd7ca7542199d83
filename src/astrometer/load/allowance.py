"""What `astrometer calibrate` found on this machine, kept -> a warning before a run that asks for more."""

import json
import os
import platform
import re
from dataclasses import asdict, dataclass
from pathlib import Path

import platformdirs

from astrometer.measure.accuracy import workers_for


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """So many streams, each with an event per `gap_s`, one process measures within 5 ms at p99."""

    streams: int
    gap_s: float

    def keep(self) -> Path:
        path = _path()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(self)))
        return path

    def warning(self, users: int, processes: int | None) -> str | None:
        """One line when a process would get more streams than it can measure well."""
        if users <= self.streams * (processes or 1):
            return None
        return (
            f"{users} users in {processes or 1} process(es) may be measured badly: calibrated for "
            f"{self.streams} streams of {1 / self.gap_s:g} events/s per process. Use --processes "
            f"{workers_for(users, self.streams)}, or run `astrometer calibrate` again"
        )


def kept() -> Allowance | None:
    """None: never calibrated here, or by another version. Nobody is nagged for that."""
    try:
        return Allowance(**json.loads(_path().read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


def _path() -> Path:
    """In the user's cache, or $ASTROMETER_CACHE; by machine, since a home directory may be on several."""
    override = os.environ.get("ASTROMETER_CACHE")
    folder = Path(override) if override else platformdirs.user_cache_path("astrometer")
    return folder / f"calibration-{re.sub(r'[^A-Za-z0-9_.-]', '_', platform.node()) or 'unnamed'}.json"
