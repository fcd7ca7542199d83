"""Runs of two sides -> why they cannot be compared, and what else differs. Judges no number.

A reason forbids the comparison: the difference would be of the load and not of the server. A note does not,
but a reader should know it.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from astrometer.load.options import OPTIONS
from astrometer.measure.slo.validity import CauseKind

_OPTION = re.compile(r"-(?!\d)")
WINDOW_TOLERANCE = 0.10  # of the longer window
# Locust's options that say where a run happened or was written, and ours.
_OWN_FLAGS = frozenset(
    {"--host", "-H", "--logfile", "--master-port", "--master-bind-host", "--master-bind-port", "--web-port"}
) | {flag for entry in OPTIONS.values() if entry.of_one_run for flag in entry.flags}


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedRun:
    """One results file. `name` is what a reader calls it, such as its directory."""

    name: str
    results: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparability:
    """`reasons` forbid the comparison; `notes` only have to be told."""

    reasons: tuple[str, ...]
    notes: tuple[str, ...]


def check(
    base: Sequence[ComparedRun], cand: Sequence[ComparedRun], *, are_blocks: bool = False
) -> Comparability:
    """Compare each run with the first of the baseline: all must be of one kind.

    `are_blocks`: each may have too few samples for its objectives, which are judged on all of them.
    """
    runs = [*base, *cand]
    reasons = [reason for run in runs if (reason := unfit(run, are_blocks=are_blocks))]
    reasons += _same_run_twice(runs)
    first, *others = runs
    reasons += unlike(first, others)
    notes = beside(first, others)
    for side, name in ((base, "baseline"), (cand, "candidate")):
        versions = {str(run.results["target"]["version"]) for run in side}
        if len(versions) > 1:
            notes.append(f"the {name} pools several versions: {', '.join(sorted(versions))}")
    notes += _unsteady(base, cand)
    return Comparability(reasons=tuple(reasons), notes=tuple(notes))


def unlike(first: ComparedRun, others: Sequence[ComparedRun]) -> list[str]:
    """Why a difference from the first run would be of the load, or of the kind of server."""
    found = [
        reason for what, read in _MUST_AGREE.items() for reason in _disagreement(what, read, first, others)
    ]
    return found + _windows(first, others)


def beside(first: ComparedRun, others: Sequence[ComparedRun]) -> list[str]:
    """What else differs from the first run and forbids nothing."""
    found = [
        note for what, read in _SHOULD_AGREE.items() for note in _disagreement(what, read, first, others)
    ]
    return found + _arguments_differ(first, others)


def drifts(results: Mapping[str, Any]) -> list[str]:
    """Sentences on what was not steady in a run, whatever its verdict."""
    return [drift["sentence"] for drift in results["steadiness"]["drifts"]]


def _unsteady(base: Sequence[ComparedRun], cand: Sequence[ComparedRun]) -> list[str]:
    """Which runs drifted, and what that means for the comparison."""
    found = [(run, drifts(run.results)) for run in (*base, *cand)]
    told = [f"{run.name} ({sentences[0]})" for run, sentences in found if sentences]
    if not told:
        return []
    follows = "the rows hold for runs as long as these, and no longer"
    if not any(drifts(run.results) for run in base):
        better = "what is the same or better here may be worse in a longer run"
        follows += f"; the baseline was steady, so {better}"
    return [f"not steady: {', '.join(told)}: {follows}"]


def is_thin(results: Mapping[str, Any]) -> bool:
    """Whether it is INVALID for nothing but too few samples."""
    return all(cause["kind"] == CauseKind.TOO_FEW_SAMPLES for cause in results["causes"])


def unfit(run: ComparedRun, *, are_blocks: bool = False) -> str:
    """Why the numbers of a run cannot be used; empty when they can."""
    if run.results["capacity"] is not None:
        return f"{run.name} is a capacity search: its numbers mix many loads"
    if run.results["verdict"] != "INVALID" or (are_blocks and is_thin(run.results)):
        return ""
    causes = "; ".join(cause["sentence"] for cause in run.results["causes"])
    return f"{run.name} is INVALID: {causes or 'no cause given'}"


def _same_run_twice(runs: Sequence[ComparedRun]) -> list[str]:
    def identity(run: ComparedRun) -> tuple[Any, ...]:
        return run.results["window"]["start"], run.results["target"]["url"], run.results["turns"]["started"]

    return [
        f"{two.name} is the same run as {one.name}"
        for one, two in combinations(runs, 2)
        if identity(one) == identity(two)
    ]


def _disagreement(
    what: str,
    read: Callable[[Mapping[str, Any]], str | None],
    first: ComparedRun,
    others: Sequence[ComparedRun],
) -> list[str]:
    """One sentence for the first run that differs; a run that does not know does not differ."""
    for run in others:
        ours, theirs = read(first.results), read(run.results)
        if ours is not None and theirs is not None and ours != theirs:
            return [f"{what}: {ours} in {first.name}, {theirs} in {run.name}"]
    return []


def _windows(first: ComparedRun, others: Sequence[ComparedRun]) -> list[str]:
    for run in others:
        one, two = first.results["window"], run.results["window"]
        if one["warm_up"] and two["warm_up"]:  # found in each: what is left differs, too
            one, two = map(_whole, (one, two))
        for key, what, slack_s in (
            ("duration_s", "different windows", 1.0),
            ("excluded_s", "different ramp and warm-up", 2.0),
        ):
            longer = max(one[key], two[key])
            if abs(one[key] - two[key]) > max(slack_s, WINDOW_TOLERANCE * longer):
                return [f"{what}: {one[key]:.0f} s in {first.name}, {two[key]:.0f} s in {run.name}"]
    return []


def _whole(window: Mapping[str, Any]) -> Mapping[str, Any]:
    """As if nothing was found."""
    least_s = window["warm_up"]["least_s"]
    return {"duration_s": window["duration_s"] + window["excluded_s"] - least_s, "excluded_s": least_s}


def _load(results: Mapping[str, Any]) -> str | None:
    arrivals = results["arrivals"]
    if results["profile"]:
        return f"shape {results['profile']}"
    if arrivals:
        return f"open model, {arrivals['rate_per_s']:g}/s ({arrivals['process']})"
    users = results["users"]
    return None if users is None else f"closed model, {users} users"


def arguments(results: Mapping[str, Any]) -> dict[str, str]:
    """The command's own choices by their option, without where it wrote and whom it asked."""
    found: dict[str, list[str]] = {}
    option = ""  # of words before any option
    for word in results["command"][1:]:
        if _OPTION.match(word):
            option, equals, value = word.partition("=")
            option = "-f" if option == "--locustfile" else option
            found.setdefault(option, []).extend([value] if equals else [])
        else:
            found.setdefault(option, []).append(word.rsplit("/", 1)[-1] if option == "-f" else word)
    return {option: " ".join(words) for option, words in found.items() if option not in _OWN_FLAGS}


def _arguments_differ(first: ComparedRun, others: Sequence[ComparedRun]) -> list[str]:
    """One sentence for the first run whose arguments differ, with those that do: `--users 3 / 20`."""
    ours = arguments(first.results)
    for run in others:
        theirs = arguments(run.results)
        if not ours or not theirs or ours == theirs:
            continue
        differ = [
            f"{option} {_given(ours, option)} / {_given(theirs, option)}".strip()
            for option in dict.fromkeys([*ours, *theirs])
            if ours.get(option) != theirs.get(option)
        ]
        return [f"different arguments in {first.name} / {run.name}: {', '.join(differ)}"]
    return []


def _given(arguments: Mapping[str, str], option: str) -> str:
    """Its value; `given` of a flag without one, `–` where it is not there."""
    return arguments[option] or "given" if option in arguments else "–"


def _set_of(names: Iterable[str]) -> str | None:
    return ", ".join(sorted(names)) or None


_MUST_AGREE: dict[str, Callable[[Mapping[str, Any]], str | None]] = {
    "different scenarios": lambda results: str(results["scenario"]),
    "different loads": _load,
    "different numbers of load processes": lambda results: str(results["generator"]["processes"]),
    "different kinds of target": lambda results: results["target"]["kind"],
}
_SHOULD_AGREE: dict[str, Callable[[Mapping[str, Any]], str | None]] = {
    "different scenarios ran": lambda results: _set_of(results["scenarios"]),
    "different machines or platforms": lambda results: results["environment"].get("platform"),
    "different clocks, and a process that stamps by itself adds its own lateness": lambda results: str(
        results["generator"]["clock"]
    ),
    "different versions of astrometer": lambda results: results["environment"].get("astrometer"),
    "different versions of Locust": lambda results: results["environment"].get("locust"),
    "different versions of Python": lambda results: results["environment"].get("python"),
    "different objectives, so goodput is left out": lambda results: (
        _set_of(item["text"] for item in results["objectives"]) or "none"
    ),
}
