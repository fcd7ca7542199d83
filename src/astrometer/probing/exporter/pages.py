"""Runs -> the page of the history. Everything from outside is escaped by Jinja."""

from collections.abc import Iterable

from astrometer.probing.exporter.history import KeptRun
from astrometer.probing.status.page_frame import ENVIRONMENT, HEAD, NAV

MOST_ROWS = 300

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
