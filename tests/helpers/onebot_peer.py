"""AstrBot's OneBot adapter in memory: the other end of a `MessengerSession`, byte by byte."""

import json

from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, CloseConnection, Ping, RejectConnection, Request, TextMessage

from astrometer.im.im_exchange import ImQuestion
from astrometer.im.link.link_address import LinkAddress
from astrometer.im.messenger_session import MessengerSession

ADDRESS = LinkAddress.parse("ws://127.0.0.1:6199/ws", self_id=10001, token="T-secret")


def text_segment(text):
    return {"type": "text", "data": {"text": text}}


class Peer:
    """Reads what the session sends, and makes the bytes of what AstrBot says."""

    def __init__(self):
        self.ws = WSConnection(ConnectionType.SERVER)
        self.request = None
        self.frames = []  # what came, as JSON
        self.closed = None
        self.pongs = 0
        self._begun = ""  # a message of which the rest is still to come
        self._seq = 0

    def hear(self, data):
        if data:
            self.ws.receive_data(data)
        for event in self.ws.events():
            if isinstance(event, Request):
                self.request = event
            elif isinstance(event, TextMessage):
                self._begun += event.data
                if event.message_finished:
                    self.frames.append(json.loads(self._begun))
                    self._begun = ""
            elif isinstance(event, CloseConnection):
                self.closed = event.code
            else:
                self.pongs += type(event).__name__ == "Pong"
        return self

    def accept(self):
        return self.ws.send(AcceptConnection())

    def reject(self, status):
        return self.ws.send(RejectConnection(status_code=status, headers=[(b"content-type", b"text/html")]))

    def raw(self, text):
        return self.ws.send(TextMessage(data=text))

    def action(self, name, /, **params):
        self._seq += 1
        return self.raw(json.dumps({"action": name, "params": params, "echo": {"seq": self._seq}}))

    def private(self, user_id, text, *before):
        message = [*before, text_segment(text)]
        return self.action("send_private_msg", user_id=user_id, message=message, self_id=10001)

    def group(self, group_id, text, *before):
        message = [*before, text_segment(text)]
        return self.action("send_group_msg", group_id=group_id, message=message, self_id=10001)

    def close(self, code=1000, reason="Adapter shutdown"):
        return self.ws.send(CloseConnection(code=code, reason=reason))

    def ping(self):
        return self.ws.send(Ping(payload=b"x"))

    @property
    def events(self):
        """The questions that came."""
        return [frame for frame in self.frames if frame.get("post_type") == "message"]

    @property
    def answers(self):
        """What was said to its actions."""
        return [frame for frame in self.frames if "echo" in frame]


class Room:
    """A session and its peer, linked; `now` is the time of everything until it is moved."""

    def __init__(self, **options):
        self.session = MessengerSession(ADDRESS, first_message_id=1, **options)
        self.now = 100.0
        self.link()

    def link(self):
        self.peer = Peer()
        self.session.connect(self.now)
        self.peer.hear(self.session.outgoing())
        self.feed(self.peer.accept())

    def ask(self, user_id, text="hi", **more):
        exchange = self.session.ask(self.now, ImQuestion.of_text(user_id, text, **more))
        self.peer.hear(self.session.outgoing())
        return exchange

    def feed(self, data, after=0.0, since=None):
        self.now += after
        self.session.feed(self.now, data, since)
        self.peer.hear(self.session.outgoing())
        return self

    def wait(self, seconds):
        """Let time pass, as a loop would: to each deadline in turn."""
        end = self.now + seconds
        while (due := self.session.deadline()) is not None and due <= end:
            self.now = max(self.now, due)
            self.session.expire(self.now)
        self.now = end
        return self

    def turns(self):
        return self.session.finished()

    def turn(self):
        (turn,) = self.session.finished()
        return turn
