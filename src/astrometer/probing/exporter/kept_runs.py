"""Finished runs -> the last of each plan, failures kept longer than successes, and what happened in them.

`/history` shows them; everything from outside is escaped by Jinja.
"""

from collections import OrderedDict, deque
from collections.abc import Iterable
from dataclasses import dataclass, replace

from astrometer.probing.status.page_frame import ENVIRONMENT, HEAD, NAV
from astrometer.probing.verdict import ProbeRun
from astrometer.units import utc

# Of each target and probe: one that fails all the time pushes nobody else's failures out.
KEPT_PASSED = 5
KEPT_FAILED = 20
# Logs are the heavy part; these are kept of all plans together.
LOGS_PASSED = 50
LOGS_FAILED = 200
LOG_LINES = 120
MOST_ROWS = 300  # of the page


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptRun:
    """A run of the history, with the number its log is found by."""

    number: int
    run: ProbeRun


class KeptRuns:
    """The runs in memory, bounded. How targets were, on disk, is `status.state_history`."""

    def __init__(self) -> None:
        self._number = 0
        self._passed: dict[tuple[str, str], deque[KeptRun]] = {}
        self._failed: dict[tuple[str, str], deque[KeptRun]] = {}
        self._logs_passed: OrderedDict[int, str] = OrderedDict()
        self._logs_failed: OrderedDict[int, str] = OrderedDict()
        self.last: dict[tuple[str, str], ProbeRun] = {}

    def add(self, run: ProbeRun) -> None:
        self._number += 1
        logs, most = (self._logs_passed, LOGS_PASSED) if run.ok else (self._logs_failed, LOGS_FAILED)
        logs[self._number] = log_text(run)
        if len(logs) > most:
            logs.popitem(last=False)
        place = (run.target, run.probe)
        kept = KeptRun(number=self._number, run=slim(run))
        if run.ok:
            self._passed.setdefault(place, deque(maxlen=KEPT_PASSED)).append(kept)
        else:
            self._failed.setdefault(place, deque(maxlen=KEPT_FAILED)).append(kept)
        self.last[place] = kept.run

    def newest_first(
        self, *, target: str | None = None, probe: str | None = None, failed: bool = False
    ) -> list[KeptRun]:
        """All that is kept, or of one target, of one probe, or the failures only."""
        shelves = [*self._failed.values(), *([] if failed else self._passed.values())]
        found = [
            kept
            for shelf in shelves
            for kept in shelf
            if target in (None, kept.run.target) and probe in (None, kept.run.probe)
        ]
        return sorted(found, key=lambda kept: kept.number, reverse=True)  # not by a clock that may be set

    def detail_of(self, target: str, reason: str) -> str:
        """What the newest run that failed so said; "" when none is kept."""
        failed = self.newest_first(target=target, failed=True)
        return next((kept.run.detail for kept in failed if kept.run.reason == reason), "")

    def log_of(self, number: int) -> str | None:
        """The log of a run; None when it is not kept any more."""
        return self._logs_failed.get(number) or self._logs_passed.get(number)

    def keep_only(self, places: Iterable[tuple[str, str]]) -> None:
        """Plans that are no more leave the landing page; their failures stay in the history."""
        places = set(places)
        for place in [place for place in self.last if place not in places]:
            del self.last[place]
            self._passed.pop(place, None)


def slim(run: ProbeRun) -> ProbeRun:
    """`run` without what may be large: answers, bodies, logs and gaps of many runs would add up."""
    return replace(without_bodies(run, gaps=False), log=())


def without_bodies(run: ProbeRun, *, gaps: bool = True) -> ProbeRun:
    """`run` without answers and bodies, but with its log, and its gaps unless told otherwise."""
    turns = tuple(
        replace(
            turn,
            text="",
            reasoning="",
            timings=turn.timings if gaps else replace(turn.timings, chunk_gaps_s=()),
        )
        for turn in run.turns
    )
    im_turns = tuple(turn._replace(text="") for turn in run.im_turns)
    return replace(run, turns=turns, im_turns=im_turns, calls=())


def log_text(run: ProbeRun) -> str:
    """What happened in one run, line by line, the middle left out when it is long."""
    lines = [f"  {line.t_s:9.4f} s  {line.text}" for line in run.log]
    if len(lines) > LOG_LINES:
        left_out = len(lines) - LOG_LINES
        half = LOG_LINES // 2
        lines = [*lines[:half], f"  ... {left_out} lines left out", *lines[-half:]]
    head = f"Logs of probe {run.probe} on {run.target}, {utc(run.started_at)}:"
    lines = [head, *lines, f"  {run.duration_s:9.4f} s  verdict: {run.reason}  {run.detail}".rstrip()]
    return "\n".join([*lines, *([f"  note: {run.note}"] if run.note else [])]) + "\n"


def debug_text(run: ProbeRun, metrics: str, settings: str, *, cached: bool = False) -> str:
    """The log of one run, its metrics, and the settings it ran under, for `/probe?debug=true`."""
    why = (
        "This is the result of an earlier run: the probe costs tokens or messages, too soon for another.\n\n"
        if cached
        else ""
    )
    return f"{why}{log_text(run)}\nMetrics:\n{metrics}\nSettings:\n{settings}\n"


_HISTORY = ENVIRONMENT.from_string(
    HEAD
    + NAV
    + """{% if filters %}<p>Only {{ filters|join(', ') }}. <a href="/history">All</a></p>{% endif %}
<table class="cards"><tr><th>When</th><th>Target</th><th>Probe</th><th>Verdict</th><th class="n">Duration</th>
<th class="n">TTFT</th><th>Detail</th><th></th></tr>
{% for kept in runs %}
{% set run = kept.run %}
<tr><td class="w">{{ run.started_at|utc }}</td><td>{{ run.target }}</td><td>{{ run.probe }}</td>
<td class="{{ 'pass' if run.ok else 'fail' }}">{{ run.reason }}</td>
<td class="n" data-is="took">{{ run.duration_s|duration }}</td>
<td class="n" data-is="TTFT">{{ run.ttft_s|duration }}</td>
<td class="d">{{ run.detail }}{% if run.note %} ({{ run.note }}){% endif %}</td>
<td><a href="/history/{{ kept.number }}">Log</a></td></tr>
{% else %}
<tr><td colspan="8" class="none">No such run has finished yet.</td></tr>
{% endfor %}
</table>{% if left_out %}<p class="none">{{ left_out }} older runs are not shown; choose a target or a probe:
/history?target=NAME&amp;probe=NAME</p>{% endif %}</body></html>
"""
)


def history_page(runs: Iterable[KeptRun], target: str | None, probe: str | None, *, failed: bool) -> str:
    """The last runs, newest first; `target`, `probe` and `failed` say what was asked for."""
    runs = list(runs)
    filters = [f"{name} {wanted}" for name, wanted in (("target", target), ("probe", probe)) if wanted]
    return _HISTORY.render(
        title="Probe history",
        runs=runs[:MOST_ROWS],
        left_out=max(0, len(runs) - MOST_ROWS),
        filters=[*filters, *(["failures"] if failed else [])],
    )
