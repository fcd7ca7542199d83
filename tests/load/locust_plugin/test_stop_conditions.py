"""When a running test is ended before its time. The run is a stand-in, its tally is real."""

from types import SimpleNamespace

from server_usages import usage

from astrometer.api.call_exchange import CallResult
from astrometer.api.outcome import Outcome
from astrometer.load.locust_plugin.run_stop import StopConditions
from astrometer.load.token_budget import TokenBudget
from astrometer.measure.slo.objectives import evaluate_objectives
from astrometer.measure.slo.run_verdict import StopReason
from astrometer.measure.slo.slo_parser import parse_objectives
from astrometer.measure.tally.tally import Tally


def reason(
    *, failed=0, elapsed_s=60.0, warmup_s=10.0, abort_after_s=None, budget=None, tokens=0,
    slos=("duration_p99 < 1s", "chat: errors < 5%"), server=None,
):  # fmt: skip
    tally = Tally()
    for index in range(100):
        outcome = Outcome.RESET if index < failed else Outcome.OK
        tally.started("chat", "chat", 0.0)
        tally.finished("chat", "chat", 0.0, CallResult(outcome=outcome, duration_s=0.1))
    tally.stats_of("chat", "chat", 0.0).tokens["input_tokens"] = tokens
    settings = SimpleNamespace(
        objectives=parse_objectives(slos),
        abort_after_s=abort_after_s,
        budget=budget,
        warmup_s=warmup_s,
    )
    run = SimpleNamespace(
        settings=settings,
        tally=tally,
        clock=SimpleNamespace(elapsed_s=elapsed_s),
        is_over=False,
        objectives_so_far=lambda: evaluate_objectives(
            settings.objectives, tally, elapsed_s - warmup_s, server
        ),
    )
    return StopConditions(run, lambda _: None).reason()


def test_an_objective_that_is_not_met_ends_the_run_by_name():
    stop = reason(failed=8, abort_after_s=30.0)
    assert (stop.by, stop.objective, stop.at_s) == (StopReason.OBJECTIVE, "chat: errors < 5%", 60.0)
    assert stop.sentence == "objective 'chat: errors < 5%' was not met: 8.00%, n=100"


def test_a_server_that_takes_more_than_its_objective_ends_the_run():
    slos = ("server_cpu_per_turn < 50ms",)
    stop = reason(abort_after_s=30.0, slos=slos, server=usage())
    assert stop.sentence == "objective 'server_cpu_per_turn < 50ms' was not met: 80.0 ms, n=600"
    stop = reason(abort_after_s=30.0, slos=("server_rss_growth < 9MB/1000 turns",), server=usage())
    assert stop.sentence.endswith("was not met: 12.0 MB/1000 turns, n=600")
    assert reason(abort_after_s=30.0, slos=slos, server=usage(seconds=9)) is None


def test_too_few_samples_are_no_reason():
    assert reason(failed=4, abort_after_s=0.0) is None  # n of the p99 is 100


def test_the_delay_counts_from_the_end_of_the_warm_up():
    assert reason(failed=50, abort_after_s=30.0, elapsed_s=39.0) is None
    assert reason(failed=50, abort_after_s=30.0, elapsed_s=41.0) is not None


def test_without_being_asked_nothing_is_ended():
    assert reason(failed=100) is None


def test_the_budget_ends_the_run():
    stop = reason(budget=TokenBudget(5000), tokens=5000)
    assert (stop.by, stop.objective) == (StopReason.BUDGET, None)
    assert "5,000" in stop.sentence
    assert reason(budget=TokenBudget(5000), tokens=4999) is None
