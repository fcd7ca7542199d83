"""Finished runs -> what is left of a target's tokens and runs for today. Kept across restarts.

A day is a UTC day. Counted is what the server reports in `agent_stats`; a run that was given up before it was
reported counts as a run without tokens. Exporters that share a state folder share the budget of a target.

A paced ledger spreads a budget over the day: what is spent ahead of an even pace is paid back by waiting.
"""

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any, Literal

from astrometer.config.settings import Target
from astrometer.probing.cleanup.state_file import Say, StateFile

FILE = "budget.json"
KEPT_DAYS = 3  # those nearest to today: a clock that was wrong for a while finds its day again
DAY_S = 86400.0
MOST_AHEAD = 0.1  # share of a day's budget that may be spent ahead of an even pace
FEW_TURNS = 3  # below these, the cost of a turn is not measured


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """One target's day so far. `ahead_*`: of an even pace, as it was at `at` (epoch seconds)."""

    tokens: int = 0
    runs: int = 0
    turns: int = 0  # that cost tokens
    ahead_tokens: float = 0.0
    ahead_runs: float = 0.0
    at: float = 0.0

    def ahead_at(self, now: float, tokens_per_day: int | None, runs_per_day: int | None) -> "Spent":
        """The same at a later time: an even pace has caught up by as much. A clock set back waits.

        The pace is that of what is left beside what may be spent ahead, so that both last until midnight.
        """
        share = (1.0 - MOST_AHEAD) * max(0.0, now - self.at) / DAY_S
        return replace(
            self,
            ahead_tokens=max(0.0, self.ahead_tokens - share * (tokens_per_day or 0)),
            ahead_runs=max(0.0, self.ahead_runs - share * (runs_per_day or 0)),
            at=now,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a run that costs tokens may not start now. `pace`: later today it may."""

    cause: Literal["budget", "pace"]
    why: str


class Ledger:
    """Books what probes spend. Without a folder it lives in memory, and a restart begins a new day."""

    def __init__(
        self,
        folder: Path | None = None,
        *,
        paced: bool = False,
        say: Say = lambda _: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._file = StateFile(folder / FILE, say) if folder is not None else None
        self._memory: dict[str, Any] = {}
        self._paced = paced
        self._clock = clock

    def spent(self, target: Target) -> Spent:
        return _spent(self._book(), self._today(), _place(target))

    def refusal(self, target: Target) -> Refusal | None:
        """None: a run that costs tokens may start now."""
        budget = target.budget
        if budget.is_endless:
            return None
        tokens, runs = budget.tokens_per_day, budget.runs_per_day
        spent = self.spent(target).ahead_at(self._clock(), tokens, runs)
        if runs is not None and spent.runs >= runs:
            return Refusal(
                cause="budget", why=f"budget: {spent.runs} of {runs} runs of today (UTC) are spent"
            )
        if tokens is not None and spent.tokens >= tokens:
            return Refusal(
                cause="budget", why=f"budget: {spent.tokens} of {tokens} tokens of today (UTC) are spent"
            )
        if self._paced and (
            (runs is not None and spent.ahead_runs > max(1.0, MOST_AHEAD * runs) - 1.0)
            or (tokens is not None and spent.ahead_tokens >= MOST_AHEAD * tokens)
        ):
            return Refusal(cause="pace", why="held back: the budget is to last until midnight (UTC)")
        return None

    def tokens_left(self, target: Target) -> int | None:
        """None: this target has no budget of tokens."""
        most = target.budget.tokens_per_day
        return None if most is None else max(0, most - self.spent(target).tokens)

    def tokens_per_turn(self, target: Target) -> float | None:
        """What a turn cost on the days that are kept; None when too few were booked to say."""
        days = self._book().get("days")
        names = days if isinstance(days, dict) else {}
        kept = [_spent(self._book(), day, _place(target)) for day in names]
        turns = sum(spent.turns for spent in kept)
        return sum(spent.tokens for spent in kept) / turns if turns >= FEW_TURNS else None

    def book(self, target: Target, *, tokens: int = 0, runs: int = 0) -> None:
        """Add to the day. A target without a budget is not booked: nothing would ever read it."""
        if target.budget.is_endless or not (tokens or runs):
            return
        if self._file is None:
            self._add(self._memory, target, tokens, runs)
            return
        with self._file.changing() as book:
            self._add(book, target, tokens, runs)

    def _book(self) -> dict[str, Any]:
        return self._memory if self._file is None else self._file.read()

    def _add(self, book: dict[str, Any], target: Target, tokens: int, runs: int) -> None:
        today, place = self._today(), _place(target)
        budget = target.budget
        before = _spent(book, today, place).ahead_at(
            self._clock(), budget.tokens_per_day, budget.runs_per_day
        )
        days = book.setdefault("days", {})
        if not isinstance(days, dict) or not isinstance(days.setdefault(today, {}), dict):
            days = book["days"] = {today: {}}
        after = replace(
            before,
            tokens=before.tokens + tokens,
            runs=before.runs + runs,
            turns=before.turns + (1 if tokens else 0),
            ahead_tokens=before.ahead_tokens + tokens,
            ahead_runs=before.ahead_runs + runs,
        )
        days[today][place] = asdict(after)
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
    return Spent(
        tokens=_count(found.get("tokens")),
        runs=_count(found.get("runs")),
        turns=_count(found.get("turns")),
        ahead_tokens=_amount(found.get("ahead_tokens")),
        ahead_runs=_amount(found.get("ahead_runs")),
        at=_amount(found.get("at")),
    )


def _days_apart(day: str, today: str) -> float:
    try:
        return abs((date.fromisoformat(day) - date.fromisoformat(today)).days)
    except ValueError:
        return math.inf


def _count(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else 0


def _amount(value: object) -> float:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if number and 0 <= value < math.inf else 0.0  # type: ignore[operator, arg-type]
