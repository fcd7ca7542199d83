"""A month of the history -> Markdown and HTML: availability by layer, each outage with cause and length."""

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment

from astrometer.probing.status.history_file import FILE, Reader, read_only
from astrometer.probing.status.page_frame import ENVIRONMENT, HEAD
from astrometer.probing.status.sla import TargetTime, month_of, target_times
from astrometer.user_error import UserError

_MARKDOWN = Environment(trim_blocks=True, lstrip_blocks=True, autoescape=False)  # noqa: S701 (no HTML)
_MARKDOWN.filters.update(ENVIRONMENT.filters)
_HOW = (
    "Up is a time in which a layer worked, also if it was degraded. Not known is a time that is neither: "
    "nothing was asked, a budget was spent, or no exporter ran. Availability is up / (up + down)."
)
_TEXT = _MARKDOWN.from_string("""# Availability of {{ month }}

{{ how }}
{% for target in targets %}

## {{ target.target }}

{% if target.totals.judged %}
{{ '{:,}'.format(target.totals.judged) }} runs were judged;
{{ '{:,}'.format(target.totals.server) }} failed on the server's side:
uptime by the alert rules {{ target.totals.uptime|share }}. {% endif %}
{{ '{:,}'.format(target.totals.skipped) }} runs were skipped and count as neither.

| layer | availability | down | up | not known | runs |
|---|---|---|---|---|---|
{% for layer in target.layers %}
| {{ layer.layer.label }} | {{ layer.availability|share }} | {{ layer.down_s|span }} | {{ layer.up_s|span }} |
{#- #} {{ layer.unknown_s|span }} | {{ '{:,}'.format(layer.runs) }} |
{% endfor %}

{% if target.outages %}
| from | to | length | layer | cause |
|---|---|---|---|---|
{% for one in target.outages %}
| {{ one.began|utc }} | {{ one.end }} | {{ one.seconds|span }} |
{#- #} {{ one.layer.label }} | {{ one.cause }} |
{% endfor %}
{% else %}
No outage.
{% endif %}
{% endfor %}
""")
_PAGE = ENVIRONMENT.from_string(
    HEAD
    + """<p>{{ how }}</p>
{% for target in targets %}
<section><h2>{{ target.target }}</h2>
<p>{% if target.totals.judged %}{{ '{:,}'.format(target.totals.judged) }} runs were judged;
{{ '{:,}'.format(target.totals.server) }} failed on the server's side: uptime by the alert rules
{{ target.totals.uptime|share }}. {% endif %}
{{ '{:,}'.format(target.totals.skipped) }} runs were skipped and count as neither.</p>
<table class="cards"><tr><th>Layer</th><th class="n">Availability</th><th class="n">Down</th>
<th class="n">Up</th><th class="n">Not known</th><th class="n">Runs</th></tr>
{% for layer in target.layers %}
<tr><td class="whole">{{ layer.layer.label }}</td>
<td class="n" data-is="available">{{ layer.availability|share }}</td>
<td class="n" data-is="down">{{ layer.down_s|span }}</td><td class="n" data-is="up">{{ layer.up_s|span }}</td>
<td class="n" data-is="not known">{{ layer.unknown_s|span }}</td>
<td class="n" data-is="runs">{{ '{:,}'.format(layer.runs) }}</td></tr>
{% endfor %}</table>
{% if target.outages %}<p><b>Outages</b></p><ul>
{% for one in target.outages %}<li>{{ one.layer.label }}: {{ one.began|utc }} to
{{ one.end }}, {{ one.seconds|span }}. {{ one.cause }}</li>
{% endfor %}</ul>{% else %}<p>No outage.</p>{% endif %}</section>
{% endfor %}</body></html>
"""
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MonthReport:
    """One month, up to now if it is not over."""

    month: str
    targets: list[TargetTime]

    @classmethod
    def read(cls, folder: Path, month: str, now: float) -> "MonthReport":
        """From the state folder of an exporter, which may be running. Raises UserError."""
        since, until = month_of(month)
        until = min(until, now)
        try:
            with closing(read_only(folder)) as database:
                reader = Reader(database)
                spells, totals = reader.spells(since, until), reader.run_totals(since, until)
                runs = reader.runs_by_layer(since, until)
        except sqlite3.Error as exc:
            raise UserError(
                f"{folder / FILE}: cannot be read ({exc}); it is in the state folder of the exporter"
            ) from exc
        targets = target_times(spells, totals, runs, since, until)
        if not targets:
            raise UserError(f"{folder / FILE}: knows nothing of {month}; it keeps 100 days")
        return cls(month=month, targets=targets)

    def markdown(self) -> str:
        return _TEXT.render(month=self.month, targets=self.targets, how=_HOW)

    def html(self) -> str:
        title = f"Availability of {self.month}"
        return _PAGE.render(title=title, targets=self.targets, how=_HOW)
