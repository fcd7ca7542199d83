"""What is known of each target -> the landing page, and a public one without hosts, reasons and details.

The bars are made in `status_view`.
"""

from collections.abc import Iterable, Mapping

from astrometer import __version__
from astrometer.config.settings import Config
from astrometer.probing.notify.notifier import Post
from astrometer.probing.plan import Plan
from astrometer.probing.status.page_frame import ENVIRONMENT, HEAD, NAV
from astrometer.probing.status.status_view import StatusOfTarget
from astrometer.probing.verdict import ProbeRun

_BARS = """
{% macro bars(label, parts, uptime) %}
<div><small>{{ label }}: up {{ uptime }}</small>
<div class="bars" role="img" aria-label="{{ label }}">{{ parts }}</div></div>
{% endmacro %}
{% macro summary(one) -%}
<summary>Failures of 30 days{% if one.more_outages %}: the newest {{ one.outages|length }} of
{{ one.outages|length + one.more_outages }}{% endif %}</summary>
{%- endmacro %}
{% macro rows(one) %}
<div class="rows">{{ bars('24 hours', one.hours, one.uptime_day) }}
{{ bars('30 days', one.days, one.uptime_month) }}
{% if one.spark %}<div><small>time to first token, 24 hours: {{ one.spark.newest }}</small>
<svg viewBox="0 0 100 20" preserveAspectRatio="none" role="img" aria-label="{{ one.spark.title }}">
<title>{{ one.spark.title }}</title><polyline points="{{ one.spark.points }}"/></svg></div>{% endif %}</div>
{% endmacro %}
{% macro server(one) %}
{% if one.versions or one.starts %}<div>
<small>AstrBot{% if one.versions %} {{ one.versions.running }}{% endif %}
{%- if one.starts %}, runs since {{ one.starts[0]|utc }}{% endif %}</small>
{%- if one.versions and one.versions.is_outdated %}
 <span class="degraded">{{ one.versions.on_disk }} is on disk: restart AstrBot</span>{% endif %}
{% if one.starts|length > 1 %}<details>
<summary><small>Started {{ one.starts|length }} times in 30 days</small></summary>
<ul>{% for at in one.starts[:20] %}<li>{{ at|utc }}</li>{% endfor %}</ul></details>{% endif %}
</div>{% endif %}
{% endmacro %}
"""

_LANDING = ENVIRONMENT.from_string(
    HEAD
    + NAV
    + _BARS
    + """<p>astrometer {{ version }}, settings from {{ source }}.</p>
{% if problem %}<p class="fail">History: {{ problem }}.</p>{% endif %}
{% if posts %}<p>Told on a change of state:
{% for post in posts %}{{ post.receiver.name }} ({{ post.receiver.kind }}, {{ post.delivery.sent }} sent
{%- if post.delivery.why %}, <span class="fail">last attempt failed: {{ post.delivery.why }}</span>{% endif %}
{%- if post.waiting %}, {{ post.waiting|length }} waiting{% endif %}
{%- if post.delivery.dropped %}, <span class="fail">{{ post.delivery.dropped }} dropped</span>{% endif %})
{%- if not loop.last %}, {% endif %}{% endfor %}.</p>{% endif %}
{% for one in targets %}
<section><h2>{{ one.name }}: <a class="{{ one.state.worst.state }}"
href="/history?{{ {'target': one.name}|urlencode }}&amp;failed=true">{{ one.state.title }}</a></h2>
<div class="layers">{% for layer in one.state.layers if layer.is_probed %}
<div>{{ layer.layer.label }} <span class="{{ layer.state }}">{{ layer.title }}</span><br><small>
{%- if layer.why %}{{ layer.why }} {% endif %}since {{ layer.since|utc }}</small></div>
{% endfor %}</div>
{{ server(one) }}
{{ rows(one) }}
{% if one.outages %}<details{% if one.outages[0].open %} open{% endif %}>
{{ summary(one) }}<ul>
{% for outage in one.outages %}
<li>{{ outage.layer.label }}: {{ outage.began|utc }} to {{ 'now' if outage.open else outage.end }},
{{ outage.seconds|span }}. {{ outage.cause }}</li>
{% endfor %}</ul></details>{% endif %}</section>
{% endfor %}
<table class="cards"><tr><th>Target</th><th>Probe</th><th>Last verdict</th><th>When</th>
<th class="n">Duration</th><th class="n">TTFT</th><th class="n">Every</th><th></th></tr>
{% for plan, run in rows_ %}
<tr><td class="whole">{{ plan.target.name }}<br><small>{{ plan.target.url }}</small></td>
<td>{{ plan.probe.name }}</td>
<td class="d">{% if run %}<span class="{{ 'pass' if run.ok else 'fail' }}">{{ run.reason }}</span>
{{ run.detail }}
{% elif plan.missing %}<span class="none">not probed: {{ plan.missing }}</span>
{% else %}<span class="none">not yet</span>{% endif %}</td>
<td class="w">{{ run.started_at|utc if run else '–' }}</td>
<td class="n" data-is="took">{{ (run.duration_s if run else none)|duration }}</td>
<td class="n" data-is="TTFT">{{ (run.ttft_s if run else none)|duration }}</td>
<td class="n" data-is="every">{% if not plan.schedule %}on demand
{%- elif plan.interval_s % 60 %}{{ plan.interval_s|duration }}
{%- else %}{{ plan.interval_s|span }}{% endif %}</td>
{% set place = {'target': plan.target.name, 'probe': plan.probe.name}|urlencode %}
<td><a href="/history?{{ place }}">History</a>
{% if not plan.missing %}<a href="/probe?{{ place }}&amp;debug=true">Run now
{%- if plan.probe.costs_tokens %} (costs tokens){% elif plan.has_price %} (sends a message){% endif %}</a>
{% endif %}</td></tr>
{% endfor %}
</table></body></html>
"""
)

_PUBLIC = ENVIRONMENT.from_string(
    HEAD
    + _BARS
    + """{% for one in targets %}
<section><h2>{{ one.name }}: <span class="{{ one.state.worst.state }}">{{ one.state.title }}</span></h2>
<div class="layers">{% for layer in one.state.layers if layer.is_probed %}
<div>{{ layer.layer.label }} <span class="{{ layer.state }}">{{ layer.title }}</span></div>
{% endfor %}</div>
{{ rows(one) }}
{% if one.outages %}<details>{{ summary(one) }}<ul>
{% for outage in one.outages %}
<li>{{ outage.layer.label }}: {{ outage.began|utc }} to {{ 'now' if outage.open else outage.end }},
{{ outage.seconds|span }}</li>
{% endfor %}</ul></details>{% endif %}</section>
{% endfor %}
<p><small>As of {{ now|utc }}</small></p></body></html>
"""
)


def landing_page(
    config: Config,
    plans: Iterable[Plan],
    last: Mapping[tuple[str, str], ProbeRun],
    targets: Iterable[StatusOfTarget],
    posts: Iterable[Post] = (),
    *,
    problem: str = "",
) -> str:
    """Version, the state of each target and how it was, what each probe said last, links. Failures first."""
    rows = [(plan, last.get(plan.place)) for plan in plans]
    rows.sort(key=lambda row: row[1] is None or row[1].ok)
    return _LANDING.render(
        title="AstrBot probes",
        version=__version__,
        source=config.source,
        targets=targets,
        rows_=rows,
        posts=[*posts],
        problem=problem,
    )


def public_page(targets: Iterable[StatusOfTarget], now: float) -> str:
    """Names, states, times: nothing of hosts, keys, reasons, versions or answers."""
    return _PUBLIC.render(title="Status", targets=targets, now=now)
