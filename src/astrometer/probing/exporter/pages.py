"""Runs -> HTML pages: the landing page and the history. Everything from outside is escaped by Jinja."""

from collections.abc import Iterable, Mapping

from jinja2 import Environment

from astrometer import __version__
from astrometer.config.settings import Config
from astrometer.probing.exporter.history import History, KeptRun
from astrometer.probing.layer_evidence import StateLayer
from astrometer.probing.notify.notifier import Post
from astrometer.probing.plan import Plan
from astrometer.probing.state_by_layer import TargetState
from astrometer.units import format_duration, utc

MOST_ROWS = 300
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
.pass,.ok,.fail,.failing,.degraded{font-weight:600}.pass,.ok{color:#12713b}.fail,.failing{color:#b3261e}
.degraded{color:#8a5a00}.none,.unknown{color:#68737f}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
td.w{white-space:nowrap}td.d{overflow-wrap:anywhere;max-width:28rem}
nav a{margin-right:1rem}
</style></head><body><h1>{{ title }}</h1>
<nav><a href="/">Overview</a><a href="/metrics">Metrics</a><a href="/history">History</a>
<a href="/history?failed=true">Failures</a><a href="/config">Settings</a><a href="/-/ready">Ready</a></nav>
"""

_LANDING = _ENVIRONMENT.from_string(
    _FRAME
    + """<p>astrometer {{ version }}, settings from {{ source }}.</p>
<table><tr><th>Target</th><th>State</th>{% for layer in layers %}<th>{{ layer.label }}</th>{% endfor %}</tr>
{% for target, state in states.items() %}
<tr><td>{{ target }}</td><td class="w"><a class="{{ state.worst.state }}"
href="/history?{{ {'target': target}|urlencode }}&amp;failed=true">{{ state.title }}</a></td>
{% for layer in state.layers %}
<td><span class="{{ layer.state }}">{{ layer.title }}</span><br><small>{{ layer.why }}
{% if layer.is_probed %} since {{ layer.since|utc }}{% endif %}</small></td>
{% endfor %}</tr>
{% endfor %}
</table>
{% if posts %}<p>Told on a change of state:
{% for post in posts %}{{ post.receiver.name }} ({{ post.receiver.kind }}, {{ post.delivery.sent }} sent
{%- if post.delivery.why %}, <span class="fail">last attempt failed: {{ post.delivery.why }}</span>{% endif %}
{%- if post.waiting %}, {{ post.waiting|length }} waiting{% endif %}
{%- if post.delivery.dropped %}, <span class="fail">{{ post.delivery.dropped }} dropped</span>{% endif %})
{%- if not loop.last %}, {% endif %}{% endfor %}.</p>{% endif %}
<br><table><tr><th>Target</th><th>Probe</th><th>Last verdict</th><th>When</th><th class="n">Duration</th>
<th class="n">TTFT</th><th class="n">Every</th><th></th></tr>
{% for plan, run in rows %}
<tr><td>{{ plan.target.name }}<br><small>{{ plan.target.url }}</small></td><td>{{ plan.probe.name }}</td>
<td class="d">{% if run %}<span class="{{ 'pass' if run.ok else 'fail' }}">{{ run.reason }}</span>
{{ run.detail }}
{% elif plan.missing %}<span class="none">not probed: {{ plan.missing }}</span>
{% else %}<span class="none">not yet</span>{% endif %}</td>
<td class="w">{{ run.started_at|utc if run else '–' }}</td>
<td class="n">{{ (run.duration_s if run else none)|duration }}</td>
<td class="n">{{ (run.ttft_s if run else none)|duration }}</td>
<td class="n">{{ plan.interval_s|duration if plan.schedule else 'on demand' }}</td>
{% set place = {'target': plan.target.name, 'probe': plan.probe.name}|urlencode %}
<td class="w"><a href="/history?{{ place }}">History</a>
{% if not plan.missing %}<a href="/probe?{{ place }}&amp;debug=true">Run</a>{% endif %}</td></tr>
{% endfor %}
</table></body></html>
"""
)

_HISTORY = _ENVIRONMENT.from_string(
    _FRAME
    + """{% if filters %}<p>Only {{ filters|join(', ') }}. <a href="/history">All</a></p>{% endif %}
<table><tr><th>When</th><th>Target</th><th>Probe</th><th>Verdict</th><th class="n">Duration</th>
<th class="n">TTFT</th><th>Detail</th><th></th></tr>
{% for kept in runs %}
{% set run = kept.run %}
<tr><td class="w">{{ run.started_at|utc }}</td><td>{{ run.target }}</td><td>{{ run.probe }}</td>
<td class="{{ 'pass' if run.ok else 'fail' }}">{{ run.reason }}</td>
<td class="n">{{ run.duration_s|duration }}</td>
<td class="n">{{ run.ttft_s|duration }}</td>
<td class="d">{{ run.detail }}{% if run.note %} ({{ run.note }}){% endif %}</td>
<td><a href="/history/{{ kept.number }}">Log</a></td></tr>
{% else %}
<tr><td colspan="8" class="none">No such run has finished yet.</td></tr>
{% endfor %}
</table>{% if left_out %}<p class="none">{{ left_out }} older runs are not shown; choose a target or a probe:
/history?target=NAME&amp;probe=NAME</p>{% endif %}</body></html>
"""
)


def landing(
    config: Config,
    plans: Iterable[Plan],
    history: History,
    states: Mapping[str, TargetState],
    posts: Iterable[Post] = (),
) -> str:
    """Version, the state of each target, what each probe said last, links."""
    rows = [(plan, history.last.get((plan.target.name, plan.probe.name))) for plan in plans]
    return _LANDING.render(
        title="AstrBot probes",
        version=__version__,
        source=config.source,
        layers=list(StateLayer),
        states=states,
        rows=rows,
        posts=[*posts],
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
