"""A plan -> what its run will probably cost and leave behind, to be said before it starts. Asks nobody.

Numbers come from the plan and from earlier runs; what neither says is assumed, and said to be.
"""

import ipaddress
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from astrometer.api.chat.chat_turn import TOKENS_PER_TURN
from astrometer.api.endpoints import parse_version
from astrometer.load.inspect_locustfile import Inspection
from astrometer.load.launch import LoadPlan
from astrometer.measure.capacity.search_settings import Level, SearchSettings
from astrometer.measure.results import document
from astrometer.units import format_duration

MOST_READ = 20  # results files, which may be large
DELETES_SINCE = (4, 26, 0)  # sessions, through an API key, if they belong to that very key
USER_TURN_S = 5.0  # a turn and the pause after it, of a user of whom nothing is known
CONVERSATIONS = (
    "a conversation for each user and group of the messenger, which grows with every question, until it is "
    "deleted in AstrBot's WebUI"
)
NEAR_THE_BOUNDARY = 5  # windows of a search between the last doubling and the answer, besides repeats


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What a run will probably do. None: it has no end. `*_from`: the earlier run; None: assumed."""

    turns: int | None
    tokens: int | None
    turns_are_planned: bool = False  # an open model's, which are known
    turns_from: Path | None = None
    tokens_from: Path | None = None
    at_most: bool = False  # of a search, which may end long before

    def times(self, number: int) -> "Forecast":
        turns, tokens = (None if count is None else count * number for count in (self.turns, self.tokens))
        return replace(self, turns=turns, tokens=tokens)


def is_loopback(url: str) -> bool:
    """Whether the address itself says that it is this machine; a name that only resolves so does not."""
    host = (urlsplit(url).hostname or "").lower().rstrip(".")
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def forecast(plan: LoadPlan, earlier: Path, asks_model: float = 1.0) -> Forecast:
    """`earlier`: the directory where results of runs are kept; `asks_model`: the share of turns that cost.

    How many turns a user makes is told by the newest run of the same scenario and steady users: in an open
    run `users` are what a rate is made of, in one with a shape the most there were. What a turn costs is told
    by the newest run against the same target, of the same scenario if there is one.
    """
    scenario = plan.locustfile.stem
    runs = _newest_first(earlier)
    search = plan.settings.capacity
    turns, user_seconds = _planned(plan, search)
    turns_from = None
    workload = plan.settings.workload()
    if workload is not None:  # the others of a mix make one turn per arrival
        turns = None if turns is None else round(turns * (1 + asks_model * (workload.turns.mean - 1)))
        if turns is None and user_seconds is not None:
            turns = round(user_seconds * workload.busiest_hour.turns_per_s / workload.users)
    if turns is None and user_seconds is not None:
        pace = next((run for run in runs if run.scenario == scenario and run.turns_per_user_s > 0), None)
        per_user_s = 1 / USER_TURN_S if pace is None else pace.turns_per_user_s
        turns, turns_from = round(user_seconds * per_user_s), pace.folder if pace else None
    each, tokens_from = _tokens_per_turn(plan, runs, asks_model)
    return Forecast(
        turns=turns,
        tokens=None if turns is None else round(turns * each),
        turns_are_planned=user_seconds is None and turns is not None,
        turns_from=turns_from,
        tokens_from=tokens_from,
        at_most=search is not None,
    )


def sentences(
    plan: LoadPlan,
    ahead: Forecast,
    inspected: Inspection,
    version: str | None,
    *,
    is_free: bool = False,
    searches: Sequence[str] = (),
) -> list[str]:
    """What to show before it starts, a line each. `is_free`: a disposable server with a stub model."""
    here = ", on this machine" if is_loopback(plan.target.url) else ", not this machine"
    deletable = plan.settings.username is not None
    lines = [
        f"This will load {plan.target.url} (AstrBot {version or 'of unknown version'}){here}.",
        f"  load: {_load(plan)}",
        *_several(plan, searches),
        f"  turns: {_turns(ahead)}",
        f"  tokens: {'none: a stub model answers' if is_free else _tokens(plan, ahead)}",
    ]
    if ahead.tokens != 0 and (deletable or not is_free):
        lines.append(f"  left behind: {left_behind(inspected, version, deletable=deletable)}")
    return lines


def left_behind(
    inspected: Inspection, version: str | None, *, deletable: bool, sessions: int | None = None
) -> str:
    """What a run leaves on a server of this version, and who can remove it.

    `sessions`: how many it has left, if that is known.
    """
    left = [_sessions(version, deletable=deletable, sessions=sessions)] if inspected.leaves_sessions else []
    return "; ".join([*left, CONVERSATIONS] if inspected.leaves_conversations else left)


def _sessions(version: str | None, *, deletable: bool, sessions: int | None) -> str:
    if sessions == 0:
        return "no session"
    counted = "1 session" if sessions == 1 else f"{sessions or 0:,} sessions"
    if deletable:
        return f"{counted if sessions else 'sessions'} that `astrometer clean` can remove, with their uploads"
    left = counted if sessions else "a session per chat"
    if version is None:
        return f"{left}; whether they can be removed is unknown"
    if _older(version):
        return f"{left}, for ever: AstrBot {version} deletes nothing through an API key"
    return (
        f"{left}, for ever: AstrBot lets a user's sessions be deleted by that user alone. "
        "With --deletable `astrometer clean` can remove them"
    )


def _turns(ahead: Forecast) -> str:
    if ahead.turns is None:
        return "without end, until it is stopped"
    number = f"{'up to' if ahead.at_most else 'about'} {ahead.turns:,}"
    if ahead.turns_are_planned:
        return number
    source = (
        f"after {ahead.turns_from}" if ahead.turns_from else f"assuming one per user every {USER_TURN_S:g} s"
    )
    return f"{number} ({source})"


def _tokens(plan: LoadPlan, ahead: Forecast) -> str:
    if ahead.tokens == 0:
        return "none: this scenario does not ask the model"
    limit = plan.settings.budget_tokens
    cap = f"the run ends at {limit:,} (--budget-tokens)" if limit else "--budget-tokens sets a limit"
    if ahead.tokens is None:
        return f"{_assumed_tokens(plan):,.0f} a turn, without end; {cap}"
    assumed = f"assuming {_assumed_tokens(plan):,.0f} a turn"
    source = f"after {ahead.tokens_from}" if ahead.tokens_from else assumed
    return f"{'up to' if ahead.at_most else 'about'} {ahead.tokens:,} ({source}); {cap}"


def _older(version: str) -> bool:
    try:
        return parse_version(version) < DELETES_SINCE
    except ValueError:
        return False


def _planned(plan: LoadPlan, search: SearchSettings | None) -> tuple[int | None, float | None]:
    """Turns of an open model, which are known beforehand; else the user-seconds. None, None: without end."""
    settings = plan.settings
    if search is not None:
        amount = search_area(search)
        return (round(amount), None) if search.is_rate else (None, amount)
    if settings.shape is not None:
        area = settings.shape.area(settings.shape.duration_s)
        return (round(area), None) if settings.shape.is_rate else (None, area)
    if plan.duration_s is None:
        return None, None
    if settings.rate_unit:
        return round(plan.users * settings.rate_unit * plan.duration_s), None
    return None, plan.users * plan.duration_s


def search_area(search: SearchSettings) -> float:
    """Load by seconds of a search that doubles up to its maximum and finds its answer there."""
    return sum(_search_loads(search)) * (search.settle_s + search.step_s)


def _search_loads(search: SearchSettings) -> list[float]:
    levels = [search.start]
    while levels[-1] < search.maximum:
        levels.append(min(levels[-1] * 2, search.maximum))
    return [*levels, *[search.maximum] * (NEAR_THE_BOUNDARY + 2 * search.repeats)]


def _several(plan: LoadPlan, searches: Sequence[str]) -> list[str]:
    """How many searches there are, and how long they take when each window takes no longer than it should."""
    search = plan.settings.capacity
    if not searches or search is None:
        return []
    windows = len(_search_loads(search))
    each_s = windows * (search.settle_s + search.step_s)
    time = (
        f"  time: up to {format_duration(len(searches) * each_s)} ({windows} windows a search); longer where "
        "a window lacks samples, or a queue takes long to empty"
    )
    return [f"  searches: {len(searches)}, in this order: {', '.join(searches)}", time]


def _load(plan: LoadPlan) -> str:
    settings = plan.settings
    if (search := settings.capacity) is not None:
        first, last = (Level(value, is_rate=search.is_rate) for value in (search.start, search.maximum))
        unit = "" if search.is_rate else " users"
        return (
            f"a search from {first} to {last}{unit}, {format_duration(search.step_s)} or longer at each load"
        )
    if settings.shape is not None:
        return str(settings.shape)
    span = f"for {format_duration(plan.duration_s)}" if plan.duration_s else "until it is stopped"
    if settings.rate_unit:
        return f"{plan.users * settings.rate_unit:g} arrivals per second {span}"
    return f"{plan.users} {'user' if plan.users == 1 else 'users'} {span}"


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierRun:
    """What an estimate takes from the results of a run. `made`: turns of the window, as all else is."""

    folder: Path
    scenario: str
    url: str
    is_search: bool
    made: int
    tokens: int
    chats: int
    chat_tokens: int
    turns_per_user_s: float  # 0: not told, as by a rate or a shape

    @classmethod
    def of(cls, folder: Path, known: Mapping[str, Any]) -> "EarlierRun":
        """Raises what a file that is JSON, but no results of ours, breaks."""
        chat = known["scenarios"].get("chat")
        user_seconds = (known["users"] or 0) * known["window"]["duration_s"]
        is_steady = not any(known[name] for name in ("capacity", "arrivals", "profile"))
        made = _made(known)
        return cls(
            folder=folder,
            scenario=known["scenario"],
            url=known["target"]["url"].rstrip("/"),
            is_search=known["capacity"] is not None,
            made=made,
            tokens=sum(known["tokens"].values()),
            chats=_made(chat) if chat else 0,
            chat_tokens=sum(chat["tokens"].values()) if chat else 0,
            turns_per_user_s=made / user_seconds if is_steady and user_seconds > 0 else 0.0,
        )


def _newest_first(folder: Path) -> list[EarlierRun]:
    """Files that are no results of ours, or are gone meanwhile, tell nothing."""
    files = []
    for file in folder.glob(f"*/{document.FILE_NAME}"):
        with suppress(OSError):
            files.append((file.stat().st_mtime, file))
    found: list[EarlierRun] = []
    for _, file in sorted(files, reverse=True)[:MOST_READ]:
        with suppress(document.ResultsError):
            known = document.read(file)
            with document.following_schema(file):
                found.append(EarlierRun.of(file.parent, known))
    return found


def _made(known: Mapping[str, Any]) -> int:
    return int(known["turns"]["started"] - known["turns"]["excluded"])


def _tokens_per_turn(plan: LoadPlan, runs: list[EarlierRun], asks_model: float) -> tuple[float, Path | None]:
    """Of all turns of the scenario, those that cost nothing included."""
    if not asks_model:
        return 0.0, None
    here = [run for run in runs if run.url == plan.target.url and run.made > 0]
    for run in here:
        if run.scenario == plan.locustfile.stem and run.tokens and not run.is_search:
            return run.tokens / run.made, run.folder
    for run in here:
        if run.chat_tokens and run.chats > 0:
            return run.chat_tokens / run.chats * asks_model, run.folder
    return _assumed_tokens(plan) * asks_model, None


def _assumed_tokens(plan: LoadPlan) -> float:
    """A turn that asks the model; no earlier run says what it costs."""
    workload = plan.settings.workload()
    learnt = None if workload is None else workload.tokens_per_turn
    return TOKENS_PER_TURN if learnt is None else learnt
