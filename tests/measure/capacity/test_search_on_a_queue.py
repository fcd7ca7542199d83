"""The whole decision (search, windows, margins) on servers of known capacity, in virtual time."""

import math

import pytest
from queue_model import Bounded, Queue, capacity

from astrometer.measure.capacity.search import Ask, SearchEnd, Trial, decide
from astrometer.measure.capacity.search_settings import SearchSettings
from astrometer.measure.capacity.search_window import Next, judge_window, margin
from astrometer.measure.slo.slo_parser import parse_objective
from astrometer.measure.tally import Stats


def searched(server, settings, objective):
    plan, trials, before = settings.plan, [], None
    while isinstance(step := decide(plan, trials), Ask):
        load = settings.load(step.level) if settings.is_rate else step.level
        if before is not None and step.level < before:
            server.clear()
        if step.level != before:
            server.run(load, settings.settle_s)
        cell, length_s, told = Stats(), 0.0, Next.EXTEND
        while told is Next.EXTEND:
            part_s = settings.step_s if not length_s else 1.0
            taken = server.run(load, part_s)
            length_s += part_s
            cell.started += len(taken)
            answered = [seconds for seconds in taken if seconds < math.inf]
            refused = len(taken) - len(answered)
            cell.outcomes.update({"ok": len(answered), "rate_limited": refused})
            cell.missed["e2e"] += refused
            cell.ok["e2e"].record_all(answered)
            told = judge_window(
                [objective], lambda _, cell=cell: cell,
                thorough=step.thorough, may_wait=False, may_extend=length_s < settings.longest_s,
            )  # fmt: skip
        found = margin([objective], lambda _, cell=cell: cell)
        trials.append(Trial(level=step.level, verdict=told, margin=found))
        before = step.level
    return step, len(trials)


@pytest.mark.parametrize(
    ("servers", "service_s", "slo", "limit_s", "share", "step_s"),
    [
        (8, 0.25, "e2e_p90 < 1s", 1.0, 0.1, 60),
        (20, 0.4, "e2e_p90 < 1500ms", 1.5, 0.1, 60),
        (4, 1.0, "e2e_p95 < 8s", 8.0, 0.05, 600),
    ],
)
def test_the_capacity_of_a_queue_is_erlangs(servers, service_s, slo, limit_s, share, step_s):
    truth = capacity(servers, service_s, limit_s, share)
    settings = SearchSettings.parse(f"{truth / 5:.2f}/s..{truth * 5:.0f}/s step {step_s}s")
    for seed in range(10):
        queue = Queue(servers=servers, service_s=service_s, seed=seed)
        answer, steps = searched(queue, settings, parse_objective(slo))
        assert answer.end is SearchEnd.CONVERGED
        assert settings.load(answer.passing) == pytest.approx(truth, rel=0.1)
        assert steps <= 25


@pytest.mark.parametrize("limit", [6, 40, 100])
def test_a_hard_limit_of_concurrency_is_found(limit):
    """None is refused up to it; beyond it those who find no place ask ten times a second."""
    settings = SearchSettings.parse("1..2000 step 10s")
    for seed in range(10):
        server = Bounded(limit=limit, service_s=0.4, seed=seed)
        answer, steps = searched(server, settings, parse_objective("errors < 1%"))
        assert answer.end is SearchEnd.CONVERGED
        assert answer.passing <= limit < answer.failing
        assert answer.passing == pytest.approx(limit, rel=0.1)
        assert steps <= 25


@pytest.mark.parametrize(
    ("slo", "limit_s", "share"), [("e2e_p90 < 800ms", 0.8, 0.1), ("e2e_p50 < 300ms", 0.3, 0.5)]
)
def test_the_capacity_of_a_serial_cost_is_erlangs(slo, limit_s, share):
    """0.1 s of every request, one after the other: ten a second at most, fewer within an objective."""
    truth = capacity(1, 0.1, limit_s, share, steady=True)
    settings = SearchSettings.parse("1/s..40/s step 120s")
    for seed in range(10):
        server = Queue(servers=1, service_s=0.1, seed=seed, steady=True)
        answer, steps = searched(server, settings, parse_objective(slo))
        assert answer.end is SearchEnd.CONVERGED
        assert settings.load(answer.passing) == pytest.approx(truth, rel=0.1)
        assert steps <= 25
