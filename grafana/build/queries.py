"""Names and windows -> PromQL: selectors that carry every variable, shares, quantiles that are withheld.

The thresholds are those of the rules, the recorded names those of the rulebook: neither is written twice.
"""

from collections.abc import Callable, Iterable
from pathlib import Path

from rulebook import reasons
from rulebook.thresholds import load

from astrometer.measure.tally.histogram import MIN_SAMPLES

THRESHOLDS = load(Path(__file__).resolve().parents[1] / "rules" / "thresholds.toml")
RATE = "$__rate_interval"
RANGE = "$__range"
WINDOW = "$window"
# The load run that is compared with: it began `previous` seconds before the chosen one.
SHIFTED = " offset ${previous}s"
COMPARED = "$before"
LOOK_BACK = "7d"

_SCRAPE = 'job=~"$job",instance=~"$instance"'
_TARGET = f'{_SCRAPE},target=~"$target"'
_PROBE = f'{_TARGET},probe=~"$probe"'
# Recorded series have outlived the instance: a restarted exporter keeps its error budget.
_RECORDED = 'job=~"$job",target=~"$target",probe=~"$probe"'


def probe(name: str, more: str = "") -> str:
    """A series of one probe."""
    return f"astrbot_probe_{name}{{{_join(_PROBE, more)}}}"


def target(name: str, more: str = "") -> str:
    """A series of one target, whatever the probe."""
    return f"astrbot_probe_{name}{{{_join(_TARGET, more)}}}"


def exporter(name: str) -> str:
    """A series of the exporter about itself; `name` in full."""
    return f"{name}{{{_SCRAPE}}}"


def recorded(name: str, more: str = "") -> str:
    """A series of `grafana/rules/recording.yaml`."""
    return f"{name}{{{_join(_RECORDED, more)}}}"


def generator(name: str, more: str = "") -> str:
    """A series of every load run; `name` in full."""
    return f"{name}{{{_join(_SCRAPE, more)}}}"


def load_run(name: str, more: str = "", run: str = "$run") -> str:
    """A series of one load run: of the chosen one, or of that which it is compared with."""
    return f"astrbot_load_{name}{{{_join(_SCRAPE, where('run', run), more)}}}"


def scenario(name: str, more: str = "", run: str = "$run") -> str:
    """A series of one scenario of a load run."""
    return load_run(name, _join('scenario=~"$scenario"', more), run)


def total(series: str, *by: str) -> str:
    return f"sum{_by(by)} ({series})"


def count(counter: str) -> str:
    """What a counter counted in the time range, in whole numbers."""
    return f"round({total(f'increase({counter}[{RANGE}])')})"


def share(part: str, whole: str) -> str:
    """`part` of `whole`; nothing where there is no whole."""
    return f"{part}\n  /\n({whole} > 0)"


def after(seen: str, expr: str) -> str:
    """`expr`, once something was looked at: if the increases `seen` have counted anything."""
    return f"({expr})\nand on () ({total(seen)} > 0)"


def where(label: str, value: str) -> str:
    """A matcher on one label."""
    return f'{label}="{value}"'


def failed_for(names: Iterable[str]) -> str:
    """A matcher on the label `reason`."""
    return reasons.one_of(names)


def quantile(percent: int, rates: str, counts: str, *by: str) -> str:
    """A quantile of bucket rates, withheld where `counts` has fewer samples than it needs."""
    return (
        f"histogram_quantile({percent / 100:g}, sum by ({', '.join((*by, 'le'))}) ({rates}))\n"
        f"and\n  {total(counts, *by)} >= {MIN_SAMPLES[percent]}"
    )


def probe_quantile(percent: int, histogram: str, window: str, *by: str, shift: str = "") -> str:
    """A quantile of a probe's histogram over a window that is long enough for sparse runs."""
    rates, counts = (
        f"increase({probe(f'{histogram}_{what}')}[{window}]{shift})" for what in ("bucket", "count")
    )
    return quantile(percent, rates, counts, *by)


def last(series: str) -> str:
    """The last value in the time range, also when its generator has gone."""
    return f"last_over_time({series}[{RANGE}])"


def load_quantile(percent: int, histogram: str, run: str = "$run", shift: str = "") -> str:
    """A quantile of a load run over the sliding window; withheld where that has too few samples."""
    rates, counts = (
        f"increase({scenario(f'{histogram}_{what}', run=run)}[{WINDOW}]{shift})"
        for what in ("bucket", "count")
    )
    return quantile(percent, rates, counts)


def run_quantile(percent: int, histogram: str, values: Callable[[str], str]) -> str:
    """A quantile of a whole load run so far: its counters begin at 0 with the run. `values`: see `this`."""
    return quantile(percent, values(f"{histogram}_bucket"), values(f"{histogram}_count"))


def this(name: str, more: str = "") -> str:
    """The last values of a scenario of the chosen run."""
    return last(scenario(name, more))


def compared(name: str, more: str = "") -> str:
    """The last values of a scenario of the run that is compared with, which may be older than the range."""
    return f"last_over_time({scenario(name, more, COMPARED)}[{LOOK_BACK}])"


def _by(labels: tuple[str, ...]) -> str:
    return f" by ({', '.join(labels)})" if labels else ""


def _join(*parts: str) -> str:
    return ",".join(filter(None, parts))
