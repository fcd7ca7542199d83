"""The whole decision (search, windows, margins) on an M/M/c queue in virtual time, against Erlang C."""

import pytest
from queue_model import Queue, capacity

from astrometer.measure.capacity_window import Next, judge, margin
from astrometer.measure.objectives import parse_objective
from astrometer.measure.search import Ask, End, Trial, decide
from astrometer.measure.search_text import SearchSettings
from astrometer.measure.tally import Cell


def searched(queue, settings, objective):
    plan, trials, before = settings.plan, [], None
    while isinstance(step := decide(plan, trials), Ask):
        rate = settings.load(step.level)
        if before is not None and step.level < before:
            queue.clear()
        if step.level != before:
            queue.run(rate, settings.settle_s)
        cell, length_s, told = Cell(), 0.0, Next.EXTEND
        while told is Next.EXTEND:
            part_s = settings.step_s if not length_s else 1.0
            taken = queue.run(rate, part_s)
            length_s += part_s
            cell.started += len(taken)
            cell.outcomes["ok"] += len(taken)
            cell.ok[objective.metric].record_all(taken)
            told = judge(
                [objective], lambda _, cell=cell: cell,
                thorough=step.thorough, may_wait=False, may_extend=length_s < settings.longest_s,
            )  # fmt: skip
        found = margin([objective], lambda _, cell=cell: cell)
        trials.append(Trial(level=step.level, told=told, margin=found))
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
        assert answer.end is End.CONVERGED
        assert settings.load(answer.passing) == pytest.approx(truth, rel=0.1)
        assert steps <= 25
