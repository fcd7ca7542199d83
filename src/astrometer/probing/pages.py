"""Runs -> HTML pages: the landing page and the history. Everything from outside is escaped by Jinja."""

from collections.abc import Iterable

from jinja2 import Environment

from astrometer import __version__
from astrometer.config import Config
from astrometer.probing.history import History, utc
from astrometer.probing.runner import Plan
from astrometer.probing.verdict import Run
from astrometer.units import format_duration

_ENVIRONMENT = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
_ENVIRONMENT.filters["duration"] = format_duration
_ENVIRONMENT.filters["utc"] = utc

_FRAME = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{{ title }}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:72rem;padding:0 1rem;color:#1d2733}
table{border-collapse:collapse;width:100%}
th,td{text-align:left;padding:.3rem .6rem;border-bottom:1px solid #dde3ea;vertical-align:top}
.pass{color:#12713b;font-weight:600}.fail{color:#b3261e;font-weight:600}.none{color:#68737f}
td.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
nav a{margin-right:1rem}
</style></head><body><h1>{{ title }}</h1>
<nav><a href="/">Overview</a><a href="/metrics">Metrics</a><a href="/history">History</a>
<a href="/-/healthy">Health</a></nav>
"""

_LANDING = _ENVIRONMENT.from_string(
    _FRAME
    + """<p>astrometer {{ version }}, settings from {{ source }}.</p>
<table><tr><th>Target</th><th>Probe</th><th>Last verdict</th><th>When</th><th>Every</th><th></th></tr>
{% for plan, run in rows %}
<tr><td>{{ plan.target.name }}<br><small>{{ plan.target.url }}</small></td><td>{{ plan.probe.name }}</td>
<td>{% if run %}<span class="{{ 'pass' if run.ok else 'fail' }}">{{ run.reason }}</span> {{ run.detail }}
{% elif plan.missing_scope %}<span class="none">not probed: no key with scope {{ plan.missing_scope }}</span>
{% else %}<span class="none">not yet</span>{% endif %}</td>
<td>{{ run.started_at|utc if run else '–' }}</td><td class="n">{{ plan.interval_s|duration }}</td>
<td><a href="/probe?{{ {'target': plan.target.name, 'probe': plan.probe.name, 'debug': 'true'}|urlencode }}">
Run now</a></td></tr>
{% endfor %}
</table></body></html>
"""
)

_HISTORY = _ENVIRONMENT.from_string(
    _FRAME
    + """<table><tr><th>When</th><th>Target</th><th>Probe</th><th>Verdict</th><th>Duration</th><th>TTFT</th>
<th>Detail</th></tr>
{% for run in runs %}
<tr><td>{{ run.started_at|utc }}</td><td>{{ run.target }}</td><td>{{ run.probe }}</td>
<td class="{{ 'pass' if run.ok else 'fail' }}">{{ run.reason }}</td>
<td class="n">{{ run.duration_s|duration }}</td>
<td class="n">{{ run.ttft_s|duration }}</td>
<td>{{ run.detail }}{% if run.note %} ({{ run.note }}){% endif %}</td></tr>
{% else %}
<tr><td colspan="7" class="none">No run has finished yet.</td></tr>
{% endfor %}
</table></body></html>
"""
)


def landing(config: Config, plans: Iterable[Plan], history: History) -> str:
    """Version, targets, what each probe said last, links."""
    rows = [(plan, history.last.get((plan.target.name, plan.probe.name))) for plan in plans]
    return _LANDING.render(title="AstrBot probes", version=__version__, source=config.source, rows=rows)


def history_page(runs: Iterable[Run]) -> str:
    """The last runs, newest first."""
    return _HISTORY.render(title="Probe history", runs=list(runs))
