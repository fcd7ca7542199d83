"""What AstrBot asks of a messenger, as recorded; everything else is refused by name, with an answer."""

import json
import re

import pytest

from astrometer.im.onebot_actions import (
    ChatPlace,
    LookUpAction,
    RefusedAction,
    RefusedFor,
    SendAction,
    answer,
    message_sent,
    oversized_action,
    parse_action,
    refusal,
)


def parsed(action, **params):
    return parse_action(json.dumps({"action": action, "params": params, "echo": {"seq": 1}}))


def text(words):
    return {"type": "text", "data": {"text": words}}


def test_a_private_answer_of_4_29():
    said = parse_action(
        '{"action": "send_private_msg", "params": {"user_id": 5001, "message": [{"type": "text", '
        '"data": {"text": "w0 w1"}}], "self_id": 10001}, "echo": {"seq": 1}}'
    )
    assert isinstance(said, SendAction)
    assert (said.place, said.content.text, said.echo) == (ChatPlace(user_id=5001), "w0 w1", {"seq": 1})


def test_a_group_answer_without_self_id_as_up_to_4_25():
    said = parsed("send_group_msg", group_id=7001, message=[text("w0")])
    assert said.place == ChatPlace(group_id=7001)


def test_a_quotation_a_mention_and_the_text_behind_them():
    said = parsed(
        "send_group_msg",
        group_id=7001,
        message=[
            {"type": "reply", "data": {"id": "41"}},
            {"type": "at", "data": {"qq": "5001"}},
            text(" "),
            text("\nw0"),
        ],
    )
    content = said.content
    assert (content.quoted_id, content.mentions, content.text) == ("41", ("5001",), " \nw0")


@pytest.mark.parametrize(
    ("action", "target", "place"),
    [
        ("send_private_forward_msg", {"user_id": "5001"}, ChatPlace(user_id=5001)),
        ("send_group_forward_msg", {"group_id": "7001"}, ChatPlace(group_id=7001)),
    ],
)
def test_a_merged_forward_has_the_text_of_its_nodes_and_ids_as_digits(action, target, place):
    node = {"user_id": "10001", "nickname": "AstrBot", "content": [text("long "), text("answer")]}
    said = parsed(action, messages=[{"type": "node", "data": node}], **target)
    assert said.place == place
    assert (said.content.text, said.content.forwarded) == ("long answer", True)


def test_nodes_inside_of_nodes_are_read_as_well():
    inner = {"type": "node", "data": {"content": [text("deep")]}}
    said = parsed(
        "send_private_forward_msg", user_id=1, messages=[{"type": "node", "data": {"content": [inner]}}]
    )
    assert said.content.text == "deep"


def test_an_answer_as_an_image_has_no_text():
    image = {"type": "image", "data": {"file": "base64://iVBORw=="}}
    content = parsed("send_private_msg", user_id=5001, message=[image]).content
    assert (content.text, content.images, content.has_content) == ("", 1, True)
    record = parsed("send_private_msg", user_id=5001, message=[{"type": "record", "data": {"file": "x"}}])
    assert (record.content.images, record.content.media) == (0, 1)


@pytest.mark.parametrize(
    ("params", "place"),
    [
        ({"user_id": 5, "message": "x"}, ChatPlace(user_id=5)),
        ({"message_type": "private", "user_id": 5, "group_id": 7, "message": "x"}, ChatPlace(user_id=5)),
        ({"message_type": "group", "user_id": 5, "group_id": 7, "message": "x"}, ChatPlace(group_id=7)),
        ({"group_id": 7, "user_id": 5, "message": "x"}, ChatPlace(group_id=7)),
    ],
)
def test_send_msg_says_where_by_its_type_or_its_ids(params, place):
    said = parsed("send_msg", **params)
    assert said.place == place
    assert said.content.text == "x"


def test_look_ups():
    member = parsed("get_group_member_info", group_id=7001, user_id=10001, no_cache=False, self_id=10001)
    stranger = parsed("get_stranger_info", user_id=10001)
    assert isinstance(member, LookUpAction)
    assert (member.group_id, member.user_id) == (7001, 10001)
    assert isinstance(stranger, LookUpAction)
    assert stranger.group_id is None


def sending(**params):
    return json.dumps({"action": "send_private_msg", "params": params, "echo": {"seq": 1}})


@pytest.mark.parametrize(
    ("frame", "reason", "detail"),
    [
        ("{", RefusedFor.NOT_JSON, "not JSON"),
        ("", RefusedFor.NOT_JSON, "not JSON"),
        ("[" * 100 + "]" * 100, RefusedFor.NOT_JSON, "not JSON"),
        ("[]", RefusedFor.NOT_AN_ACTION, "without an action"),
        ('{"post_type": "message"}', RefusedFor.NOT_AN_ACTION, "without an action"),
        ('{"action": 5, "echo": {"seq": 1}}', RefusedFor.NOT_AN_ACTION, "without an action"),
        ('{"action": "delete_msg", "params": {}, "echo": 1}', RefusedFor.UNKNOWN_ACTION, "delete_msg"),
        ('{"action": "send_private_msg", "echo": 1}', RefusedFor.BAD_PARAMS, "params: an object expected"),
        (sending(message="x"), RefusedFor.BAD_PARAMS, "user_id: a whole number"),
        (sending(user_id="alice", message="x"), RefusedFor.BAD_PARAMS, "user_id: a whole number"),
        (sending(user_id=2**70, message="x"), RefusedFor.BAD_PARAMS, "user_id: a whole number"),
        (sending(user_id=5), RefusedFor.BAD_PARAMS, "message: missing"),
        (sending(user_id=5, message=7), RefusedFor.BAD_PARAMS, "a list of segments"),
        (sending(user_id=5, message=[7]), RefusedFor.BAD_PARAMS, r"message\[0\]"),
        (sending(user_id=5, message=[{"type": "text", "data": {}}]), RefusedFor.BAD_PARAMS, "without a text"),
        (sending(user_id=5, message=[{"type": "text", "data": 1}]), RefusedFor.BAD_PARAMS, "data is not"),
        (sending(user_id=5, messages={}), RefusedFor.BAD_PARAMS, "a list of nodes"),
        (
            '{"action": "send_msg", "params": {"message_type": "guild", "message": "x"}}',
            RefusedFor.BAD_PARAMS,
            "neither private nor group",
        ),
    ],
)
def test_what_is_unknown_or_malformed_is_refused_by_name(frame, reason, detail):
    refused = parse_action(frame)
    assert isinstance(refused, RefusedAction)
    assert refused.reason is reason
    assert re.search(detail, refused.detail)
    if '"echo"' in frame:
        said = refusal(refused)
        assert (said["status"], said["echo"]) == ("failed", json.loads(frame)["echo"])
        assert said["retcode"] not in (0, 1)
    else:
        assert refusal(refused) is None


def test_an_answer_has_the_very_echo():
    assert answer({"seq": 9}, {"message_id": 1}) == {
        "status": "ok",
        "retcode": 0,
        "data": {"message_id": 1},
        "echo": {"seq": 9},
    }


def test_a_frame_too_long_to_be_kept_can_still_be_answered():
    whole = json.dumps(
        {
            "action": "send_private_msg",
            "params": {"user_id": 5001, "message": [{"type": "image", "data": {"file": "A" * 9000}}]},
            "echo": {"seq": 77},
        }
    )
    refused = oversized_action(whole[:200], whole[-200:], 1000)
    assert refused.place == ChatPlace(user_id=5001)
    assert refusal(refused) | {"message": "", "wording": ""} == {
        "status": "failed",
        "retcode": 1413,
        "data": None,
        "message": "",
        "wording": "",
        "echo": {"seq": 77},
    }
    forward = json.dumps(
        {"action": "x", "params": {"messages": "A" * 9000, "group_id": "7001"}, "echo": {"seq": 1}}
    )
    assert oversized_action(forward[:100], forward[-100:], 1).place == ChatPlace(group_id=7001)
    blind = oversized_action("A" * 100, "A" * 100, 1)
    assert (blind.place, refusal(blind)) == (None, None)


@pytest.mark.parametrize("echo", [{"seq": 7}, {"seq": '"}'}, "字", None])
def test_a_message_is_acknowledged_as_any_other_action_whatever_its_echo(echo):
    assert json.loads(message_sent(echo, -3)) == answer(echo, {"message_id": -3})
