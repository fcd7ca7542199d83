"""A chat stream: its events, their order and their times."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

from contract_driver import Server, chat, new_name, streaming_chat

from astrometer.api import endpoints as ep
from astrometer.api.chat.events import EventKind
from astrometer.api.chat.messages import Plain, Reply, chat_body
from astrometer.api.outcome import Outcome

SHORT = "say [[ttft=0.05 gap=0.01 tokens=3]]"


def expected_types(server: Server, *, streaming: bool) -> list[str]:
    """`astrbot-api.md`, section 3: the order of events by version."""
    head = ["session_id"]
    if server.version >= (4, 23, 5):
        head.append("user_message_saved")
    if server.version >= (4, 26, 7):
        head.append("run_started")
    if streaming:
        return [*head, "plain", "agent_stats", "complete", "message_saved", "end"]
    if server.version >= (4, 26, 6):
        return [*head, "agent_stats", "plain", "message_saved", "end"]
    tail = ["message_saved"] if server.version >= (4, 23, 5) else []
    return [*head, "plain", "message_saved", "agent_stats", "end", *tail]


def test_a_streamed_answer_comes_in_the_order_of_its_version(astrbot: Server) -> None:
    seen = chat(astrbot, SHORT)
    assert seen.turn.outcome is Outcome.OK
    assert seen.types == expected_types(astrbot, streaming=True)
    assert [event.text for event in seen.all(EventKind.TEXT)] == ["w0 ", "w1 ", "w2 "]
    assert seen.first(EventKind.COMPLETE)[1].text == "w0 w1 w2 "
    assert seen.turn.output_tokens == 3
    assert seen.turn.input_tokens > 0


def test_an_answer_that_is_not_streamed_comes_whole_and_still_as_sse(astrbot: Server) -> None:
    seen = chat(astrbot, SHORT, streaming=False)
    assert seen.turn.outcome is Outcome.OK
    assert seen.types == expected_types(astrbot, streaming=False)
    assert [event.text for event in seen.all(EventKind.NOTICE)] == ["w0 w1 w2"]
    assert seen.turn.timings.ttft_s is None


def test_the_content_type_of_the_stream_tells_the_family(astrbot: Server) -> None:
    plain = "text/event-stream"
    assert chat(astrbot, SHORT).content_type == (f"{plain}; charset=utf-8" if astrbot.fastapi else plain)


def test_the_first_token_comes_no_sooner_than_the_model_is_told(astrbot: Server) -> None:
    seen = chat(astrbot, "[[ttft=0.5 gap=0.1 tokens=3]]")
    first, _ = seen.first(EventKind.TEXT)
    assert first - seen.sent >= 0.5
    assert first - seen.first(EventKind.SESSION)[0] > 0.3  # the session event is not the model
    assert seen.turn.timings.ttft_s is not None
    assert seen.turn.timings.ttft_s >= 0.5
    assert sum(seen.turn.timings.chunk_gaps_s) > 0.15
    assert 0.45 < (seen.turn.timings.server_ttft_s or 0) < 5


def test_events_are_at_least_50_ms_apart_before_4_26_6(astrbot: Server) -> None:
    seen = chat(astrbot, "[[ttft=0.05 gap=0 tokens=10]]")
    texts = [t for t, event in seen.events if event.kind is EventKind.TEXT]
    assert (texts[-1] - texts[0] > 9 * 0.045) == (astrbot.version < (4, 26, 6))


def test_the_nonce_of_a_prompt_comes_back(astrbot: Server) -> None:
    assert chat(astrbot, "am-0123456789ab [[ttft=0 tokens=2]]").turn.text.split() == ["am-0123456789ab", "w1"]


def test_segments_are_joined_and_a_reply_is_carried_along(astrbot: Server) -> None:
    message = [Plain(text="am-00000000 and "), Reply(message_id=1, selected_text="q"), Plain(text=SHORT)]
    assert chat(astrbot, message).turn.text == "am-00000000 w1 w2 "


def test_reasoning_is_shown_apart_from_4_28(astrbot: Server) -> None:
    seen = chat(astrbot, "[[ttft=0.05 gap=0.01 tokens=2 reasoning=2]]")
    shown = [event.text for event in seen.all(EventKind.REASONING)]
    assert shown == (["r0 ", "r1 "] if astrbot.version >= (4, 28, 0) else [])
    assert seen.turn.text == "w0 w1 "


def test_a_silent_second_brings_a_heartbeat_from_4_22_3(astrbot: Server) -> None:
    seen = chat(astrbot, "[[ttft=2.3 tokens=1]]")
    assert (seen.turn.heartbeats >= 1) == (astrbot.version >= (4, 22, 3))
    assert seen.turn.outcome is Outcome.OK


def test_two_chats_in_one_session_are_answered_one_after_the_other(astrbot: Server) -> None:
    session_id, username = new_name("session"), new_name("user")
    prompt = "[[ttft=0.6 gap=0.05 tokens=3]]"
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(chat, astrbot, prompt, username=username, session_id=session_id)
        time.sleep(0.25)
        second = pool.submit(chat, astrbot, prompt, username=username, session_id=session_id)
    early, late = sorted((first.result(), second.result()), key=lambda seen: seen.first(EventKind.TEXT)[0])
    last_of_early = [t for t, event in early.events if event.kind is EventKind.TEXT][-1]
    assert late.first(EventKind.TEXT)[0] >= last_of_early
    assert early.turn.text == late.turn.text == "w0 w1 w2 "


def test_chats_in_two_sessions_run_at_the_same_time(astrbot: Server) -> None:
    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(chat, astrbot, "[[ttft=0.3 gap=0.2 tokens=12]]") for _ in range(2)]
    early, late = sorted((one.result() for one in asked), key=lambda seen: seen.first(EventKind.TEXT)[0])
    assert [early.turn.outcome, late.turn.outcome] == [Outcome.OK, Outcome.OK]
    last_of_early = [t for t, event in early.events if event.kind is EventKind.TEXT][-1]
    assert late.first(EventKind.TEXT)[0] < last_of_early


def test_the_answer_is_made_although_the_client_has_left(astrbot: Server) -> None:
    session_id, username = new_name("session"), new_name("user")
    body = chat_body(username=username, message="[[ttft=0.1 gap=0.1 tokens=12]]", session_id=session_id)
    with streaming_chat(astrbot, body, "chat") as (response, _):
        for line in response.iter_lines():
            if '"plain"' in line:
                break
    left = time.perf_counter()
    after = chat(astrbot, "[[ttft=0 tokens=1]]", username=username, session_id=session_id)
    # The session is still busy with the answer that nobody reads.
    assert after.first(EventKind.TEXT)[0] - left > 0.6


def test_each_event_is_one_data_line_of_json(astrbot: Server) -> None:
    body = chat_body(username=new_name("user"), message=SHORT)
    answer = astrbot.call(ep.CHAT, json=body)
    blocks = [block for block in answer.text.split("\n\n") if block and not block.startswith(":")]
    assert all(block.startswith("data: {") for block in blocks)
    assert json.loads(blocks[0].removeprefix("data: "))["type"] == "session_id"
