"""Searches of ways that never ran: the windows of a capacity search, as `results.json` has them."""

import json
from pathlib import Path

from astrometer.config.settings import Target
from astrometer.load.launch import LoadPlan
from astrometer.load.options import ChatTransport
from astrometer.ways.ways_plan import WaySearch, WaysPlan
from astrometer.ways.ways_session import SearchedWay

OBJECTIVE = "e2e_p95 < 3s"


def windows_around(passing, failing, repeats=3):
    """Doubling up from 1 until it fails, then both ends confirmed."""
    load, found = 1, []
    while load <= passing:
        found.append((load, True))
        load *= 2
    return [*found, (load, False), *[(passing, True), (failing, False)] * repeats]


def searched(windows, *, end="converged", verdict=None, p50_s=0.5, turns=1000, metric="e2e", server=None):
    """What the file of a search has that a comparison of ways reads."""
    passed = [load for load, ok in windows if ok]
    told = verdict or ("PASS" if passed else "FAIL")
    return {
        "schema_version": 2,
        "verdict": told,
        "causes": [],
        "target": {"url": "http://127.0.0.1:6185", "version": "4.29.3", "kind": "astrbot"},
        "turns": {"started": turns},
        "names": {"sessions": turns},
        "server": server,
        "capacity": {
            "unit": "users",
            "end": end,
            "reason": None if told != "INVALID" else "it was stopped",
            "highest_passing": max(passed, default=None),
            "lowest_failing": min((load for load, ok in windows if not ok), default=None),
            "binding": OBJECTIVE,
            "estimate": max(passed, default=None),
            "interval": {"low": None, "high": None, "confidence": 0.95},
            "at_highest_passing": {"metrics": {metric: {"p50": p50_s}}} if passed else None,
            "steps": [
                {"load": load, "verdict": "PASS" if ok else "FAIL", "completed_per_s": load / 2}
                for load, ok in windows
            ],
        },
    }


def plan_of(out=Path("out"), *, ways=("sse", "ws", "messenger"), rounds=2, **given):
    target = Target(name="default", url="http://127.0.0.1:6185")
    loads = {}
    for way in map(ChatTransport, ways):
        slo = OBJECTIVE.replace("e2e", "reply_last") if way is ChatTransport.MESSENGER else OBJECTIVE
        words = {"transport": way.value, "slo": [slo], "searches": True, **given}
        loads[way] = LoadPlan(
            locustfile=Path("chat.py"), target=target, users=1, spawn_rate=1.0, duration_s=None,
            stop_timeout_s=1.0, out=out / way, given=words,
        )  # fmt: skip
    return WaysPlan(loads=loads, rounds=rounds, out=out)


def server(cpu_s, turns=1000, *, is_enough=True):
    return {"cpu_s": cpu_s, "turns": turns, "cpu_per_turn_s": cpu_s / turns if is_enough else None}


def done(way, number, results):
    search = WaySearch(way=ChatTransport(way), number=number)
    return SearchedWay(search=search, directory=f"{way}/{number}", results=results)


def write_results(folder, results):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text(json.dumps(results))
