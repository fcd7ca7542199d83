"""A token is checked without becoming a client: all versions look at it before the account."""

import asyncio

from messenger_contract import people, push, refused

from astrometer.im.link.link_address import LinkAddress
from astrometer.probing.messenger_setup.adapter_link import TokenCheck, check_token, shake_hands
from astrometer.wire.tls import DEFAULT


def address(messenger, token):
    return LinkAddress.parse(messenger.url, self_id=1, token=token)


def checked(where):
    return asyncio.run(check_token(where, DEFAULT, 5.0))


def test_right_wrong_and_missing_are_told_apart_and_a_client_is_not_disturbed(messenger, client):
    client.private(next(people), "[[ttft=0 tokens=1]]")
    client.wait()
    assert checked(address(messenger, messenger.token))[0] is TokenCheck.RIGHT
    assert checked(address(messenger, "wrong"))[0] is TokenCheck.WRONG
    assert checked(address(messenger, ""))[0] is TokenCheck.MISSING
    assert push(messenger, 1) == (200, None)  # and its pushes arrive
    client.private(next(people), "[[ttft=0 tokens=1]]")
    assert len(client.wait(3)) == 3


def test_a_checked_token_leaves_no_client(messenger):
    assert checked(address(messenger, messenger.token))[0] is TokenCheck.RIGHT
    assert push(messenger, 1) == (refused(messenger), "Failed to send message: ")


def test_a_client_for_a_moment_leaves_the_adapter_free_for_the_next(messenger):
    for _ in range(2):
        assert asyncio.run(shake_hands(address(messenger, messenger.token), DEFAULT, 5.0)) is None
    end = asyncio.run(shake_hands(address(messenger, "wrong"), DEFAULT, 5.0))
    assert end is not None
    assert end.status == 403
