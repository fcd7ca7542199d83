"""Samples of earlier times, for what no live run of some minutes has: last week, long runs, rare files.

Names and labels are those of the programs: another test holds that dashboards name no metric that does not
exist.
"""

import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

WEEK_S, HOUR_S = 7 * 86400, 3600
RUN = "a-long-run"
BEGAN_S, ENDED_S = 2400, 600  # of that run, before now
CHOSEN = {"run": RUN, "before": RUN, "previous": "1"}
Series = tuple[str, Mapping[str, str], range, Callable[[int], float]]


def write_past(folder: Path, jobs: Mapping[str, str], now: int) -> None:
    """Blocks for a Prometheus that has not started yet, in `folder`; `jobs`: names and addresses."""
    for name, series in (("week", [*_last_week(jobs, now)]), ("run", [*_long_run(jobs, now)])):
        lines = [line for one in series for line in _lines(*one)]
        source = folder.with_suffix(f".{name}.om")
        source.write_text("\n".join([*lines, "# EOF\n"]))
        command = ["promtool", "tsdb", "create-blocks-from", "openmetrics", "--quiet", source, folder]
        subprocess.run(command, check=True, capture_output=True, timeout=120)


def _last_week(jobs: Mapping[str, str], now: int) -> Iterator[Series]:
    place = {"job": "probes", "target": "prod", "probe": "chat"}
    asked = {**place, "instance": jobs["probes"]}
    at = range(now - WEEK_S - HOUR_S, now - WEEK_S + HOUR_S, 5)
    yield from _histogram("astrbot_probe_time_to_first_token_seconds", asked, at)


def _long_run(jobs: Mapping[str, str], now: int) -> Iterator[Series]:
    place = {"job": "load", "instance": jobs["load"], "run": RUN}
    at = range(now - BEGAN_S, now - ENDED_S, 2)
    for name in ("time_to_first_token", "end_to_end"):
        yield from _histogram(f"astrbot_load_{name}_seconds", {**place, "scenario": "chat"}, at)
    yield "astrbot_load_capacity_failing", place, at, lambda _: 8
    yield "astrbot_load_server_database_bytes", place, at, lambda _: 5_000_000
    yield "astrbot_load_server_wal_bytes", place, at, lambda _: 400_000
    warned = {**place, "level": "warning"}
    yield "astrbot_load_server_log_lines_total", warned, at, lambda second: second // 10
    budget = {"job": "probes", "target": "prod", "probe": "chat", "side": "server"}
    recorded = "target_probe_side:astrbot_probe_failure_budget_left:ratio30d"
    yield recorded, budget, range(now - HOUR_S, now - ENDED_S, 60), lambda _: 1


def _histogram(name: str, labels: Mapping[str, str], at: range) -> Iterator[Series]:
    """Two samples a second, all below the first boundary."""
    for bound in ("0.5", "1.0", "+Inf"):
        yield f"{name}_bucket", {**labels, "le": bound}, at, lambda second: 2 * second
    yield f"{name}_count", labels, at, lambda second: 2 * second


def _lines(name: str, labels: Mapping[str, str], at: range, value: Callable[[int], float]) -> Iterator[str]:
    shown = ",".join(f'{label}="{text}"' for label, text in labels.items())
    return (f"{name}{{{shown}}} {value(second - at.start)} {second}" for second in at)
