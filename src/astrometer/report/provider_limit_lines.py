"""`provider_limit` of a results file -> a sentence where AstrBot's own limit was met, or may have been."""

from collections.abc import Mapping
from typing import Any

from astrometer.measure.turns_at_once import PROVIDER_LIMIT
from astrometer.report import formatting
from astrometer.report.capacity_view import found, load_text

_LIMIT = f"AstrBot never has more than {PROVIDER_LIMIT} requests open to one provider"
_NOT_TOLD = "--model-status URL tells whether the model had that many"


def provider_limit_lines(results: Mapping[str, Any]) -> list[str]:
    """Empty where it was not met, and in older files. A search has its own words."""
    seen = results.get("provider_limit")
    if seen is None or seen["reached"] is None:
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
        if step["load"] in edges and (step.get("turns_at_once") or 0) >= PROVIDER_LIMIT
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
