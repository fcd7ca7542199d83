"""A plan against a server that is not this machine -> what to know before it starts. Asks nobody.

Numbers come from the plan, or from an earlier run of the same scenario; what neither says is unknown.
"""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from astrometer.api.endpoints import parse_version
from astrometer.load.launch import LoadPlan
from astrometer.measure.results import document
from astrometer.units import format_duration

MOST_READ = 20  # results files, which may be large
DELETES_SINCE = (4, 26, 0)  # sessions, through an API key, if they belong to that very key


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What a run will probably do. None: unknown. `source`: the earlier run behind an estimate."""

    turns: int | None
    tokens: int | None
    source: Path | None = None


def is_loopback(url: str) -> bool:
    """Whether the address itself says that it is this machine; a name that only resolves so does not."""
    host = (urlsplit(url).hostname or "").lower().rstrip(".")
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def forecast(plan: LoadPlan, earlier: Path) -> Forecast:
    """`earlier`: the directory where results of runs are kept; the newest of the same scenario is used.

    How many turns a user makes is told by runs of steady users only: in an open run `users` are what a rate
    is made of, in one with a shape the most there were.
    """
    turns = _arrivals(plan)
    source, known = _newest(earlier, plan.locustfile.stem, steady=turns is None)
    seconds = plan.shape.area(plan.shape.duration_s) if plan.shape else plan.users * (plan.duration_s or 0.0)
    if known is None:
        return Forecast(turns=turns, tokens=None)
    made = known["turns"]["started"] - known["turns"].get("excluded", 0)  # of the window, as the rest
    user_seconds = (known["users"] or 0) * known["window"]["duration_s"]
    estimated = turns is None and seconds > 0 and made > 0 and user_seconds > 0
    if estimated:
        turns = round(made / user_seconds * seconds)
    each = sum(known["tokens"].values()) / made if made else 0.0
    tokens = round(each * turns) if each and turns is not None else None
    return Forecast(turns=turns, tokens=tokens, source=source if estimated or tokens else None)


def sentences(plan: LoadPlan, ahead: Forecast, version: str | None) -> list[str]:
    """What to show before asking, a line each."""
    after = f" (after {ahead.source})" if ahead.source else ""
    turns = "an unknown number of" if ahead.turns is None else f"about {ahead.turns:,}"
    tokens = "unknown" if ahead.tokens is None else f"about {ahead.tokens:,}"
    if plan.budget_tokens:
        tokens += f"; the run ends at {plan.budget_tokens:,} (--budget-tokens)"
    elif ahead.tokens is None:
        tokens += " (--budget-tokens sets a limit)"
    return [
        f"This will load {plan.target.url} (AstrBot {version or 'of unknown version'}), not this machine.",
        f"  load: {_load(plan)}",
        f"  turns: {turns}{after}",
        f"  tokens: {tokens}",
        f"  left behind: {left_behind(version, deletable=plan.username is not None)}",
    ]


def left_behind(version: str | None, *, deletable: bool) -> str:
    """What a run leaves on a server of this version, and who can remove it."""
    if deletable:
        return "sessions that `astrometer clean` can remove, with what was uploaded into them"
    if version is None:
        return "a session per chat, with its history; whether they can be removed is unknown"
    if _older(version):
        return f"a session per chat, for ever: AstrBot {version} deletes nothing through an API key"
    return (
        "a session per chat, for ever: AstrBot lets a user's sessions be deleted by that user alone. "
        "With --deletable `astrometer clean` can remove them"
    )


def _older(version: str) -> bool:
    try:
        return parse_version(version) < DELETES_SINCE
    except ValueError:
        return False


def _arrivals(plan: LoadPlan) -> int | None:
    """Of an open model, which is known beforehand; a closed one asks again when it has its answer."""
    if plan.shape is not None:
        return round(plan.shape.area(plan.shape.duration_s)) if plan.shape.is_rate else None
    if plan.rate_unit is None or plan.duration_s is None:
        return None
    return round(plan.users * plan.rate_unit * plan.duration_s)


def _load(plan: LoadPlan) -> str:
    if plan.search is not None:
        return f"a search for the capacity, {plan.search}"
    if plan.shape is not None:
        return str(plan.shape)
    span = f"for {format_duration(plan.duration_s)}" if plan.duration_s else "until it is stopped"
    if plan.rate_unit is not None:
        return f"{plan.users * plan.rate_unit:g} arrivals per second {span}"
    return f"{plan.users} users {span}"


def _newest(folder: Path, scenario: str, *, steady: bool) -> tuple[Path | None, Mapping[str, Any] | None]:
    found = [
        file
        for file in folder.glob(f"{scenario}-*/{document.FILE_NAME}")
        if not file.parent.name.startswith(f"{scenario}-capacity-")  # mostly overload
    ]
    for file in sorted(found, key=lambda file: file.stat().st_mtime, reverse=True)[:MOST_READ]:
        try:
            known = document.read(file)
        except document.ResultsError:
            continue
        unlike = ("capacity", "arrivals", "profile") if steady else ("capacity",)
        if known["scenario"] == scenario and not any(known.get(name) for name in unlike):
            return file.parent, known
    return None, None
