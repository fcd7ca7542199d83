"""What the server's process used -> `server` of `results.json`. Pure."""

from dataclasses import asdict
from typing import Any

from astrometer.measure.server_usage import COLUMNS, GAUGES, LOG_COLUMNS, ServerUsage


def server_json(usage: ServerUsage | None) -> dict[str, Any] | None:
    """None: nobody knew the process."""
    if usage is None:
        return None
    last = usage.last
    known = last is not None and last.log_warnings is not None
    return {
        "pid": usage.pid,
        "listens": usage.listens,
        "samples": len(usage.window),
        "sampling_s": usage.sampling_s,
        "ended": None if usage.ended is None else asdict(usage.ended),
        "turns": usage.turns,
        "cpu_s": usage.cpu_s,
        "cpu_per_turn_s": usage.cpu_per_turn_s,
        "cpu_share": usage.cpu_share,
        "rss_growth_bytes": usage.rss_growth_bytes,
        "database_growth_bytes": usage.database_growth_bytes,
        "log": {"warnings": last.log_warnings, "errors": last.log_errors} if last and known else None,
        **{name: _levels(usage, name) for name in GAUGES},
        "series": {
            "t_s": [round(item.t_s, 3) for item in usage.samples],
            "turns": [item.turns for item in usage.samples],
            **{name: [getattr(item, name) for item in usage.samples] for name in (*COLUMNS, *LOG_COLUMNS)},
        },
    }


def _levels(usage: ServerUsage, name: str) -> dict[str, Any] | None:
    """At the begin and the end of the window, and the most in between. None: not known."""
    if not usage.window:
        return None
    begin, end = (getattr(item, name) for item in (usage.window[0], usage.window[-1]))
    most = usage.maxima.get(name)
    return None if begin is None and most is None else {"begin": begin, "end": end, "max": most}
