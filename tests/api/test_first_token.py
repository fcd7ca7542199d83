"""What is a first token, and what is none: blanks, and what somebody else pushed into the chat.

The streams with pushes were recorded on real servers, each line with the seconds since the send.
"""

import json
from itertools import pairwise
from pathlib import Path

import pytest

from astrometer.api.chat.chat_exchange import ChatExchange, Deadlines
from astrometer.api.outcome import Outcome
from astrometer.api.timings import Timings

RECORDED = json.loads((Path(__file__).parent / "recorded_pushes.json").read_text("utf-8"))
VERSIONS = sorted(RECORDED)


def line(**payload) -> bytes:
    return f"data: {json.dumps(payload)}\n\n".encode()


def piece(data, chain_type=None):
    return line(type="plain", data=data, streaming=True, chain_type=chain_type)


def pushed(*parts):
    return b"".join(map(piece, parts)) + line(
        type="complete", data=parts[-1], streaming=True, chain_type=None
    )


def whole(data):
    return line(type="complete", data=data, reasoning="", streaming=True)


STATS = line(
    type="agent_stats",
    data={"token_usage": {"input_other": 9, "input_cached": 0, "output": 3}, "time_to_first_token": 0.25},
)
END = line(type="end", data="", streaming=False)


def started(**options) -> ChatExchange:
    made = ChatExchange(**{"streaming": True, "deadlines": Deadlines(), **options})
    made.sent(0.0)
    made.headers(0.05, 200, "text/event-stream")
    return made


def played(*steps, **options):
    made = started(**options)
    for t, chunk in steps:
        made.feed(t, chunk)
    made.eof(steps[-1][0])
    return made.result()


def replayed(version, case, **options):
    return played(*((t, f"{text}\n\n".encode()) for t, text in RECORDED[version][case]), **options)


def when(version, case, text):
    """When the piece of the answer that says `text` came."""
    lines = ((t, json.loads(raw.removeprefix("data: "))) for t, raw in RECORDED[version][case])
    return next(t for t, event in lines if event["type"] == "plain" and event["data"] == text)


# --- blanks


@pytest.mark.parametrize("blank", [" ", "\n\n", "\u200b", "\x00", "\ufeff \u3164"])
@pytest.mark.parametrize("chain_type", [None, "reasoning"])
def test_a_blank_is_no_first_token(blank, chain_type):
    turn = played(
        (0.3, piece(blank, chain_type)),
        (0.9, piece(blank, chain_type)),
        (27.9, piece("w0")),
        (28.0, piece(" ")),
        (28.2, piece("w1")),
        (28.3, STATS + END),
    )
    times = turn.timings
    assert times.ttft_s == times.ttft_text_s == 27.9
    assert times.chunk_gaps_s == pytest.approx((0.1, 0.2))  # a blank between words is a piece like any other
    assert turn.blank_lead == 2
    assert turn.outcome is Outcome.OK


def test_blank_text_after_reasoning_is_no_first_text():
    turn = played((0.3, piece("hm", "reasoning")), (0.4, piece("\n")), (0.9, piece("w0")), (1.0, STATS + END))
    assert (turn.timings.ttft_s, turn.timings.ttft_text_s, turn.blank_lead) == (0.3, 0.9, 0)
    assert turn.timings.chunk_gaps_s == pytest.approx((0.1, 0.5))


def test_an_answer_of_blanks_alone_is_empty():
    turn = played((0.3, piece("\u200b\n")), (0.4, piece(" ")), (0.5, STATS + whole("\u200b\n ") + END))
    assert turn.outcome is Outcome.EMPTY_ANSWER
    assert turn.timings.ttft_s is turn.timings.e2e_s is None


def test_blanks_satisfy_no_deadline_before_the_first_token_and_every_one_after_it():
    made = started(deadlines=Deadlines(first_token_s=5, idle_s=2, total_s=60))
    made.feed(1.0, piece(" "))
    assert made.deadline() == (5.0, Outcome.TIMEOUT_FIRST_TOKEN)
    made.feed(4.0, piece("w0"))
    assert made.deadline() == (6.0, Outcome.STALLED)
    made.feed(5.0, piece("\n"))
    assert made.deadline() == (7.0, Outcome.STALLED)


def test_blanks_of_a_real_server():
    turn = replayed("4.29.3", "blank")
    assert turn.timings.ttft_s == when("4.29.3", "blank", "hello ")
    assert (turn.text, turn.blank_lead) == ("  \n hello world", 1)


# --- pushes


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("case", ["before", "middle", "parts", "after"])
def test_a_push_is_no_model_output(version, case):
    turn = replayed(version, case)
    times, words = turn.timings, turn.text.split()
    assert turn.outcome is Outcome.OK
    assert words == [f"w{number}" for number in range(len(words))]
    assert len(words) >= 3
    assert turn.pushed == len([raw for _, raw in RECORDED[version][case] if '"complete"' in raw]) - 1 > 0
    assert times.ttft_s == times.ttft_text_s == when(version, case, "w0 ")
    assert times.e2e_s == when(version, case, f"{words[-1]} ")
    moments = [when(version, case, f"{word} ") for word in words]
    assert times.chunk_gaps_s == pytest.approx([b - a for a, b in pairwise(moments)])
    assert times.ttft_s > times.server_ttft_s
    assert not times.is_impossible


def test_a_push_in_the_middle_of_reasoning_and_one_before_it():
    turn = replayed("4.29.3", "reasoning")
    assert (turn.reasoning, turn.text, turn.pushed) == ("r0 r1 r2 r3 ", "w0 w1 w2 ", 2)
    assert turn.timings.ttft_s == when("4.29.3", "reasoning", "r0 ")
    assert turn.timings.ttft_text_s == when("4.29.3", "reasoning", "w0 ")


@pytest.mark.parametrize("version", VERSIONS)
def test_a_push_into_an_answer_that_is_not_streamed(version):
    turn = replayed(version, "whole", streaming=False)
    assert (turn.text, turn.pushed, turn.outcome) == ("w0 w1 w2", 1, Outcome.OK)
    assert turn.timings.e2e_s == when(version, "whole", "w0 w1 w2")


@pytest.mark.parametrize("version", VERSIONS)
def test_what_was_pushed_proves_no_canary(version):
    assert replayed(version, "before", canary="pushed").outcome is Outcome.CANARY_MISMATCH
    assert replayed(version, "middle", canary="w1 w2").outcome is Outcome.OK


def test_a_push_moves_no_deadline():
    made = started(deadlines=Deadlines(first_token_s=5, idle_s=2, total_s=60))
    made.feed(1.0, pushed("hello"))
    assert made.deadline() == (5.0, Outcome.TIMEOUT_FIRST_TOKEN)
    made.feed(3.0, piece("w0"))
    made.feed(4.0, pushed("hello again"))
    assert made.deadline() == (5.0, Outcome.STALLED)


def test_a_push_is_no_answer_of_a_model_that_said_nothing():
    turn = played((0.5, pushed("hello")), (1.0, STATS + whole("") + END))
    assert (turn.outcome, turn.text, turn.pushed) == (Outcome.EMPTY_ANSWER, "", 1)
    picture = line(type="image", data="[IMAGE]a.png", streaming=True)
    turn = played(
        (0.5, piece("look: ") + picture + line(type="complete", data="[IMAGE]a.png", chain_type=None)),
        (1.0, STATS + whole("") + END),
    )
    assert (turn.outcome, turn.text, turn.pushed) == (Outcome.EMPTY_ANSWER, "", 1)
    assert turn.timings.e2e_s is None


def test_an_error_sentence_that_was_pushed_is_none_of_the_answer():
    turn = played(
        (0.5, piece("w0")), (0.6, pushed("LLM 响应错误: x")), (0.7, piece("w1")), (0.8, STATS + END)
    )
    assert (turn.outcome, turn.text) == (Outcome.OK, "w0w1")


def test_a_push_that_says_what_the_model_says():
    turn = played(
        (0.5, piece("w0 ")), (0.6, pushed("w0 ")), (0.9, piece("w1 ")), (1.0, STATS + whole("w0 w1 ") + END)
    )
    assert turn.text == "w0 w1 "
    assert turn.timings.chunk_gaps_s == pytest.approx((0.4,))


def test_the_text_before_a_tool_is_no_push_although_another_complete_repeats_only_what_came_after():
    tool = line(type="plain", data="{}", streaming=True, chain_type="tool_call")
    turn = played(
        (0.3, pushed("hello")),
        (0.5, piece("let me see ") + whole("let me see ")),
        (0.6, tool),
        (2.0, piece("w0 ")),
        (2.1, piece("w1")),
        (2.2, STATS + whole("w0 w1") + END),
    )
    assert turn.text == "let me see w0 w1"
    assert turn.timings.chunk_gaps_s == pytest.approx((0.1,))


def test_a_push_on_either_side_of_a_tool_leaves_the_split():
    tool = line(type="plain", data="{}", streaming=True, chain_type="tool_call")
    turn = played(
        (0.5, piece("a")),
        (0.6, tool),
        (0.7, pushed("x")),
        (2.0, piece("b")),
        (2.1, piece("c")),
        (2.2, STATS + END),
    )
    assert turn.timings.chunk_gaps_s == pytest.approx((0.1,))
    assert turn.text == "abc"


# --- what cannot be


def test_a_first_token_sooner_than_the_servers_own_is_told_and_has_no_overhead():
    times = {"t_intended": 0.0, "t_send": 0.0, "t_token1": 0.41, "streamed": True}
    impossible = Timings(**times, server_ttft_s=1.513)
    assert impossible.is_impossible
    assert impossible.ttft_s == 0.41
    assert impossible.overhead_s is None
    assert not Timings(**times, server_ttft_s=0.41).is_impossible
    assert not Timings(**times).is_impossible
    assert not Timings(**{**times, "streamed": False}, server_ttft_s=1.513).is_impossible
    # The reader was late: it came at 1.6 s at the latest, which the server does not contradict.
    late = Timings(**{**times, "t_token1": 1.6}, since={"t_token1": 0.2}, server_ttft_s=1.513)
    assert not late.is_impossible
