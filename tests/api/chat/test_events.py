"""Every event of AstrBot 4.18 to 4.29, as recorded on real servers."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astrometer.api.chat.events import KNOWN_TYPES, EventKind, EventParser, parse_data, parse_event
from astrometer.api.chat.sse import Comment, ServerEvent


def event(**payload):
    return parse_event(ServerEvent(json.dumps(payload)))


@pytest.mark.parametrize(
    ("payload", "kind"),
    [
        ({"type": "session_id", "data": None, "session_id": "s"}, EventKind.SESSION),
        ({"type": "user_message_saved", "data": {"id": 3}}, EventKind.SAVED),
        ({"type": "run_started", "data": {"run_id": "r"}, "streaming": False}, EventKind.RUN_STARTED),
        ({"type": "plain", "data": "w0 ", "streaming": True, "chain_type": None}, EventKind.TEXT),
        ({"type": "plain", "data": "w0 ", "streaming": True}, EventKind.TEXT),
        ({"type": "plain", "data": "hm", "streaming": True, "chain_type": "reasoning"}, EventKind.REASONING),
        ({"type": "plain", "data": "{}", "streaming": True, "chain_type": "tool_call"}, EventKind.TOOL),
        (
            {"type": "plain", "data": "{}", "streaming": True, "chain_type": "tool_call_result"},
            EventKind.TOOL,
        ),
        ({"type": "plain", "data": "help text", "streaming": False, "chain_type": None}, EventKind.NOTICE),
        ({"type": "plain", "data": "?", "streaming": True, "chain_type": ["x"]}, EventKind.TEXT),
        ({"type": "image", "data": "[IMAGE]a.png"}, EventKind.MEDIA),
        ({"type": "complete", "data": "w0 w1", "streaming": True}, EventKind.COMPLETE),
        ({"type": "message_saved", "data": {"id": 4}}, EventKind.SAVED),
        ({"type": "follow_up_captured", "data": {}}, EventKind.FOLLOW_UP),
        ({"type": "error", "data": "WebChat run failed"}, EventKind.ERROR),
        ({"type": "end", "data": "", "streaming": False}, EventKind.END),
        ({"type": "brand_new", "data": ""}, EventKind.OTHER),
    ],
)
def test_each_event_means_one_thing_and_has_a_bounded_name(payload, kind):
    parsed = event(**payload)
    assert parsed.kind is kind
    assert parsed.type in KNOWN_TYPES | {"other"}


@pytest.mark.parametrize("data", ["{", "[]", "null", '{"data": 1}', '{"type": 5}', "[" * 100_000])
def test_what_is_no_event_object_is_malformed(data):
    assert parse_event(ServerEvent(data)).kind is EventKind.MALFORMED


def test_a_comment_is_a_heartbeat():
    assert parse_event(Comment("heartbeat")).kind is EventKind.HEARTBEAT


def test_ids_are_read_where_they_stand():
    assert event(type="session_id", data=None, session_id="s").session_id == "s"
    assert event(type="run_started", data={"run_id": "r"}).run_id == "r"
    assert event(type="run_started", data="odd").run_id is None


def stats(**data):
    return event(type="agent_stats", data=data).stats


def test_stats_count_cached_input_too():
    parsed = stats(
        token_usage={"input_other": 1600, "input_cached": 58, "output": 3}, time_to_first_token=0.0586
    )
    assert (parsed.input_tokens, parsed.output_tokens, parsed.server_ttft_s) == (1658, 3, 0.0586)
    assert not parsed.asked_nothing


def test_a_server_ttft_of_zero_is_missing_and_not_zero():
    parsed = stats(token_usage={"input_other": 0, "input_cached": 0, "output": 0}, time_to_first_token=0.0)
    assert parsed.server_ttft_s is None
    assert parsed.asked_nothing


@pytest.mark.parametrize(
    "usage", [None, [], {"output": "many"}, {"output": True}, {"output": -5}, {"output": 1e300}]
)
def test_odd_counts_are_counted_as_none(usage):
    assert stats(token_usage=usage, time_to_first_token="soon").output_tokens == 0


def test_stats_that_are_no_object_are_no_stats():
    assert event(type="agent_stats", data=5).stats is None


@pytest.mark.parametrize(
    "item",
    [
        ServerEvent(""),
        ServerEvent(" "),
        ServerEvent("[DONE]"),
        ServerEvent("12:01:07", "ping"),
        ServerEvent('{"t": 1}', "ping"),
    ],
)
def test_what_others_send_to_keep_a_stream_open_is_a_heartbeat(item):
    assert parse_event(item).kind is EventKind.HEARTBEAT


def test_half_a_surrogate_pair_is_replaced_wherever_it_stands():
    parsed = parse_event(ServerEvent(r'{"type": "plain", "data": "a\ud800b", "streaming": true}'))
    assert parsed.text == "a\ufffdb"
    parsed = parse_event(ServerEvent(r'{"type": "session_id", "session_id": "\udc00"}'))
    assert parsed.session_id == "\ufffd"


# Text events, and what comes near to one.
BEGINS = ['{"type": "plain", "data": "', '{"type":"plain","data":"', '{"type": "end", "data": "']
INSIDES = ["\\u0061", "\\ud800", '", "data": "b', '", "streaming": false, "x": "', ", "]
ENDS = [
    '", "streaming": true}',
    '", "streaming": true} ',
    '", "streaming": false}',
    '", "streaming": true, "chain_type": "reasoning"}',
    '", "streaming": true, "data": "b"}',
    '", "streaming": true, "d\\u0061ta": "b"}',
    ', "streaming": true}',
    '"',
]
INSIDE = st.one_of(st.text('ab "\\\n\x07\u3000\u00e9{', max_size=4), st.sampled_from(INSIDES))
EVENT = st.tuples(st.sampled_from(BEGINS), INSIDE, st.sampled_from(ENDS)).map("".join)


@given(st.lists(EVENT, max_size=8))
def test_an_event_means_the_same_whatever_came_before_it(stream):
    parser = EventParser()
    assert list(map(parser.parse, stream)) == list(map(parse_data, stream))
