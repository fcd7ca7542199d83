"""Exactly one outcome for everything that can be seen."""

import json
from dataclasses import replace
from itertools import pairwise

import pytest

from astrometer.api.chat.chat_turn import ChatTurn
from astrometer.api.network_stats import NetworkStats
from astrometer.api.outcome import (
    Layer,
    Outcome,
    StreamFacts,
    classify_encoding,
    classify_json,
    classify_status,
    classify_stream,
    classify_unstreamed,
    is_event_stream,
)
from astrometer.api.timings import Timings

SENTENCES = [
    ("LLM 响应错误: All chat models failed: BadRequestError: Error code: 400", Outcome.LLM_ERROR),
    ("LLM 响应错误: All available chat models are unavailable.", Outcome.LLM_ERROR),
    ("LLM 请求失败：未找到任何对话模型（提供商）。", Outcome.LLM_ERROR),
    ("Error occurred while processing agent request: <Queue ...>", Outcome.AGENT_ERROR),
    ("你的消息或者大模型的响应中包含不适当的内容，已被屏蔽。", Outcome.BLOCKED),
    (
        "Your message or the model response contains inappropriate content and has been blocked.",
        Outcome.BLOCKED,
    ),
    ("您(ID: u)的权限不足以使用此指令。通过 /sid 获取 ID。", Outcome.NOT_ASKED),
]


def facts(**seen):
    return StreamFacts(
        **{
            "streaming": True,
            "ended": True,
            "text": "w0 w1",
            "stats_seen": True,
            "tokens_counted": True,
            **seen,
        }
    )


def test_an_answer_that_reached_its_end_is_ok():
    assert classify_stream(facts()) is Outcome.OK


def test_an_answer_with_several_sentences_is_what_the_first_of_the_table_says():
    said = {outcome: text for text, outcome in SENTENCES}
    order = (Outcome.AGENT_ERROR, Outcome.LLM_ERROR, Outcome.BLOCKED, Outcome.NOT_ASKED)
    for first, second in pairwise(order):
        assert classify_stream(facts(text=said[second] + said[first])) is first


@pytest.mark.parametrize(("text", "outcome"), SENTENCES)
def test_an_error_sentence_is_no_answer_wherever_it_stands(text, outcome):
    assert classify_stream(facts(text=text)) is outcome
    assert classify_stream(facts(text="w0 w1 " + text)) is outcome
    assert classify_stream(facts(text="", notices=text, stats_seen=False)) is outcome
    assert classify_stream(facts(streaming=False, text="", notices=text)) is outcome


@pytest.mark.parametrize(
    ("seen", "outcome"),
    [
        ({"ended": False}, Outcome.TRUNCATED),
        ({"ended": False, "text": ""}, Outcome.TRUNCATED),
        ({"error_event": True}, Outcome.STREAM_ERROR),
        ({"malformed": True}, Outcome.MALFORMED),
        ({"follow_up": True, "text": "", "stats_seen": False}, Outcome.FOLLOW_UP_CAPTURED),
        ({"text": "", "stats_seen": False}, Outcome.NOT_ASKED),
        ({"text": "", "notices": "AstrBot v4.29.3", "stats_seen": False}, Outcome.NOT_ASKED),
        ({"text": "  \n"}, Outcome.EMPTY_ANSWER),
        ({"text": "", "tokens_counted": False}, Outcome.LLM_ERROR),
        ({"text": "", "notices": "not the model's"}, Outcome.EMPTY_ANSWER),
        ({"text": "", "media": True}, Outcome.OK),
        ({"streaming": False, "text": "", "notices": "w0 w1"}, Outcome.OK),
        ({"canary": "am-0123"}, Outcome.CANARY_MISMATCH),
        ({"canary": "w1"}, Outcome.OK),
        # An upstream that reports no usage is no failure as long as there is an answer.
        ({"tokens_counted": False}, Outcome.OK),
    ],
)
def test_each_way_to_end_has_its_own_outcome(seen, outcome):
    assert classify_stream(facts(**seen)) is outcome


def test_a_known_sentence_wins_over_the_missing_canary():
    assert classify_stream(facts(text=SENTENCES[0][0], canary="am-1")) is Outcome.LLM_ERROR


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (200, None),
        (204, None),
        (302, Outcome.CLIENT_ERROR),
        (400, Outcome.CLIENT_ERROR),
        (401, Outcome.UNAUTHORIZED),
        (403, Outcome.FORBIDDEN),
        (404, Outcome.CLIENT_ERROR),
        (422, Outcome.CLIENT_ERROR),
        (429, Outcome.RATE_LIMITED),
        (500, Outcome.SERVER_ERROR),
        (503, Outcome.SERVER_ERROR),
    ],
)
def test_a_status_decides_unless_it_is_2xx(status, outcome):
    assert classify_status(status) is outcome


@pytest.mark.parametrize("encoding", ["gzip", "br", "GZIP", "identity, gzip", " deflate ", "x-unheard-of"])
def test_an_answer_that_is_encoded_unasked_is_named_so_unless_its_status_says_more(encoding):
    told = classify_encoding(200, encoding)
    assert told.outcome is Outcome.ENCODED
    assert encoding.strip().lower() in told.message
    assert classify_encoding(503, encoding) is None


@pytest.mark.parametrize("encoding", ["", "identity", "Identity", "identity,", " , "])
def test_an_answer_as_it_was_asked_for_is_none_of_it(encoding):
    assert classify_encoding(200, encoding) is None


def test_a_good_answer_that_was_held_back_is_buffered_where_it_stands_alone():
    times = Timings(
        t_intended=0, t_send=0, t_event1=1.6, t_token1=1.6, t_terminal=1.61, streamed=True, server_ttft_s=0.5
    )
    turn = ChatTurn(outcome=Outcome.OK, timings=times, text="w0")
    assert turn.alone.outcome is Outcome.BUFFERED
    assert turn.alone.detail == (
        "the stream was held back on its way: the first event and the first token came within 0.0 ms, "
        "and the server says that 500 ms lay between them"
    )
    lossy = replace(turn, network=NetworkStats(retransmits=0, out_of_order=1))
    assert lossy.alone is lossy  # a lost segment holds back what follows it, too
    failed = replace(turn, outcome=Outcome.CANARY_MISMATCH)
    assert failed.alone is failed
    free = replace(turn, timings=replace(times, t_event1=0.1))
    assert free.alone is free


def envelope(**content):
    return json.dumps(content).encode()


def test_http_200_with_status_error_is_an_api_error_and_keeps_the_words():
    verdict = classify_json(
        200, "application/json", envelope(status="error", message="Missing key: username")
    )
    assert (verdict.outcome, verdict.message) == (Outcome.API_ERROR, "Missing key: username")


def test_a_good_envelope_gives_its_data():
    verdict = classify_json(200, "application/json", envelope(status="ok", data={"bot_ids": []}))
    assert (verdict.outcome, verdict.payload) == (Outcome.OK, {"bot_ids": []})


def test_the_html_404_that_old_versions_send_with_200_is_malformed():
    verdict = classify_json(200, "text/html", b"404 Not found")
    assert (verdict.outcome, verdict.message) == (Outcome.MALFORMED, "text/html, not a JSON object")


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff"])
def test_json_that_is_no_object_is_malformed(body):
    assert classify_json(200, "application/json", body).outcome is Outcome.MALFORMED


def test_a_validation_error_of_4_26_is_told_in_its_own_words():
    verdict = classify_json(
        422, "application/json", envelope(detail=[{"loc": ["body"], "msg": "Field required"}])
    )
    assert verdict.outcome is Outcome.CLIENT_ERROR
    assert "Field required" in verdict.message


def test_a_long_message_is_cut():
    assert len(classify_json(500, "application/json", envelope(message="x" * 999)).message) == 200


def test_an_error_without_words_is_told_by_its_status():
    assert classify_json(502, "text/html", b"<h1>Bad Gateway</h1>").message == "HTTP 502"


def test_a_chat_that_answers_no_stream_is_an_error_or_not_sse():
    error = envelope(status="error", message="session belongs to another user")
    assert classify_unstreamed(200, "application/json", error).outcome is Outcome.API_ERROR
    assert classify_unstreamed(200, "application/json", envelope(status="ok")).outcome is Outcome.NOT_SSE
    assert (
        classify_unstreamed(200, "text/html; charset=utf-8", b"404").message
        == "text/html, not text/event-stream"
    )
    assert classify_unstreamed(200, "", b"").message == "no content type, not text/event-stream"
    assert classify_unstreamed(403, "application/json", b"{}").outcome is Outcome.FORBIDDEN


@pytest.mark.parametrize(
    ("content_type", "is_stream"),
    [
        ("text/event-stream", True),
        ("Text/Event-Stream; charset=utf-8", True),
        ("application/json", False),
        ("", False),
    ],
)
def test_a_stream_is_told_by_its_content_type(content_type, is_stream):
    assert is_event_stream(content_type) is is_stream


def test_every_outcome_has_a_layer():
    assert {outcome.layer for outcome in Outcome} == set(Layer)
    assert [outcome for outcome in Outcome if outcome.layer is Layer.NONE] == [Outcome.OK]
    assert Outcome.OK.is_ok
    assert not Outcome.CUTOFF.is_ok
