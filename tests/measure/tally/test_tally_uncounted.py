"""Answers without a token count are ok until another of the run counts some, whoever saw which first."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astrometer.api.call_exchange import CallResult
from astrometer.api.chat.chat_turn import ChatTurn
from astrometer.api.chat.events import AgentStats
from astrometer.api.outcome import Outcome
from astrometer.api.timings import Timings
from astrometer.measure.tally.tally import Tally
from astrometer.measure.tally.windows import Window

NOW = 0.0  # since the run began
GOALS = {"ttft": 1.0}


def chat(tokens, ttft_s=0.25):
    timings = Timings(
        t_intended=0.0, t_send=0.0, t_event1=0.1, t_token1=ttft_s, t_text1=ttft_s, t_tokenN=ttft_s + 0.5,
        t_terminal=1.0, chunk_gaps_s=(0.25, 0.25), streamed=True,
    )  # fmt: skip
    stats = AgentStats(input_tokens=tokens, output_tokens=tokens, server_ttft_s=None)
    return ChatTurn(outcome=Outcome.OK, timings=timings, text="w0 w1", stats=stats)


def tally_of(turns):
    tally = Tally(GOALS, Window(excluded_s=3.0), [NOW, NOW + 20], scenario_goals={"chat": GOALS})
    for place, tokens in turns:
        t = NOW + place * 7.0  # a step of the timeline for each, so that most of them are packed
        tally.started("chat", "chat", t)
        tally.finished("chat", "chat", t, chat(tokens))
    return tally


def test_a_run_in_which_no_answer_counts_is_all_ok():
    total = tally_of((n, 0) for n in range(1, 5)).total()
    assert (total.outcomes, total.good) == ({"ok": 4}, 4)


@pytest.mark.parametrize("order", [(9, 0, 0, 0), (0, 0, 0, 9), (0, 9, 0, 0)])
def test_one_answer_that_counts_makes_failures_of_those_that_do_not(order):
    tally = tally_of(enumerate(order, 1))
    total = tally.total()
    assert (total.outcomes, total.good, total.started) == ({"ok": 1, "llm_error": 3}, 1, 4)
    assert (total.ok["ttft"].n, total.failed["ttft"].n, total.missed["ttft"]) == (1, 3, 3)
    assert total.stalls.streams == 4
    steps = [dict(step.outcomes) for _, step in tally.timeline.items()]
    assert steps == [{"ok" if tokens else "llm_error": 1} for tokens in order]
    assert sum(stage.outcomes["llm_error"] for stage in tally.stages.values()) == 3
    assert sum(stage.outcomes["llm_error"] for stage in tally.stage_scenarios.values()) == 3


def test_whoever_reports_hears_of_it_at_once():
    tally = tally_of([(1, 9)])
    assert tally.finished("chat", "chat", NOW, chat(0)).outcome is Outcome.LLM_ERROR
    call = CallResult(outcome=Outcome.OK, duration_s=0.1)
    assert tally.finished("chat", "list", NOW, call) is call


counted = st.lists(st.tuples(st.integers(0, 60), st.sampled_from([0, 0, 9])), max_size=12)


@given(counted, counted, counted, st.sampled_from(["taken", "decoded", "added"]))
def test_the_order_of_turns_reports_and_processes_does_not_matter(first, second, third, shipped):
    whole = sorted([*first, *second, *third], key=lambda item: -item[1])
    merged = tally_of(first)
    for part in (second, third):
        other = tally_of(part)
        if shipped == "added":
            merged.add_wire(other.encode())
        else:
            merged.merge(Tally.decode(other.encode()) if shipped == "decoded" else other.take())
    expected = tally_of(whole)
    for name in ("counted", "excluded", "stages", "stage_scenarios", "counts_usage"):
        assert getattr(merged, name) == getattr(expected, name)
    assert dict(merged.timeline.items()) == dict(expected.timeline.items())
