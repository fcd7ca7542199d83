"""Bodies that AstrBot takes, and the rules that it would refuse others by."""

import pytest

from astrometer.api.chat.messages import Attachment, MessageError, Plain, Reply, chat_body, im_body


def test_a_text_chat_needs_only_a_username_and_a_text():
    assert chat_body(username="u", message="hi") == {
        "username": "u",
        "message": "hi",
        "enable_streaming": True,
    }


def test_segments_are_encoded_as_the_document_says():
    message = [
        Plain(text="look"),
        Reply(message_id=7, selected_text="that"),
        Attachment(kind="image", attachment_id="a1"),
    ]
    assert chat_body(username="u", message=message, session_id="s", streaming=False) == {
        "username": "u",
        "session_id": "s",
        "enable_streaming": False,
        "message": [
            {"type": "plain", "text": "look"},
            {"type": "reply", "message_id": 7, "selected_text": "that"},
            {"type": "image", "attachment_id": "a1"},
        ],
    }


def test_provider_and_config_are_left_out_unless_given():
    body = chat_body(
        username="u", message="m", config_id="c", config_name="n", selected_provider="p", selected_model="x"
    )
    assert {
        name: body[name] for name in ("config_id", "config_name", "selected_provider", "selected_model")
    } == {
        "config_id": "c",
        "config_name": "n",
        "selected_provider": "p",
        "selected_model": "x",
    }


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("", "empty text"),
        ("  \n", "empty text"),
        ([], "no segments"),
        ([Reply(message_id="1")], "only a reply"),
        ([Plain(text=" "), Reply(message_id="1")], "only a reply"),
        ([Attachment(kind="image", attachment_id="")], r"message\[0\]: image without attachment_id"),
        ([Attachment(kind="hologram", attachment_id="1")], "unknown attachment kind 'hologram'"),
        ([Plain(text="a"), "b"], r"message\[1\]: str is not a segment"),
    ],
)
def test_a_message_that_astrbot_would_refuse_is_refused_here(message, reason):
    with pytest.raises(MessageError, match=reason):
        chat_body(username="u", message=message)


def test_a_chat_without_username_is_refused():
    with pytest.raises(MessageError, match="username"):
        chat_body(username="", message="hi")


def test_im_takes_attachments_and_no_reply():
    message = [Attachment(kind="file", attachment_id="f")]
    assert im_body(umo="webchat:FriendMessage:x", message=message) == {
        "umo": "webchat:FriendMessage:x",
        "message": [{"type": "file", "attachment_id": "f"}],
    }
    with pytest.raises(MessageError, match=r"message\[1\]: reply is for /chat"):
        im_body(umo="webchat:FriendMessage:x", message=[Plain(text="a"), Reply(message_id="1")])


@pytest.mark.parametrize("umo", ["", "webchat", "webchat:FriendMessage", "webchat::x", ":FriendMessage:x"])
def test_an_umo_has_three_parts(umo):
    with pytest.raises(MessageError, match="platform:MessageType:session"):
        im_body(umo=umo, message="hi")


def test_a_session_part_may_hold_colons():
    assert im_body(umo="webchat:FriendMessage:a:b", message="hi")["umo"] == "webchat:FriendMessage:a:b"
