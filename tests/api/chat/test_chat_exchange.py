"""One chat from bytes and times to a turn, with recorded streams."""

import json

import pytest

from astrometer.api.call_exchange import CallResult
from astrometer.api.chat.chat_exchange import ChatExchange, Deadlines
from astrometer.api.outcome import Outcome

SSE = "text/event-stream"


def line(**payload) -> bytes:
    return f"data: {json.dumps(payload)}\n\n".encode()


def text(data, **extra):
    return line(type="plain", data=data, streaming=True, chain_type=None, **extra)


SESSION = line(type="session_id", data=None, session_id="s1")
RUN = line(type="run_started", data={"run_id": "r1"}, streaming=False)
STATS = line(
    type="agent_stats",
    data={"token_usage": {"input_other": 9, "input_cached": 0, "output": 3}, "time_to_first_token": 0.25},
)
COMPLETE = line(type="complete", data="w0 w1 w2", streaming=True)
END = line(type="end", data="", streaming=False)


def exchange(**options) -> ChatExchange:
    made = ChatExchange(**{"streaming": True, "deadlines": Deadlines(), **options})
    made.sent(100.0)
    return made


def played(*steps, **options):
    """Play (time after the send, bytes) steps; a last number is the time of the body's end."""
    made = exchange(**options)
    made.headers(100.1, 200, SSE)
    for t, chunk in steps:
        made.feed(100.0 + t, chunk)
    made.eof(110.0)
    return made.result()


def full_turn(**options):
    return played(
        (0.1, SESSION),
        (0.2, RUN),
        (0.5, text("w0 ")),
        (0.6, text("w1 ")),
        (0.9, text("w2")),
        (1.0, STATS + COMPLETE),
        (1.1, END),
        **options,
    )


def test_every_point_of_a_whole_turn():
    turn = full_turn()
    times = turn.timings
    assert turn.outcome is Outcome.OK
    assert times.accept_time_s == pytest.approx(0.1)
    assert times.gate_wait_s == pytest.approx(0.1)
    assert times.ttft_s == times.ttft_text_s == times.ttft_effective_s == pytest.approx(0.5)
    assert times.chunk_gaps_s == pytest.approx((0.1, 0.3))
    assert times.max_gap_s == pytest.approx(0.3)
    assert times.e2e_s == pytest.approx(0.9)
    assert times.turn_time_s == pytest.approx(1.1)
    assert times.tail_s == pytest.approx(0.2)
    assert times.tpot_s == pytest.approx(0.2)
    assert times.overhead_s == pytest.approx(0.25)
    assert times.schedule_lag_s is None  # nothing was scheduled
    assert (turn.text, turn.session_id, turn.run_id) == ("w0 w1 w2", "s1", "r1")
    assert (turn.input_tokens, turn.output_tokens) == (9, 3)
    assert turn.events == {
        "session_id": 1,
        "run_started": 1,
        "plain": 3,
        "agent_stats": 1,
        "complete": 1,
        "end": 1,
    }


def test_effective_times_run_from_the_intended_time():
    turn = full_turn(t_intended=99.0)
    assert turn.timings.ttft_effective_s == pytest.approx(1.5)
    assert turn.timings.e2e_effective_s == pytest.approx(1.9)
    assert turn.timings.schedule_lag_s == pytest.approx(1.0)
    assert turn.timings.ttft_s == pytest.approx(0.5)


def test_ttft_is_the_first_model_output_and_reasoning_is_output():
    reasoning = line(type="plain", data="hm", streaming=True, chain_type="reasoning")
    turn = played((0.1, SESSION), (0.3, reasoning), (0.8, text("a")), (0.9, STATS + END))
    assert turn.timings.ttft_s == pytest.approx(0.3)
    assert turn.timings.ttft_text_s == pytest.approx(0.8)
    assert turn.reasoning == "hm"
    assert turn.text == "a"


def test_an_empty_delta_is_no_token():
    turn = played((0.1, text("")), (0.4, text("a")), (0.5, text("b")), (0.6, STATS + END))
    assert turn.timings.ttft_s == pytest.approx(0.4)


def test_gaps_are_split_at_tool_calls():
    tool = line(type="plain", data="{}", streaming=True, chain_type="tool_call")
    turn = played(
        (0.1, text("a")),
        (0.2, text("b")),
        (0.3, tool),
        (5.0, text("c")),
        (5.1, text("d")),
        (5.2, STATS + END),
    )
    assert turn.timings.chunk_gaps_s == pytest.approx((0.1, 0.1))
    assert turn.text == "abcd"


def test_an_answer_that_was_not_streamed_has_no_ttft():
    whole = line(type="plain", data="w0 w1", streaming=False, chain_type=None)
    turn = played((0.1, SESSION), (0.7, STATS + whole), (0.8, END), streaming=False)
    assert turn.outcome is Outcome.OK
    assert turn.timings.ttft_s is None
    assert turn.timings.e2e_s == pytest.approx(0.7)
    assert "ttft" not in turn.metrics()
    assert "ttft" not in turn.expected


def test_one_delta_is_a_stream_only_if_the_server_says_that_it_streamed():
    zero = line(type="agent_stats", data={"token_usage": {"output": 5}, "time_to_first_token": 0.0})
    assert played((0.5, text("all at once")), (0.6, zero + END)).timings.ttft_s is None
    assert played((0.5, text("short")), (0.6, STATS + END)).timings.ttft_s == pytest.approx(0.5)


def test_only_complete_is_an_answer_without_ttft():
    turn = played((0.1, SESSION), (0.9, STATS + COMPLETE), (1.0, END))
    assert turn.outcome is Outcome.OK
    assert turn.text == "w0 w1 w2"
    assert turn.timings.ttft_s is None
    assert turn.timings.e2e_s == pytest.approx(0.9)


def test_cut_after_first_token_is_truncated_and_keeps_its_ttft():
    turn = played((0.1, SESSION), (0.5, text("w0")))
    assert turn.outcome is Outcome.TRUNCATED
    assert turn.timings.ttft_s == pytest.approx(0.5)
    assert turn.timings.turn_time_s is None


def test_a_broken_connection_is_a_reset_unless_the_answer_was_whole():
    broken = exchange()
    broken.headers(100.1, 200, SSE)
    broken.feed(100.5, text("w0"))
    broken.lost(100.6, Outcome.RESET, "by peer")
    assert (broken.result().outcome, broken.result().detail) == (Outcome.RESET, "by peer")

    whole = exchange()
    whole.headers(100.1, 200, SSE)
    whole.feed(100.5, text("w0") + text("w1") + STATS + END)
    whole.lost(100.6, Outcome.RESET)
    assert whole.result().outcome is Outcome.OK


def test_events_behind_the_end_are_read_and_change_nothing():
    turn = played(
        (0.1, text("a") + text("b")), (0.2, STATS + END), (0.3, line(type="message_saved", data={}))
    )
    assert turn.outcome is Outcome.OK
    assert turn.timings.t_terminal == pytest.approx(100.2)
    assert turn.events["message_saved"] == 1


def test_a_stream_may_be_cut_into_single_bytes():
    body = SESSION + text("你好") + text("!") + STATS + END
    turn = played(*((0.1 + i / 1000, body[i : i + 1]) for i in range(len(body))))
    assert turn.outcome is Outcome.OK
    assert turn.text == "你好!"
    assert turn.bytes_received == len(body)


def test_the_canary_is_looked_for_in_the_joined_text():
    nonce = (0.5, text("am-0") + text("1ff") + STATS + END)
    assert played(nonce, canary="am-01ff").outcome is Outcome.OK
    assert played(nonce, canary="am-0000").outcome is Outcome.CANARY_MISMATCH


def test_a_line_without_end_is_malformed(monkeypatch):
    monkeypatch.setattr("astrometer.api.chat.sse.MAX_LINE_BYTES", 50)
    assert played((0.1, b"data: " + b"x" * 60)).outcome is Outcome.MALFORMED


@pytest.mark.parametrize(
    ("status", "content_type", "body", "outcome"),
    [
        (401, "application/json", b'{"status":"error","message":"Invalid API key"}', Outcome.UNAUTHORIZED),
        (403, "application/json", b"{}", Outcome.FORBIDDEN),
        (500, SSE, b"data: x", Outcome.SERVER_ERROR),
        (200, "application/json", b'{"status":"error","message":"m"}', Outcome.API_ERROR),
        (200, "text/html", b"404 Not found", Outcome.NOT_SSE),
    ],
)
def test_status_before_stream(status, content_type, body, outcome):
    made = exchange()
    made.headers(100.1, status, content_type)
    assert made.feed(100.2, body) == []
    made.eof(100.3)
    turn = made.result()
    assert turn.outcome is outcome
    assert turn.timings.ttft_s is None
    assert turn.status == status


def test_an_endless_error_body_is_kept_in_part_only():
    made = exchange()
    made.headers(100.1, 500, "text/plain")
    for _ in range(40):
        made.feed(100.2, b"x" * 4096)
    assert len(made._body) == 64 * 1024


LIMITS = Deadlines(connect_s=1, first_token_s=5, idle_s=2, total_s=20)


def test_the_first_token_deadline_runs_although_heartbeats_flow():
    made = exchange(deadlines=LIMITS)
    made.headers(100.1, 200, SSE)
    for second in range(1, 5):
        made.feed(100.0 + second, b": heartbeat\n\n")
        assert made.deadline() == (105.0, Outcome.TIMEOUT_FIRST_TOKEN)
    made.expire(105.0)
    turn = made.result()
    assert turn.outcome is Outcome.TIMEOUT_FIRST_TOKEN
    assert turn.heartbeats == 4
    assert turn.detail == "after 5.0 s"


def test_a_stall_is_seen_although_heartbeats_flow():
    made = exchange(deadlines=LIMITS)
    made.headers(100.1, 200, SSE)
    made.feed(103.0, text("w0"))
    made.feed(104.0, b": heartbeat\n\n")
    assert made.deadline() == (105.0, Outcome.STALLED)
    made.expire(105.0)
    assert made.result().outcome is Outcome.STALLED
    assert made.result().timings.ttft_s == pytest.approx(3.0)


def test_the_total_deadline_ends_a_stream_that_never_ends():
    made = exchange(deadlines=LIMITS)
    made.headers(100.1, 200, SSE)
    made.feed(119.0, text("w0"))
    assert made.deadline() == (120.0, Outcome.TIMEOUT_TOTAL)


def test_after_the_end_a_body_that_stays_open_is_left_without_harm():
    made = exchange(deadlines=LIMITS)
    made.headers(100.1, 200, SSE)
    made.feed(101.0, text("a") + text("b") + STATS + END)
    assert made.deadline()[0] == 103.0
    made.expire(103.0)
    assert made.result().outcome is Outcome.OK


def test_an_answer_that_is_not_streamed_has_only_the_total_deadline():
    assert exchange(deadlines=LIMITS, streaming=False).deadline() == (120.0, Outcome.TIMEOUT_TOTAL)


def test_a_run_that_ends_first_cuts_the_turn_off():
    made = exchange()
    made.abort(101.0, Outcome.CUTOFF)
    made.eof(102.0)
    assert made.result().outcome is Outcome.CUTOFF
    assert made.result().timings.t_close == 101.0


def test_a_turn_in_flight_has_no_result():
    with pytest.raises(RuntimeError, match="not finished"):
        exchange().result()


def test_times_need_a_send():
    with pytest.raises(RuntimeError, match="`sent` comes first"):
        ChatExchange(streaming=True, deadlines=Deadlines()).headers(1.0, 200, SSE)


def test_a_plain_call_has_a_duration_and_nothing_of_a_stream():
    result = CallResult(outcome=Outcome.OK, duration_s=0.25)
    assert result.metrics() == {"duration": (0.25,)}
    assert result.expected == ("duration",)


def test_what_a_run_is_called_is_known_before_it_ends():
    made = exchange()
    made.headers(100.1, 200, SSE)
    made.feed(100.2, SESSION + RUN)
    assert (made.session_id, made.run_id, made.done) == ("s1", "r1", False)


def test_a_picture_is_an_answer_and_media_is_no_token():
    image = line(type="image", data="[IMAGE]a.png")
    turn = played((0.1, SESSION), (0.4, image), (0.5, line(type="brand_new")), (0.6, STATS + END))
    assert turn.outcome is Outcome.OK
    assert turn.timings.ttft_s is None
    assert turn.timings.e2e_s == pytest.approx(0.4)
    assert turn.events["other"] == 1


def test_an_error_body_without_an_end_is_judged_as_soon_as_enough_of_it_is_there():
    exchange = ChatExchange(streaming=True, deadlines=Deadlines())
    exchange.sent(0.0)
    exchange.headers(0.1, 500, "text/html")
    exchange.feed(0.2, b"x" * 60_000)
    assert not exchange.done
    exchange.feed(0.3, b"x" * 60_000)
    assert exchange.done
    assert exchange.result().outcome is Outcome.SERVER_ERROR


TOOL = line(type="plain", data='{"name": "search"}', streaming=True, chain_type="tool_call")


def test_what_comes_after_the_end_is_no_part_of_the_answer():
    late = (
        text("more")
        + line(type="error", data="late")
        + b"data: {broken\n\n"
        + line(type="image", data="[IMAGE]x")
    )
    turn = played(
        (0.1, SESSION), (0.5, text("w0 ")), (0.6, text("w1")), (1.0, STATS), (1.1, END), (5.0, late)
    )
    assert (turn.outcome, turn.text) == (Outcome.OK, "w0 w1")
    assert turn.timings.e2e_s == pytest.approx(0.6)
    assert turn.timings.tail_s == pytest.approx(0.5)
    assert turn.timings.chunk_gaps_s == pytest.approx((0.1,))
    assert turn.events["malformed"] == 1  # seen, and counted


def test_the_time_of_a_tool_is_in_no_time_per_token():
    turn = played(
        (0.1, SESSION),
        (0.5, text("let me see")),
        (0.6, TOOL),
        (9.0, text("w0 ")),
        (9.1, text("w1")),
        (9.2, STATS),
        (9.3, END),
    )
    assert turn.outcome is Outcome.OK
    assert turn.timings.tpot_s is None
    assert "tpot" not in turn.expected  # so an objective on it does not speak against such a turn
    assert full_turn().timings.tpot_s == pytest.approx(0.2)


SENTENCE = "LLM 响应错误: All chat models failed: BadRequestError: no"


@pytest.mark.parametrize(
    ("steps", "outcome", "detail"),
    [
        (
            [text("a good answer"), line(type="error", data="WebChat run failed"), END],
            Outcome.STREAM_ERROR,
            "WebChat run failed",
        ),
        (
            [text("a good answer"), b'data: {"type": plain}\n\n', STATS, END],
            Outcome.MALFORMED,
            'an event that is not a JSON object with a type: {"type": plain}',
        ),
        (
            [text("half an "), text("answ")],
            Outcome.TRUNCATED,
            "the body ended without `end`; until then: half an answ",
        ),
        ([SESSION], Outcome.TRUNCATED, "the body ended without `end`"),
        ([text("word " * 100 + SENTENCE), STATS, END], Outcome.LLM_ERROR, SENTENCE),
        ([SESSION, END], Outcome.NOT_ASKED, "no agent_stats: the model was not asked"),
    ],
)
def test_the_detail_of_a_failure_shows_the_cause(steps, outcome, detail):
    turn = played(*((0.1 * number, step) for number, step in enumerate(steps)))
    assert (turn.outcome, turn.detail) == (outcome, detail)


def test_a_redirect_says_where_it_leads():
    made = exchange()
    made.headers(100.1, 302, "text/html", "https://login.example/sso")
    made.eof(100.2)
    turn = made.result()
    assert turn.outcome is Outcome.CLIENT_ERROR
    assert turn.detail == "HTTP 302: a redirect to https://login.example/sso, which is not followed"


def whole(*texts):
    events = [line(type="plain", data=data, streaming=False) for data in texts]
    steps = [
        (0.1, SESSION),
        *((1.0 + number, event) for number, event in enumerate(events)),
        (5.0, STATS + END),
    ]
    return played(*steps, streaming=False)


@pytest.mark.parametrize("end", ["\n", "\n\n────\n"])
def test_a_whole_answer_that_is_only_reasoning_is_empty_as_a_streamed_one_is(end):
    turn = whole(f"🤔 思考: let me see{end}")
    assert (turn.outcome, turn.text, turn.reasoning) == (Outcome.EMPTY_ANSWER, "", "let me see")
    thought = line(type="plain", data="let me see", streaming=True, chain_type="reasoning")
    streamed = played((0.1, SESSION), (0.5, thought), (1.0, STATS + END))
    assert (streamed.outcome, streamed.text, streamed.reasoning) == (Outcome.EMPTY_ANSWER, "", "let me see")


@pytest.mark.parametrize("texts", [("🤔 思考: hm\n\n────\n", "w0 w1"), ("🤔 思考: hm\n\n────\nw0 w1",)])
def test_reasoning_before_a_whole_answer_is_no_part_of_it(texts):
    turn = whole(*texts)
    assert (turn.outcome, turn.text, turn.reasoning) == (Outcome.OK, "w0 w1", "hm")
