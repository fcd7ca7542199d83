"""One WebSocket as its client, on bytes: where it connects to, what is no WebSocket, and how it ends."""

import pytest
from onebot_peer import ADDRESS, Peer

from astrometer.api.outcome import Outcome
from astrometer.im.link.link_address import LinkAddress, LinkAddressError
from astrometer.im.link.onebot_link import LinkState, OneBotLink

SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\n"


def opened(**options):
    link, peer = OneBotLink(ADDRESS, **options), Peer()
    link.open()
    peer.hear(link.take())
    link.feed(1.0, peer.accept())
    assert link.state is LinkState.OPEN
    return link, peer


@pytest.mark.parametrize(
    ("url", "host", "port", "target", "netloc"),
    [
        ("ws://h:6199/ws", "h", 6199, "/ws", "h:6199"),
        ("ws://h:6199", "h", 6199, "/ws", "h:6199"),  # "/" is answered with 405
        ("ws://h:6199/", "h", 6199, "/ws", "h:6199"),
        ("wss://bot.example/onebot/ws?x=1", "bot.example", 443, "/onebot/ws?x=1", "bot.example"),
        ("ws://[::1]:6199/ws", "::1", 6199, "/ws", "[::1]:6199"),
        (" ws://h/ws ", "h", 80, "/ws", "h"),
    ],
)
def test_addresses(url, host, port, target, netloc):
    address = LinkAddress.parse(url, self_id=5)
    assert (address.host, address.port, address.target, address.netloc) == (host, port, target, netloc)


@pytest.mark.parametrize(
    ("url", "more", "complaint"),
    [
        ("http://h/ws", {}, "ws://HOST:PORT/ws"),
        ("h:6199", {}, "ws://HOST:PORT/ws"),
        ("ws://h:port/ws", {}, "cannot be read"),
        ("ws://[::1/ws", {}, "cannot be read"),
        ("ws://u:secret@h/ws", {}, "ASTRBOT_MESSENGER_TOKEN"),
        ("ws://h/ws?access_token=secret", {}, "ASTRBOT_MESSENGER_TOKEN"),
        ("ws://h/w s", {}, "%-encoded"),
        ("ws://h/ws", {"self_id": 0}, "whole number"),
        ("ws://h/ws", {"token": "a secret\r\nX: y"}, "not ASCII"),
        ("ws://h/ws", {"token": "geheim-ü"}, "not ASCII"),
        ("ws://" + "ü" * 80 + "/ws", {}, "not a host name"),
    ],
)
def test_addresses_that_cannot_work_are_refused_and_show_no_secret(url, more, complaint):
    with pytest.raises(LinkAddressError, match=complaint) as refused:
        LinkAddress.parse(url, **{"self_id": 5, **more})
    assert "secret" not in str(refused.value)


def test_a_token_is_in_no_repr():
    assert "T-secret" not in repr(ADDRESS)


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        SWITCHING + b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: no\r\n\r\n",
        SWITCHING + b"Upgrade: websocket\r\nConnection: \xff\xfe\r\n\r\n",
        SWITCHING + b"\r\n",
        b"\x00" * 100_000,
    ],
)
def test_what_is_no_websocket_is_malformed(answer):
    link = OneBotLink(ADDRESS)
    link.open()
    link.take()
    link.feed(1.0, answer)
    assert link.end.outcome is Outcome.MALFORMED
    assert not link.end.opened


def test_no_answer_to_the_handshake_is_a_reset():
    link = OneBotLink(ADDRESS)
    link.open()
    link.eof(1.0)
    assert link.end.outcome is Outcome.RESET


def test_a_broken_frame_ends_the_link_with_its_code():
    link, peer = opened()
    link.feed(2.0, b"\x8f\xff\xff")  # an unknown opcode
    assert link.end.outcome is Outcome.MALFORMED
    assert link.end.code == 1002
    peer.hear(link.take())
    assert peer.closed == 1002


def test_text_that_is_no_utf8_ends_the_link():
    link, _ = opened()
    link.feed(2.0, b"\x81\x02\xff\xfe")
    assert (link.end.outcome, link.end.code) == (Outcome.MALFORMED, 1007)


@pytest.mark.parametrize(
    ("code", "reason"), [(1000, "Adapter shutdown"), (1001, ""), (1011, "x\x1b[2J"), (4000, "own")]
)
def test_a_close_frame_is_answered_and_told(code, reason):
    link, peer = opened()
    link.feed(2.0, peer.close(code, reason))
    peer.hear(link.take())
    assert (link.end.outcome, link.end.code, peer.closed) == (Outcome.LOST_LINK, code, code)
    assert str(code) in link.end.detail
    assert link.end.detail.isprintable()
    assert not link.send("x")


def test_frames_that_came_with_the_handshake_are_read():
    link, peer = OneBotLink(ADDRESS), Peer()
    link.open()
    peer.hear(link.take())
    (frame,) = link.feed(1.0, peer.accept() + peer.raw("hello"), since=0.9)
    assert (frame.text, frame.t, frame.since) == ("hello", 1.0, 1.0)


def test_leaving_waits_for_the_close_of_the_other_side():
    link, peer = opened()
    link.close(2.0)
    assert link.state is LinkState.CLOSING
    (late,) = link.feed(2.1, peer.raw("a last word"))
    peer.hear(link.take())
    assert peer.closed == 1000
    assert late.text == "a last word"
    link.feed(2.2, peer.close(1000, ""))
    assert link.end.asked_for
    assert link.end.outcome is Outcome.CLIENT_CANCEL


def test_a_link_opens_once():
    link, _ = opened()
    with pytest.raises(RuntimeError, match="opens once"):
        link.open()


def test_an_oversized_message_is_cut_in_its_middle_and_the_next_one_is_whole():
    link, peer = opened(most_chars=1000)
    text = "H" * 30 + "x" * 5000 + "T" * 30
    frames = link.feed(2.0, peer.raw(text) + peer.raw("next"))
    assert [frame.oversized for frame in frames] == [True, False]
    assert frames[0].text.startswith("H" * 30)
    assert frames[0].tail.endswith("T" * 30)
    assert len(frames[0].text) + len(frames[0].tail) < 3000
    assert frames[1].text == "next"


def test_of_the_messages_of_a_read_the_last_one_came_with_its_stamp():
    link, peer = opened()
    both = peer.raw("one") + peer.raw("two")
    assert [frame.since for frame in link.feed(2.0, both, since=1.5)] == [1.5, 2.0]
    assert [frame.since for frame in link.feed(3.0, both, since=2.5, is_whole=False)] == [2.5, 2.5]
    half = peer.raw("three")
    assert [frame.since for frame in link.feed(4.0, both + half[:1], since=3.5)] == [3.5, 3.5]
    assert [frame.since for frame in link.feed(5.0, half[1:], since=4.5)] == [5.0]


def test_since_when_is_asked_only_of_a_message_that_is_not_the_last_of_its_read():
    link, peer = opened()
    asked = []

    def since():
        asked.append(True)
        return 1.5

    (frame,) = link.feed(2.0, peer.raw("one"), since)
    assert (frame.since, asked) == (2.0, [])
    frames = link.feed(2.0, peer.raw("one") + peer.raw("two") + peer.raw("three"), since)
    assert [frame.since for frame in frames] == [1.5, 1.5, 2.0]
    assert len(asked) == 1
