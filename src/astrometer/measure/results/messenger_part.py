"""Questions in a messenger -> `messenger` of `results.json`: what no outcome and no duration says. Pure."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from astrometer.im.queue_seen import QueueTold

_MATCHED = "matched_by_"
_COUNTS = ("replies", "messages", "images", "segmented", "paused", "duplicates", "foreign")


def messenger_json(facts: Counter[str], link: Mapping[str, int] | None) -> dict[str, Any] | None:
    """`facts` of the questions of the window; `link`: what the links saw besides. None: no messenger."""
    if link is None:
        return None
    return {
        **{name: facts[name] for name in _COUNTS},
        "part_pause_s": facts["part_pause_ms"] / 1000,
        "queue": {told.value: facts[f"queue_{told.value}"] for told in QueueTold},
        "matched_by": {
            name.removeprefix(_MATCHED): count
            for name, count in sorted(facts.items())
            if name.startswith(_MATCHED)
        },
        "link": dict(sorted(link.items())),
    }
