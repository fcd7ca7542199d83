"""Which profile is in force, whose conversations are ours, which ports are taken."""

import pytest

from astrometer.probing.messenger_setup.adapter_state import FoundAdapter, profile_in_force
from astrometer.probing.messenger_setup.conversations import Conversation, since_of


@pytest.mark.parametrize(
    ("routes", "found"),
    [
        ({}, ("default", None)),
        ({"probe::": "p"}, ("p", "probe::")),
        ({"::": "all", "probe::": "p"}, ("all", "::")),  # the first that fits
        ({"probe::": "p", "::": "all"}, ("p", "probe::")),
        ({"other::": "o", "pro*:FriendMessage:": "w"}, ("w", "pro*:FriendMessage:")),
        ({"probe:GroupMessage:": "groups"}, ("default", None)),
        ({"not a route": "x"}, ("default", None)),
    ],
)
def test_astrbot_takes_the_first_route_that_fits(routes, found):
    assert profile_in_force(routes, "probe") == found


def test_every_port_that_an_adapter_names_is_taken_and_its_token_is_not_shown():
    found = FoundAdapter.read(
        {"id": "x", "type": "lark", "enable": True, "port": "6194", "ws_reverse_token": "T0PSECRET"}
    )
    assert found.ports == {6194}
    assert "T0PSECRET" not in repr(found)


def conversation(umo, began):
    return Conversation.read({"user_id": umo, "cid": "c", "created_at": began})


def test_conversations_are_ours_by_their_users_or_by_when_they_began():
    since = since_of("2026-11-30T01:00:00+00:00")
    ours = [
        conversation("probe:FriendMessage:9100000001", since - 10**6),
        conversation("probe:FriendMessage:77", since + 1),
    ]
    theirs = [
        conversation("probe:FriendMessage:77", since - 1),
        conversation("probe:FriendMessage:77", None),
        conversation("napcat:FriendMessage:9100000001", since + 1),
    ]
    assert all(one.is_ours("probe", since) for one in ours)
    assert not any(one.is_ours("probe", since) for one in theirs)
    assert [one.is_ours("probe", since_of("yesterday")) for one in ours] == [True, False]
