"""Finished runs -> what is left of a target's tokens and runs for today. Kept across restarts.

A day is a UTC day. Counted is what the server reports in `agent_stats`; a run that was given up before it was
reported counts as a run without tokens. Exporters that share a state folder share the budget of a target.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from astrometer.config.settings import Target
from astrometer.probing.cleanup.state_file import Say, StateFile

FILE = "budget.json"
KEPT_DAYS = 3  # those nearest to today: a clock that was wrong for a while finds its day again


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """One target's day so far."""

    tokens: int = 0
    runs: int = 0


class Ledger:
    """Books what probes spend. Without a folder it lives in memory, and a restart begins a new day."""

    def __init__(
        self,
        folder: Path | None = None,
        *,
        say: Say = lambda _: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._file = StateFile(folder / FILE, say) if folder is not None else None
        self._memory: dict[str, Any] = {}
        self._clock = clock

    def spent(self, target: Target) -> Spent:
        book = self._memory if self._file is None else self._file.read()
        return _spent(book, self._today(), _place(target))

    def refusal(self, target: Target) -> str | None:
        """Why a run that costs tokens may not start now; None when it may."""
        budget = target.budget
        if budget.is_endless:
            return None
        spent = self.spent(target)
        if budget.runs_per_day is not None and spent.runs >= budget.runs_per_day:
            return f"budget: {spent.runs} of {budget.runs_per_day} runs of today (UTC) are spent"
        if budget.tokens_per_day is not None and spent.tokens >= budget.tokens_per_day:
            return f"budget: {spent.tokens} of {budget.tokens_per_day} tokens of today (UTC) are spent"
        return None

    def tokens_left(self, target: Target) -> int | None:
        """None: this target has no budget of tokens."""
        most = target.budget.tokens_per_day
        return None if most is None else max(0, most - self.spent(target).tokens)

    def book(self, target: Target, *, tokens: int = 0, runs: int = 0) -> None:
        """Add to the day. A target without a budget is not booked: nothing would ever read it."""
        if target.budget.is_endless or not (tokens or runs):
            return
        if self._file is None:
            self._add(self._memory, target, tokens, runs)
            return
        with self._file.changing() as book:
            self._add(book, target, tokens, runs)

    def _add(self, book: dict[str, Any], target: Target, tokens: int, runs: int) -> None:
        today, place = self._today(), _place(target)
        before = _spent(book, today, place)
        days = book.setdefault("days", {})
        if not isinstance(days, dict) or not isinstance(days.setdefault(today, {}), dict):
            days = book["days"] = {today: {}}
        days[today][place] = {"tokens": before.tokens + tokens, "runs": before.runs + runs}
        for far in sorted(days, key=lambda day: _days_apart(day, today))[KEPT_DAYS:]:
            del days[far]

    def _today(self) -> str:
        return time.strftime("%Y-%m-%d", time.gmtime(self._clock()))


def _place(target: Target) -> str:
    # Two configs may call different servers by one name.
    return f"{target.name} {target.url}"


def _spent(book: dict[str, Any], day: str, place: str) -> Spent:
    days = book.get("days")
    entry = days.get(day, {}) if isinstance(days, dict) else {}
    found = entry.get(place) if isinstance(entry, dict) else None
    if not isinstance(found, dict):
        return Spent()
    return Spent(tokens=_count(found.get("tokens")), runs=_count(found.get("runs")))


def _days_apart(day: str, today: str) -> float:
    try:
        return abs((date.fromisoformat(day) - date.fromisoformat(today)).days)
    except ValueError:
        return float("inf")


def _count(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else 0
