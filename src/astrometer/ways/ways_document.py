"""The searches of all ways -> `ways.json`: what each way holds, and how that is beside the first. Pure."""

import math
from collections.abc import Sequence
from statistics import fmean
from typing import Any

from astrometer.measure.capacity.capacity_interval import CONFIDENCE
from astrometer.measure.capacity.capacity_result import ANSWERED
from astrometer.measure.capacity.next_load import StepVerdict
from astrometer.ways.ways_plan import WaysPlan
from astrometer.ways.ways_session import SearchedWay
from astrometer.ways.ways_statistics import SearchSpread, WayCapacity, WindowSet, ratio, verdict_of

FILE_NAME = "ways.json"
SCHEMA_VERSION = 1
_TIMES = ("e2e", "reply_last")  # the whole answer


def build(
    plan: WaysPlan, done: Sequence[SearchedWay], objectives: Sequence[str], *, interrupted: bool
) -> dict[str, Any]:
    """The whole content of `ways.json`. `objectives`: as they were given."""
    searches = {way: [item for item in done if item.search.way is way] for way in plan.ways}
    windows = {
        way: [WindowSet(windows=_windows(item)) for item in _counted(searches[way])] for way in plan.ways
    }
    spread = SearchSpread.of(windows.values())
    held = {way: WayCapacity.of(windows[way], spread) for way in plan.ways}
    first = plan.ways[0]
    search = plan.loads[first].settings.capacity
    is_rate = search is not None and search.is_rate
    ways: list[dict[str, Any]] = []
    for way in plan.ways:
        beside = ratio(held[first], held[way], spread)
        ways.append(
            {
                "way": way.value,
                "objectives": list(plan.loads[way].given["slo"]),
                "verdict": _verdict(searches[way]),
                "capacity": _load(held[way].believed.middle, is_rate=is_rate),
                "interval": {
                    "low": _load(held[way].believed.low, is_rate=is_rate),
                    "high": _load(held[way].believed.high, is_rate=is_rate),
                },
                "ratio": None if way is first else beside.middle,
                "ratio_interval": None if way is first else {"low": beside.low, "high": beside.high},
                "change": None if way is first else verdict_of(beside).value,
                **_figures(_counted(searches[way])),
                "searches": [_search(item) for item in searches[way]],
            }
        )
    verdicts = [str(item["verdict"]) for item in ways]
    return {
        "schema_version": SCHEMA_VERSION,
        "verdict": next((bad for bad in ("INVALID", "FAIL") if bad in verdicts), "PASS"),
        "interrupted": interrupted,
        "scenario": plan.loads[first].locustfile.stem,
        "target": next((dict(item.results["target"]) for item in done if item.results is not None), None),
        "objectives": list(objectives),
        "search": str(search),
        "unit": "per_s" if is_rate else "users",
        "rounds": plan.rounds,
        "order": [item.directory for item in done],
        "confidence": CONFIDENCE,
        "search_spread": math.sqrt(spread.variance) if spread.degrees else None,
        "ways": ways,
    }


def _counted(searches: Sequence[SearchedWay]) -> list[SearchedWay]:
    """Those with an answer that can be trusted."""
    return [
        item
        for item in searches
        if item.results is not None
        and item.results["verdict"] != "INVALID"
        and item.results["capacity"]["end"] in ANSWERED
    ]


def _windows(item: SearchedWay) -> list[tuple[float, bool]]:
    steps = item.results["capacity"]["steps"] if item.results is not None else ()
    verdicts = [StepVerdict(step["verdict"]) for step in steps]
    return [
        (float(step["load"]), verdict is StepVerdict.PASS)
        for step, verdict in zip(steps, verdicts, strict=True)
        if verdict.confirms
    ]


def _verdict(searches: Sequence[SearchedWay]) -> str:
    counted = [str(item.results["verdict"]) for item in _counted(searches) if item.results is not None]
    if not counted:
        return "INVALID"
    return "FAIL" if set(counted) == {"FAIL"} else "PASS"


def _figures(counted: Sequence[SearchedWay]) -> dict[str, float | None]:
    """At the highest load that passed, in the mean of the searches; CPU of whole searches."""
    there = [item.results["capacity"]["at_highest_passing"] for item in counted if item.results is not None]
    rates = [
        float(step["completed_per_s"])
        for item in counted
        if item.results is not None
        for step in item.results["capacity"]["steps"]
        if step["load"] == item.results["capacity"]["highest_passing"] and step["verdict"] != "INVALID"
    ]
    halves = [
        float(stats["metrics"][name]["p50"])
        for stats in there
        if stats is not None
        for name in _TIMES
        if name in stats["metrics"] and stats["metrics"][name]["p50"] is not None
    ]
    # A server that ended, or was seen too briefly, says nothing of a turn.
    costs = [item.server for item in counted if item.server and item.server["cpu_per_turn_s"] is not None]
    turns = sum(cost["turns"] for cost in costs)
    return {
        "answers_per_s": fmean(rates) if rates else None,
        "answer_p50_s": fmean(halves) if halves else None,
        "server_cpu_s_per_turn": sum(cost["cpu_s"] for cost in costs) / turns if turns else None,
    }


def _search(item: SearchedWay) -> dict[str, Any]:
    found = item.results
    capacity = None if found is None else found["capacity"]
    return {
        "directory": item.directory,
        "verdict": "INVALID" if found is None else found["verdict"],
        "end": None if capacity is None else capacity["end"],
        "reason": "it left no results" if capacity is None else capacity["reason"],
        "estimate": None if capacity is None else capacity["estimate"],
        "interval": {key: None if capacity is None else capacity["interval"][key] for key in ("low", "high")},
        "highest_passing": None if capacity is None else capacity["highest_passing"],
        "binding": None if capacity is None else capacity["binding"],
        "turns": item.turns,
        "server_cpu_s": item.server and item.server["cpu_s"],
    }


def _load(level: float | None, *, is_rate: bool) -> float | int | None:
    """A user is whole."""
    if level is None:
        return None
    return float(f"{level:.4g}") if is_rate else math.floor(level)
