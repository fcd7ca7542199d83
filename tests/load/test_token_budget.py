"""What a run has cost, and when it has cost enough."""

import pytest

from astrometer.api.call_exchange import CallResult
from astrometer.api.chat.chat_turn import TOKENS_PER_TURN
from astrometer.api.outcome import Outcome
from astrometer.load.token_budget import BLIND_AFTER, TokenBudget
from astrometer.measure.tally.histogram import Histogram
from astrometer.measure.tally.tally import Tally
from astrometer.measure.tally.windows import Window


def tally(*, ended, running=0, each=100, scenario="chat"):
    made = Tally()
    stats = made.stats_of(scenario, "chat", 0.0)
    stats.started = ended + running
    stats.outcomes["ok"] = ended
    stats.ok["e2e"] = Histogram([0.5] * ended)
    stats.tokens["input_tokens"], stats.tokens["output_tokens"] = ended * each * 3 // 4, ended * each // 4
    return made


def test_input_and_output_tokens_count_together():
    spent = TokenBudget(10_000).spent(tally(ended=8))
    assert (spent.tokens, spent.coming, spent.in_all) == (800, 0, 800)


def test_turns_that_still_run_are_reckoned_with():
    made = tally(ended=8, running=2)
    assert TokenBudget(1000).spent(made).coming == 200
    assert "800 counted and about 200 in turns that still ran" in TokenBudget(1000).why_stop(made)
    assert TokenBudget(1001).why_stop(made) is None


def test_workers_and_the_warm_up_count_as_well():
    whole = Tally(window=Window(excluded_s=10.0))
    for t in (5.0, 15.0):
        stats = whole.stats_of("chat", "chat", t)
        stats.started, stats.tokens["input_tokens"] = 1, 500
        stats.outcomes["ok"] = 1
    master = Tally()
    master.merge(Tally.decode(whole.encode()))
    assert TokenBudget(1000).spent(master).tokens == 1000
    assert TokenBudget(1000).why_stop(master) is not None


def test_a_server_that_counts_no_tokens_cannot_be_given_a_budget():
    assert TokenBudget(1000).why_stop(tally(ended=BLIND_AFTER - 1, each=0)) is None
    assert "reported no tokens" in TokenBudget(1000).why_stop(tally(ended=BLIND_AFTER, each=0))


@pytest.mark.parametrize("calls", [0, 50])
def test_plain_calls_cost_nothing_and_prove_nothing(calls):
    made = Tally()
    for _ in range(calls):
        made.started("reads", "list", 0.0)
        made.finished("reads", "list", 0.0, CallResult(outcome=Outcome.OK, duration_s=0.1))
    assert TokenBudget(10).why_stop(made) is None


def test_replies_in_a_messenger_are_booked_although_nobody_tells_their_tokens():
    """Or a budget would never end a run of people in a messenger."""
    made = tally(ended=4)
    stats = made.stats_of("im_chat", "im_chat", 0.0)
    stats.started, stats.outcomes["ok"], stats.outcomes["silent"] = 12, 8, 2
    stats.facts["replies"] = 8
    spent = TokenBudget(1).spent(made)
    assert (spent.tokens, spent.replies, spent.assumed) == (400, 8, 8 * TOKENS_PER_TURN)
    assert spent.coming == 2 * 8 * TOKENS_PER_TURN // 10
    assert TokenBudget(spent.in_all + 1).why_stop(made) is None
    said = TokenBudget(spent.in_all).why_stop(made)
    assert "400 counted and about 14,000 for 8 replies in a messenger" in said
    assert "(1,750 each, assumed)" in said
