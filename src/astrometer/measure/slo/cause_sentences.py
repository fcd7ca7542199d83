"""A cause of INVALID or DRIFTING -> the sentence that people read. Pure."""

from typing import Any

from astrometer.measure.slo.validity import MAX_SCHEDULE_LAG_S, Cause, CauseKind
from astrometer.units import distinct_texts

_TEMPLATES = {
    CauseKind.MEASUREMENT_ERROR: "objective {objective!r}: measured to {value} ms, and {limit} ms matter",
    CauseKind.LOOP_LAG: "event-loop lag p99 {value} ms is above {limit} ms",
    CauseKind.SCHEDULE_LAG: "schedule lag p99 {value} ms is above {limit} ms{more}",
    CauseKind.THINK_TIME: "users paused {value}% too long, and so asked less: the limit is {limit}%",
    CauseKind.CPU: "CPU of a load process {value}% is above {limit}%",
    CauseKind.EXHAUSTED: "the load generator ran out of {detail}{more}",
    CauseKind.WORKERS_LOST: "{value} worker(s) lost, and what they had not yet reported{more}",
    CauseKind.WORKER_DID_NOT_BEGIN: "a worker could not begin: {detail}",
    CauseKind.RATE_NOT_REACHED: "{value} arrivals instead of about {limit}: the rate was not reached",
    CauseKind.USERS_NOT_REACHED: "{value} users instead of {limit}: there were never as many as requested",
    CauseKind.NOTHING_MEASURED: "nothing was measured: no exchange began in the window",
    CauseKind.UNACCOUNTED: "{value} exchange(s) started and never accounted for",
    CauseKind.TOO_FEW_SAMPLES: "objective {objective!r} has too few samples (n={value})",
    CauseKind.NO_SUCH_SCENARIO: "objective {objective!r}: no scenario {scenario!r} ran{more}",
    CauseKind.IM_FORGOTTEN: "the IM sink forgot {value} message(s) before they were read",
    CauseKind.IM_NOT_MEASURED: "IM delivery was not measured: {detail}",
    CauseKind.SERVER_ENDED: "the server's process ended ({detail}){more}: what it used cannot be judged",
    CauseKind.CUT_SHORT: "the run was cut short after {value} s: {detail}",
    CauseKind.WARM_UP_NOT_FOUND: "--warmup auto: the end of the warm-up was not found ({detail})",
    CauseKind.SERVER_NOT_IDLE: "the server was not idle when the window began: {detail}",
    CauseKind.SEARCH_UNFINISHED: "the search ended before its answer {detail}",
    CauseKind.DRIFTING: "{detail}",
}
_SCALES = {
    CauseKind.MEASUREMENT_ERROR: 1e3,
    CauseKind.LOOP_LAG: 1e3,
    CauseKind.SCHEDULE_LAG: 1e3,
    CauseKind.THINK_TIME: 100,
    CauseKind.CPU: 100,
}


def sentence(cause: Cause) -> str:
    """`event-loop lag p99 30 ms is above 20 ms`; of a stage with its name before it."""
    value, limit = _numbers(cause)
    said = _TEMPLATES[cause.kind].format(
        value=value,
        limit=limit,
        more=_more(cause),
        objective=cause.objective,
        scenario=cause.scenario,
        detail=cause.detail,
    )
    return said if cause.stage is None else f"stage {cause.stage!r}: {said}"


def cause_json(cause: Cause) -> dict[str, Any]:
    """One of `causes[]` of `results.json`."""
    return {**cause.to_json(), "sentence": sentence(cause)}


def _numbers(cause: Cause) -> tuple[str, str]:
    value, limit = cause.value or 0, cause.limit or 0
    scale = _SCALES.get(cause.kind)
    if scale is None:
        return f"{value:.0f}", f"{limit:.0f}"
    return distinct_texts(value * scale, limit * scale)


def _more(cause: Cause) -> str:
    """What is said only where it is known, or applies."""
    match cause:
        case Cause(kind=CauseKind.SCHEDULE_LAG, limit=float(limit)) if limit < MAX_SCHEDULE_LAG_S:
            return ", a tenth of an objective's limit"
        case Cause(kind=CauseKind.WORKERS_LOST, at_s=float(at_s)):
            return f": all from {at_s:.1f} s of the run on"
        case Cause(kind=CauseKind.SERVER_ENDED, at_s=float(at_s)):
            return f" {at_s:.1f} s after the run began"
        case Cause(kind=CauseKind.EXHAUSTED, limit=int() | float() as limit):
            return f" (limit {limit:.0f})"
        case Cause(kind=CauseKind.NO_SUCH_SCENARIO, detail=str(ran)):
            return f"; there were {ran}"
    return ""
