"""Bugs and limits of AstrBot itself that struck a run -> a line each. Pure."""

from collections.abc import Mapping
from typing import Any

from astrometer.api.outcome import Outcome
from astrometer.api.sentences import AstrBotBug
from astrometer.measure.turns_at_once import PROVIDER_LIMIT
from astrometer.report import formatting
from astrometer.report.view.capacity_view import found, load_text

# What it is called, and how to be rid of it.
_WORDS = {
    AstrBotBug.TWO_EVENT_LOOPS.value: (
        "AstrBot's two-event-loop bug",
        (
            "ended with 4.27.3: upgrade AstrBot. More turns at once make it worse. Such a turn does not ask "
            "the model, so the server looks faster than it is"
        ),
    ),
}


def bug_lines(results: Mapping[str, Any]) -> list[str]:
    """A line for each scenario that it struck; empty when none did."""
    return [
        _line(scenario, name, seen) + _besides(name, stats)
        for scenario, stats in results["scenarios"].items()
        for name, seen in stats["astrbot_bugs"].items()
    ]


def _besides(name: str, stats: Mapping[str, Any]) -> str:
    """In a messenger it has a second face, which nobody can tell from any other silence."""
    silent = stats["turns"]["outcomes"].get(Outcome.SILENT.value, 0)
    if name != AstrBotBug.TWO_EVENT_LOOPS.value or not silent:
        return ""
    return (
        ". It also loses answers after the model gave them: probably some of the "
        f"{formatting.count(silent)} that were silent"
    )


def _line(scenario: str, name: str, seen: Mapping[str, Any]) -> str:
    title, cure = _WORDS.get(name, (f"AstrBot's bug {formatting.plain(name)}", "look at its log"))
    turns = f"{formatting.count(seen['turns'])} of {formatting.count(seen['of'])}"
    share = formatting.share(seen["share"])
    return f"Warning: {title}: {share} of the turns of {formatting.plain(scenario)} ({turns}); {cure}"


_LIMIT = f"AstrBot never has more than {PROVIDER_LIMIT} requests open to one provider"
_NOT_TOLD = "--model-status URL tells whether the model had that many"


def provider_limit_lines(results: Mapping[str, Any]) -> list[str]:
    """Empty where it was not met. A search has its own words."""
    seen = results["provider_limit"]
    if seen["reached"] is None:
        return []
    if (searched := found(results)) is not None:
        return _of_search(searched, seen)
    if seen["reached"] == "model":
        had = f"the model had {formatting.count(seen['model_most'])} requests at once"
        rest = "what more load brings is this limit, and not the speed of the server or the model"
    else:
        held = formatting.duration(seen["turns_at_limit_s"])
        most = f"{seen['turns_most']:.0f}"
        had = f"{PROVIDER_LIMIT} turns or more were open at once for {held} (most: {most})"
        rest = f"the times may be those of this limit, and not of the server or the model. {_NOT_TOLD}"
    return [f"Warning: {had}. {_LIMIT}: {rest}"]


def _of_search(searched: Mapping[str, Any], seen: Mapping[str, Any]) -> list[str]:
    """Only where one of the two loads of the answer is so high."""
    edges = [searched[key] for key in ("highest_passing", "lowest_failing")]
    at = {
        step["load"]: step["turns_at_once"]
        for step in searched["steps"]
        if step["load"] in edges and (step["turns_at_once"] or 0) >= PROVIDER_LIMIT
    }
    if not at:
        return []
    load, turns = min(at.items())
    had = f"at {load_text(searched, load)} {turns:.0f} turns were open at once"
    is_limit, rest = "may be that limit", f". {_NOT_TOLD}"
    if seen["reached"] == "model":
        had += f"; the model had {formatting.count(seen['model_most'])} requests at once"
        is_limit, rest = "is that limit", ""
    return [f"{had}. {_LIMIT}: this capacity {is_limit}, and not the server's or the model's{rest}"]
