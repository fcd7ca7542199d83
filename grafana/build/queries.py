"""Names and windows -> PromQL: selectors that carry every variable, shares, quantiles that are withheld.

The thresholds are those of the rules, the recorded names those of the rulebook: neither is written twice.
"""

from collections.abc import Callable, Iterable
from pathlib import Path

from rulebook import reasons
from rulebook.thresholds import load

from astrometer.measure.histogram import MIN_SAMPLES

THRESHOLDS = load(Path(__file__).resolve().parents[1] / "rules" / "thresholds.toml")
RATE = "$__rate_interval"
RANGE = "$__range"
WINDOW = "$window"
# The load run before: `previous` seconds from its start to that of the last one, which `began` then.
SHIFTED = " offset ${previous}s"
STILL_BEFORE = "and on () (vector(time() - ${previous}) < ${began})"

_SCRAPE = 'job=~"$job",instance=~"$instance"'
_TARGET = f'{_SCRAPE},target=~"$target"'
_PROBE = f'{_TARGET},probe=~"$probe"'
_SCENARIO = f'{_SCRAPE},scenario=~"$scenario"'
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


def load_run(name: str, more: str = "") -> str:
    """A series of a load generator."""
    return f"astrbot_load_{name}{{{_join(_SCRAPE, more)}}}"


def scenario(name: str, more: str = "") -> str:
    """A series of one scenario of a load test."""
    return f"astrbot_load_{name}{{{_join(_SCENARIO, more)}}}"


def total(series: str, *by: str) -> str:
    return f"sum{_by(by)} ({series})"


def count(counter: str) -> str:
    """What a counter counted in the time range, in whole numbers."""
    return f"round({total(f'increase({counter}[{RANGE}])')})"


def share(part: str, whole: str) -> str:
    """`part` of `whole`; nothing where there is no whole."""
    return f"{part}\n  /\n({whole} > 0)"


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


def probe_quantile(percent: int, histogram: str, window: str, *by: str) -> str:
    """A quantile of a probe's histogram over a window that is long enough for sparse runs."""
    rates = f"increase({probe(f'{histogram}_bucket')}[{window}])"
    return quantile(percent, rates, f"increase({probe(f'{histogram}_count')}[{window}])", *by)


def last_run(series: str) -> str:
    """The last values of the load run that began last, also when its generator has gone."""
    start = load_run("run_start_timestamp_seconds")
    began_last = f"last_over_time({start}[{RANGE}]) >= ${{began}}"
    return f"(last_over_time({series}[{RANGE}]) and on (job, instance) ({began_last}))"


def run_before(series: str) -> str:
    """The last values of the load run before: what was there between its start and the start of the last."""
    return f"last_over_time({series}[${{previous}}s] @ ${{began}})"


def run_quantile(percent: int, histogram: str, values: Callable[[str], str] = last_run) -> str:
    """A quantile of a whole load run so far: its counters begin at 0 with the run."""
    counts = values(scenario(f"{histogram}_count"))
    return quantile(percent, values(scenario(f"{histogram}_bucket")), counts)


def _by(labels: tuple[str, ...]) -> str:
    return f" by ({', '.join(labels)})" if labels else ""


def _join(*parts: str) -> str:
    return ",".join(filter(None, parts))
