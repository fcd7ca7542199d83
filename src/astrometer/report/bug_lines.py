"""`astrbot_bugs` of a results file -> a sentence for each known bug of AstrBot that struck. Pure."""

from collections.abc import Mapping
from typing import Any

from astrometer.api.outcome import Outcome
from astrometer.api.sentences import AstrBotBug
from astrometer.report import formatting

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
    """A line for each scenario that it struck; empty when none did, and of older files."""
    return [
        _line(scenario, name, seen) + _besides(name, stats)
        for scenario, stats in results["scenarios"].items()
        for name, seen in stats.get("astrbot_bugs", {}).items()
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
