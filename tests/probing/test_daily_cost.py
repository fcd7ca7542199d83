"""What a day of probing costs: the default day, a target's own cost per turn, what a budget does to it."""

from dataclasses import replace

from astrometer import bundled
from astrometer.api.chat.chat_turn import TOKENS_PER_TURN
from astrometer.config.settings import Budget, Config, TargetMessenger
from astrometer.probing.budget import Ledger
from astrometer.probing.daily_cost import daily_costs
from astrometer.probing.plan import make_plans
from astrometer.probing.probe_files import load_folder

OURS = load_folder(bundled.folder("probes")).probes
TURNS = {name: probe.turns * 86_400 / probe.interval_s for name, probe in OURS.items() if probe.costs_tokens}


def plans_of(target):
    return make_plans(Config(source="astrometer.toml", targets={target.name: target}), OURS)


def test_a_default_day_of_all_probes_costs_less_than_100_000_tokens(bench):
    (cost,) = daily_costs(plans_of(bench.target("all")), Ledger())
    others = {name: turns for name, turns in TURNS.items() if not OURS[name].needs_messenger}
    assert cost.wanted < 100_000, (
        f"tokens a day by probe: { ({n: t * TOKENS_PER_TURN for n, t in others.items()}) }"
    )
    assert (cost.turns, cost.wanted) == (sum(others.values()), sum(others.values()) * TOKENS_PER_TURN)
    assert cost.sentence == (
        f"sim: about {cost.wanted:,} tokens a day ({cost.turns:.0f} turns of 1,750 tokens, assumed); "
        "no budget limits it (targets.sim.budget.tokens_per_day)"
    )


def test_a_messenger_adds_a_question_an_hour(bench):
    told = TargetMessenger(url="ws://127.0.0.1:6199/ws")
    (cost,) = daily_costs(plans_of(replace(bench.target("all"), messenger=told)), Ledger())
    assert TURNS["im_chat"] == 24
    assert (cost.turns, cost.wanted) == (sum(TURNS.values()), sum(TURNS.values()) * TOKENS_PER_TURN)


def test_probes_that_cost_nothing_run_every_few_minutes():
    free = {name: probe.interval_s for name, probe in OURS.items() if not probe.costs_tokens}
    assert free
    assert {name: interval_s for name, interval_s in free.items() if not 60 <= interval_s <= 300} == {}


def test_the_target_s_own_cost_of_a_turn_is_used_once_it_is_known(bench):
    target = replace(bench.target("all"), budget=Budget(tokens_per_day=1_000_000))
    ledger = Ledger()
    for _ in range(3):
        ledger.book(target, tokens=500)
    (cost,) = daily_costs(plans_of(target), ledger)
    assert cost.sentence == (
        f"sim: about {500 * cost.turns:,.0f} tokens a day "
        f"({cost.turns:.0f} turns of 500 tokens, measured here), "
        "within its budget of 1,000,000"
    )


def test_a_budget_that_is_too_small_is_said_and_limits_the_day(bench):
    target = replace(bench.target("all"), budget=Budget(tokens_per_day=50_000))
    (cost,) = daily_costs(plans_of(target), Ledger())
    assert cost.tokens == 50_000
    assert "more than its budget of 50,000: runs will be held back" in cost.sentence


def test_a_target_that_is_asked_nothing_that_costs_has_no_line(bench):
    assert daily_costs(plans_of(bench.target(im="im")), Ledger()) == []
