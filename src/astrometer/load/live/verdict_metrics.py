"""Objectives and the capacity search of a running test -> Prometheus series: what is met so far."""

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily, Metric

from astrometer.load.capacity.capacity_progress import Phase, SearchStatus
from astrometer.load.live.live_state import LiveState
from astrometer.measure.slo.objectives import ObjectiveVerdict

PREFIX = "astrbot_load_"
# name -> help; behind its first word each is a field of a search's status
SEARCHED = {
    "capacity_step": "Capacity search: the window that is being measured, from 1.",
    "capacity_load": "Capacity search: users, or arrivals a second, that are being tried.",
    "capacity_passing": "Capacity search: the highest load that passed so far.",
    "capacity_failing": "Capacity search: the lowest load that failed so far.",
}
MET = {ObjectiveVerdict.PASS: 1.0, ObjectiveVerdict.FAIL: 0.0}


def families(state: LiveState) -> Iterator[Metric]:
    """All of them, also without a series: their names are known before a test."""
    run, search = state.run, state.search()
    judged = state.objectives() if search is None else search.judged
    objectives = [] if run is None else run.settings.objectives
    for name, text, values in (
        (
            "objective_limit",
            "The limit of an objective, in its unit.",
            [(each, each.limit) for each in objectives],
        ),
        (
            "objective_value",
            "The objective's value so far, in a search of the last window; absent with too few samples.",
            [(item.objective, item.value) for item in judged],
        ),
        (
            "objective_samples",
            "What the value rests on.",
            [(item.objective, float(item.n)) for item in judged],
        ),
        (
            "objective_met",
            "1: the objective is met so far. 0: it is not. Absent while that is open.",
            [(item.objective, MET.get(item.verdict)) for item in judged],
        ),
    ):
        family = GaugeMetricFamily(f"{PREFIX}{name}", text, labels=["objective", "measure"])
        # An objective that was given twice is one series.
        for objective, value in {each.text: (each, value) for each, value in values}.values():
            if value is not None:
                family.add_metric([objective.text, objective.measure], value)
        yield family
    yield from _search(search)


def gauge(name: str, text: str, value: float | None) -> Metric:
    """Without a series where there is no value: missing is not zero."""
    family = GaugeMetricFamily(PREFIX + name, text)
    if value is not None:
        family.add_metric([], value)
    return family


def _search(search: SearchStatus | None) -> Iterator[Metric]:
    phases = GaugeMetricFamily(
        f"{PREFIX}capacity_state", "Capacity search: 1 for what it does now.", labels=["state"]
    )
    for phase in Phase if search is not None else ():
        phases.add_metric([phase.value], float(search is not None and search.phase is phase))
    yield phases
    for name, text in SEARCHED.items():
        yield gauge(name, text, None if search is None else getattr(search, name.removeprefix("capacity_")))
