"""What `astrometer calibrate` found on this machine, kept -> a warning before a run that asks for more."""

import argparse
import json
import os
import platform
import re
from collections.abc import Sequence
from contextlib import suppress
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

    def widens(self, known: "Allowance | None") -> bool:
        """Whether a finding that is no limit ("at least so many") says more than what is kept."""
        return known is None or known.gap_s != self.gap_s or self.streams > known.streams

    def warning(self, users: int, processes: int | None) -> str | None:
        """One line when a process would get more streams than it can measure well."""
        if users <= self.streams * (processes or 1):
            return None
        return (
            f"{users} users in {processes or 1} process(es) may be measured badly: calibrated for "
            f"{self.streams} streams of {1 / self.gap_s:g} events/s per process. Use --processes "
            f"{workers_for(users, self.streams)}, or run `astrometer calibrate` again"
        )

    def cap_warning(self, max_in_flight: int) -> str | None:
        """Open model: one line when the cap of a process lets more streams run than it can measure well.

        How many will run at once is not known before; the report compares the most that did.
        """
        if max_in_flight <= self.streams:
            return None
        return (
            f"--max-in-flight {max_in_flight} lets a process hold more streams than it can measure well: "
            f"calibrated for {self.streams} of {1 / self.gap_s:g} events/s"
        )


def before(
    users: int | None, processes: int | None, locust_args: Sequence[str], max_in_flight: int | None = None
) -> str | None:
    """What is to be said before a run; `users` None: an open model.

    Its cap, `max_in_flight`, counts when it was chosen by hand: the default is a safety net, no plan.
    """
    allowed = kept()
    if allowed is None:
        return None
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--processes", type=int, default=processes)
    try:
        given = parser.parse_known_args(list(locust_args))[0]
    except argparse.ArgumentError:
        return None  # Locust will say what is wrong with it
    if users is not None:
        each_core = given.processes is not None and given.processes < 0
        return allowed.warning(users, os.cpu_count() if each_core else given.processes)
    return allowed.cap_warning(max_in_flight) if max_in_flight is not None else None


def kept() -> Allowance | None:
    """None: never calibrated here, or by another version. Nobody is nagged for that."""
    try:
        return Allowance(**json.loads(_path().read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


def forget() -> None:
    """What was kept is true no longer."""
    with suppress(OSError):  # a read-only cache keeps an old number, which only warns
        _path().unlink(missing_ok=True)


def _path() -> Path:
    """In the user's cache, or $ASTROMETER_CACHE; by machine, since a home directory may be on several."""
    override = os.environ.get("ASTROMETER_CACHE")
    folder = Path(override) if override else platformdirs.user_cache_path("astrometer")
    return folder / f"calibration-{re.sub(r'[^A-Za-z0-9_.-]', '_', platform.node()) or 'unnamed'}.json"
