"""A WebSocket's client on bytes: messages however they are cut, what is sent back, what is no WebSocket."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Ping,
    Pong,
    Request,
    TextMessage,
)

from astrometer.wire.websocket_client import (
    WebSocketClient,
    WsBroken,
    WsClosed,
    WsMessage,
    WsOpened,
    WsRefused,
    WsRefusedBody,
)


class Server:
    """The other end."""

    def __init__(self):
        self.frames = WSConnection(ConnectionType.SERVER)
        self.heard = []

    def hear(self, data):
        if data:
            self.frames.receive_data(data)
        self.heard += self.frames.events()
        return self

    def text(self, data, *, ends=True):
        return self.frames.send(TextMessage(data=data, message_finished=ends))


def connected(**options):
    client, server = WebSocketClient(**options), Server()
    client.open("h:1", "/ws", [(b"X-Role", b"test")])
    server.hear(client.take())
    assert client.feed(server.frames.send(AcceptConnection())) == [WsOpened()]
    assert client.is_open
    return client, server


def test_the_handshake_shows_who_asks_for_what():
    _, server = connected()
    (request,) = server.heard
    assert isinstance(request, Request)
    assert (request.host, request.target) == ("h:1", "/ws")
    assert (b"x-role", b"test") in request.extra_headers


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536])
def test_what_is_said_is_heard_whatever_its_length(size):
    client, server = connected()
    client.say("x" * size)
    client.say("ü")
    server.hear(client.take())
    assert "".join(event.data for event in server.heard[1:]) == "x" * size + "ü"
    assert sum(event.message_finished for event in server.heard[1:]) == 2


@given(cuts=st.lists(st.integers(0, 600), max_size=12))
def test_any_pieces_give_the_same_messages_and_only_the_end_of_a_frame_is_an_end(cuts):
    client, server = WebSocketClient(), Server()
    client.open("h", "/", [])
    server.hear(client.take())
    stream = server.frames.send(AcceptConnection())
    ends = set()
    for text in ("", "one", "x" * 126, "ü" * 100):
        stream += server.text(text)
        ends.add(len(stream))
    stream += server.text("half, ", ends=False) + server.frames.send(Ping()) + server.text("and half")
    ends.add(len(stream))
    places = sorted({min(cut, len(stream)) for cut in cuts} | {0, len(stream)})
    messages = []
    for begin, end in itertools.pairwise(places):
        events = [event for event in client.feed(stream[begin:end]) if isinstance(event, WsMessage)]
        messages += events
        assert [event.is_last for event in events] == [False] * (len(events) - 1) + [end in ends] * bool(
            events
        )
    assert [message.text for message in messages] == ["", "one", "x" * 126, "ü" * 100, "half, and half"]
    server.hear(client.take())
    assert sum(isinstance(event, Pong) for event in server.heard) == 1


def test_a_message_is_not_the_last_that_came_where_something_else_came_after_it():
    client, server = connected()
    (message,) = client.feed(server.text("one"))
    assert message.is_last
    (message,) = client.feed(server.text("one"), is_whole=False)
    assert not message.is_last
    (message,) = client.feed(server.text("one") + server.frames.send(Ping()))
    assert not message.is_last
    (message,) = client.feed(server.text("one") + server.text("two")[:1])
    assert not message.is_last


def test_a_close_is_answered_once_and_one_s_own_is_not():
    client, server = connected()
    close = CloseConnection(code=1001, reason="bye")
    assert client.feed(server.text("last") + server.frames.send(close)) == [
        WsMessage("last", is_last=False),
        WsClosed(1001, "bye"),
    ]
    server.hear(client.take())
    assert server.heard[-1].code == 1001
    assert not client.is_open
    client, server = connected()
    client.close()
    server.hear(client.take())
    assert client.feed(server.frames.send(server.heard[-1].response())) == [WsClosed(1000, "")]
    assert client.take() == b""


@pytest.mark.parametrize("framing", [b"Content-Length: 3", b"Connection: close"])
def test_a_refusal_has_its_body_also_where_the_end_of_the_connection_ends_it(framing):
    client = WebSocketClient()
    client.open("h", "/", [])
    client.take()
    refused, *body = client.feed(b"HTTP/1.1 502 Bad\r\nContent-Type: a/b\r\n" + framing + b"\r\n\r\nwhy")
    body += client.eof()
    assert refused == WsRefused(502, "a/b", has_body=True)
    assert all(isinstance(piece, WsRefusedBody) for piece in body)
    assert b"".join(piece.data for piece in body) == b"why"
    assert [piece.is_last for piece in body] == [False] * (len(body) - 1) + [True]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\x8f\xff\xff", 1002),
        (b"\x81\x02\xff\xfe", 1007),
        (b"\xc1\x00", 1002),
        (b"\x81\x7e\x00\x02no", 1002),  # a long form of a short length
        (b"\x81\x82maskno", 1002),
    ],
)
def test_a_good_message_before_what_is_no_frame_is_heard(data, code):
    client, server = connected()
    message, broken = client.feed(server.text("good") + data)
    assert message.text == "good"
    assert isinstance(broken, WsBroken)
    assert broken.code == code
    assert not client.is_open
    server.hear(client.take())
    assert server.heard[-1].code == code


@pytest.mark.parametrize(
    "head", [b"SSH-2.0\r\n\r\n", b"HTTP/1.1 101 X\r\nConnection: \xff\xfe\r\n\r\n", bytes(99_999)]
)
def test_what_is_no_websocket_is_broken(head):
    client = WebSocketClient()
    client.open("h", "/", [])
    client.take()
    assert isinstance(client.feed(head)[-1], WsBroken)
    assert not client.is_open


def test_bytes_are_text_that_may_not_be_utf_8():
    client, server = connected()
    (message,) = client.feed(server.frames.send(BytesMessage(data=b"a\xffb")))
    assert message.text == "a\ufffdb"


def test_of_a_message_that_is_too_long_both_ends_are_kept_and_the_next_one_is_whole():
    client, server = connected(most_chars=1000)
    head, tail = "H" * 30 + "x" * 5000, "y" * 5000 + "T" * 30
    assert client.feed(server.text(head, ends=False)) == []
    assert client.is_too_long
    message, after = client.feed(server.text(tail) + server.text("next"))
    assert message.oversized
    assert message.text.startswith("H" * 30)
    assert message.tail.endswith("T" * 30)
    assert len(message.text) + len(message.tail) < 3000
    assert (after.text, after.oversized, client.is_too_long) == ("next", False, False)


def test_a_message_that_never_ends_fills_no_memory():
    client, _ = connected(most_chars=1000)
    client.feed(b"\x01\x7f" + (2**40).to_bytes(8, "big"))
    for _ in range(200):
        client.feed(b"x" * 65536)
    pieces = client._message
    assert sum(map(len, pieces._pieces)) + len(pieces._head) + len(pieces._tail) < 10_000
    assert client.is_open
