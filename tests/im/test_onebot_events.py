"""What people write, as AstrBot's adapter wants it; what it would not answer is refused before it is sent."""

import json

import pytest

from astrometer.im.onebot_events import (
    AtSegment,
    EventError,
    ImageSegment,
    QuoteSegment,
    TextSegment,
    frame,
    lifecycle_event,
    message_event,
)


def event(*said, **more):
    given = {"self_id": 10001, "user_id": 5001, "message_id": 7, "segments": said, **more}
    return json.loads(message_event(**given).encode())


def test_a_private_message_is_the_recorded_one():
    assert event(TextSegment(text="hi"), nickname="u", wall_s=1764432000.9) == {
        "time": 1764432000,
        "self_id": 10001,
        "post_type": "message",
        "message_type": "private",
        "sub_type": "friend",
        "message_id": 7,
        "user_id": 5001,
        "message": [{"type": "text", "data": {"text": "hi"}}],
        "raw_message": "hi",
        "font": 0,
        "sender": {"user_id": 5001, "nickname": "u", "card": ""},
    }


def test_a_group_message_has_its_group_and_any_segments():
    body = event(
        QuoteSegment(message_id=3),
        AtSegment(user_id=10001),
        TextSegment(text=" what is this? "),
        ImageSegment(data=b"\x89PNG"),
        group_id=7001,
    )
    assert (body["message_type"], body["sub_type"], body["group_id"]) == ("group", "normal", 7001)
    assert body["sender"]["user_id"] == 5001
    assert body["message"] == [
        {"type": "reply", "data": {"id": "3"}},
        {"type": "at", "data": {"qq": "10001"}},
        {"type": "text", "data": {"text": " what is this? "}},
        {"type": "image", "data": {"file": "base64://iVBORw=="}},
    ]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"segments": ()}, "no text and no image"),
        ({"segments": (TextSegment(text=" \n"),)}, "no text and no image"),
        ({"segments": (AtSegment(user_id=10001),)}, "no text and no image"),
        ({"user_id": "alice"}, "user_id: 'alice' is not a whole number"),
        ({"user_id": 0}, "user_id: 0"),
        ({"user_id": True}, "user_id: True"),
        ({"group_id": -1}, "group_id: -1"),
        ({"message_id": 2**63}, "message_id"),
        ({"segments": (TextSegment(text="x"), AtSegment(user_id=0))}, "at: 0"),
    ],
)
def test_what_astrbot_would_not_answer_is_refused(change, complaint):
    with pytest.raises(EventError, match=complaint):
        event(TextSegment(text="hi"), **change)


def test_at_all_and_half_pairs_can_be_sent():
    body = event(AtSegment(user_id="all"), TextSegment(text="\ud83d"))
    assert body["message"][0] == {"type": "at", "data": {"qq": "all"}}
    assert body["raw_message"] == "\ufffd"


def test_any_text_and_name_come_out_as_they_were():
    said, name = 'a "quoted" \\ line\n\t\u0000 你好 🤔', '"} \\'
    body = event(TextSegment(text=said), TextSegment(text="!"), nickname=name)
    assert body["message"][0]["data"]["text"] == said
    assert body["raw_message"] == f"{said}!"
    assert body["sender"]["nickname"] == name


def test_the_first_frame_says_who_is_there():
    assert json.loads(frame(lifecycle_event(10001, 5.5))) == {
        "time": 5,
        "self_id": 10001,
        "post_type": "meta_event",
        "meta_event_type": "lifecycle",
        "sub_type": "connect",
    }
