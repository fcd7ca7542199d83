"""`streams` of a results file -> a sentence for each sign that something was odd about the streams. Pure."""

from collections.abc import Mapping
from typing import Any

from astrometer.api.buffering import CURE, run_is_buffered
from astrometer.report import formatting

_SENTENCES = {
    "blank_lead": "{} of {} streams ({}) began with blanks: TTFT ends at the first visible character",
    "impossible_ttft": "{} of {} streams ({}) had their first token sooner than the server says that it had "
    "it: their TTFT and the server's TTFT do not go together, and they have no overhead",
    "buffered": "Warning: {} of {} streams ({}) were held back between AstrBot and here, so their times are "
    f"those of a proxy that buffers. Cure: {CURE}",
    "pushed": "{} of {} chats ({}) got messages that others pushed into them: those are left out",
}


def odd_stream_lines(results: Mapping[str, Any]) -> list[str]:
    """Empty when all was in order, and of older files."""
    seen = results.get("streams", {})
    return [
        sentence.format(*(formatting.count(seen[name][key]) for key in ("chats", "of")), _share(seen[name]))
        for name, sentence in _SENTENCES.items()
        if name in seen and (name != "buffered" or run_is_buffered(seen[name]["chats"], seen[name]["of"]))
    ]


def _share(sign: Mapping[str, Any]) -> str:
    return formatting.share(sign["share"])
