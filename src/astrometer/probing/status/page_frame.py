"""What all pages have: head, style for light, dark and phones, links. Jinja escapes what is from outside."""

from jinja2 import Environment

from astrometer.units import format_duration, format_span, utc


def share(value: float | None) -> str:
    """A part of a whole; never rounded up to a whole, for a failure must be seen. None: nothing is known."""
    if value is None:
        return "–"
    return "100 %" if value == 1 else f"{min(value * 100, 99.99):.2f} %"


ENVIRONMENT = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
ENVIRONMENT.filters["duration"] = format_duration
ENVIRONMENT.filters["share"] = share
ENVIRONMENT.filters["span"] = format_span
ENVIRONMENT.filters["utc"] = utc

HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{{ title }}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<style>
:root{--ink:#1d2733;--soft:#5b6773;--line:#dde3ea;--paper:#fff;--card:#f6f8fa;--link:#0b57a4;
--ok:#12713b;--bad:#b3261e;--warn:#8a5a00;--bar-ok:#3fa66a;--bar-bad:#d2453b;--bar-warn:#d99a2b;--bar-none:#ccd4dc}
@media (prefers-color-scheme:dark){:root{--ink:#dfe6ee;--soft:#9aa7b4;--line:#33404d;--paper:#12171d;
--card:#1a2129;--link:#7db7f5;--ok:#5fd08e;--bad:#ff8a80;--warn:#f0b95a;--bar-ok:#2f8f58;--bar-none:#3a4653}}
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:72rem;padding:0 1rem;color:var(--ink);
background:var(--paper)}
a{color:var(--link)}small{color:var(--soft)}
table{border-collapse:collapse;width:100%}
th,td{text-align:left;padding:.3rem .6rem;border-bottom:1px solid var(--line);vertical-align:top}
.pass,.ok,.fail,.failing,.degraded{font-weight:600}.pass,.ok,a.ok{color:var(--ok)}
.fail,.failing,a.failing{color:var(--bad)}.degraded,a.degraded{color:var(--warn)}
.none,.unknown,a.unknown{color:var(--soft)}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
td.w{white-space:nowrap}td.d{overflow-wrap:anywhere;max-width:28rem}
nav a{margin-right:1rem}
section{background:var(--card);border:1px solid var(--line);border-radius:.5rem;padding:.6rem 1rem;
margin:1rem 0}
details{margin-top:.4rem}ul{padding-left:1.4rem}
section h2{font-size:1.1rem;margin:0;overflow-wrap:anywhere}
.layers{display:flex;flex-wrap:wrap;gap:.3rem 1.4rem;margin:.4rem 0}
.layers div{min-width:8.5rem;line-height:1.3}
.rows{display:flex;flex-wrap:wrap;gap:.4rem 2rem}.rows>div{flex:1 1 16rem;min-width:0}
.bars{display:flex;gap:2px;height:1.6rem}.bars i{flex:1;border-radius:2px;background:var(--bar-none)}
.bars i.ok{background:var(--bar-ok)}.bars i.failing{background:var(--bar-bad)}
.bars i.degraded{background:var(--bar-warn)}
svg{width:100%;height:1.6rem;display:block}polyline{fill:none;stroke:var(--link);stroke-width:1.5;
vector-effect:non-scaling-stroke}
@media (max-width:40rem){body{margin:1rem auto}h1{font-size:1.5rem}table.cards tr:first-child{display:none}
table.cards tr{display:block;border-bottom:1px solid var(--line);padding:.4rem 0}
table.cards td{display:inline-block;border:0;padding:.1rem .8rem .1rem 0;max-width:100%}
table.cards td.whole{display:block;overflow-wrap:anywhere}
table.cards td.n{text-align:left}table.cards td[data-is]:before{content:attr(data-is) " ";color:var(--soft)}}
</style></head><body><h1>{{ title }}</h1>
"""
NAV = """<nav><a href="/">Overview</a><a href="/status">Public status</a><a href="/metrics">Metrics</a>
<a href="/history">History</a><a href="/history?failed=true">Failures</a><a href="/config">Settings</a>
<a href="/-/ready">Ready</a></nav>
"""
