"""One mutated input -> what must hold of it: no exception, one outcome of the list, no key shown.

Small in the tests, large in bench/fuzz.py.
"""

import base64
import json
import random
import struct
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path

from mutations import mutate, pieces
from onebot_peer import ADDRESS, Peer, Room
from scripted_wire import BEAT, CHUNKED, LAST_CHUNK, WHOLE, chunk

from astrometer.api.call_exchange import CallExchange
from astrometer.api.chat.chat_exchange import ChatExchange, Deadlines
from astrometer.api.outcome import Outcome
from astrometer.im.im_exchange import ImDeadlines
from astrometer.im.messenger_session import MessengerSession
from astrometer.load.transport.load_client import AnswerParser
from astrometer.masking import mask
from astrometer.measure.results import document
from astrometer.measure.tally.histogram import Histogram

KEY = "abk-very-secret-key-of-the-target"
BODY = b'{"status":"ok","message":null,"data":{"session_id":"s","sessions":[{"session_id":"a"}]}}'
ECHO = b'{"status":"error","message":"no such key: %s"}' % KEY.encode()
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
ANSWERS = (
    HEAD % len(BODY) + BODY,
    HEAD % len(ECHO) + ECHO,
    CHUNKED + chunk(WHOLE) + LAST_CHUNK,
    CHUNKED + chunk(BEAT) + chunk(WHOLE) + LAST_CHUNK,
)


def _shows_nothing(detail: str) -> None:
    assert KEY not in mask(detail, [KEY])
    assert len(detail) <= 200
    assert detail.isprintable() or not set(detail) & {chr(code) for code in (*range(32), *range(127, 160))}
    detail.encode()


def stream(rng: random.Random) -> Outcome:
    """A mutated event stream, in any chunking, is one turn with one outcome."""
    exchange = ChatExchange(streaming=rng.random() < 0.8, deadlines=Deadlines())
    exchange.sent(0.0)
    exchange.headers(0.1, rng.choice((200, 200, 200, 401, 500)), "text/event-stream")
    t = 0.1
    for piece in pieces(mutate(WHOLE * rng.randint(1, 3), rng), rng):
        t += 0.01
        exchange.feed(t, piece)
        if exchange.done:
            break
    exchange.eof(t)
    turn = exchange.result()
    assert turn.outcome in Outcome
    _shows_nothing(turn.detail)
    turn.text.encode()
    assert all(value >= 0 for values in turn.metrics().values() for value in values)
    return turn.outcome


def http(rng: random.Random) -> Outcome:
    """A mutated HTTP answer, in any chunking, then the end of the connection, through the load's parser."""
    answer = rng.choice(ANSWERS)
    exchange: ChatExchange | CallExchange = CallExchange(timeout_s=5)
    if b"event-stream" in answer:
        exchange = ChatExchange(streaming=True, deadlines=Deadlines())
    parser = AnswerParser("GET")
    exchange.sent(0.0)
    announced = False
    for piece in [*pieces(mutate(answer, rng), rng), b""]:
        problem = parser.problem_with(piece)
        if not announced and parser.head_is_complete:
            announced = True
            kind, to = (parser.field(name) for name in ("content-type", "location"))
            exchange.headers(0.1, parser.get_code(), kind, to)
        if announced and (body := parser.take()):
            exchange.feed(0.1, body)
        if problem is not None:
            exchange.lost(0.2, problem.outcome, problem.detail)
        if exchange.done:
            break
        if parser.message_complete and parser.is_complete:
            exchange.eof(0.2)
            break
        if not piece:
            exchange.lost(0.2, Outcome.RESET)
    result = exchange.result()
    assert result.outcome in Outcome
    _shows_nothing(result.detail)
    return result.outcome


SAID = (
    {"type": "reply", "data": {"id": "1"}},
    {"type": "at", "data": {"qq": "5001"}},
    {"type": "text", "data": {"text": "w0 am-00000001 LLM 响应错误: \ud800"}},
    {"type": "image", "data": {"file": "base64://iVBORw=="}},
    {"type": "node", "data": {"content": [{"type": "text", "data": {"text": "w1"}}]}},
)
ACTIONS = (
    ("send_private_msg", {"user_id": 5001, "message": list(SAID[:3]), "self_id": 10001}),
    ("send_group_msg", {"group_id": 7001, "message": [SAID[3]]}),
    ("send_msg", {"message_type": "group", "group_id": 7001, "user_id": 5001, "message": "x"}),
    ("send_private_forward_msg", {"user_id": "5001", "messages": [SAID[4]]}),
    ("get_group_member_info", {"group_id": 7001, "user_id": 10001}),
    ("get_stranger_info", {"user_id": 5001}),
    ("get_msg", {"message_id": 1}),
)


def messenger(rng: random.Random) -> str:
    """Mutated actions, or mutated bytes of the link: every question ends once."""
    room = Room(deadlines=ImDeadlines(reply_s=5.0, quiet_s=1.0), most_chars=rng.choice((50, 4000)))
    asked = 0
    for user_id in range(5001, 5004):
        more = {"canary": f"am-{user_id - 5000:08x}"} if rng.random() < 0.5 else {}
        room.ask(user_id, "hi", group_id=rng.choice((None, 7001)), **more)
        asked += 1
    data = b""
    for name, params in rng.choices(ACTIONS, k=rng.randint(1, 6)):
        text = json.dumps(
            {"action": name, "params": params, "echo": {"seq": 1}}, ensure_ascii=rng.random() < 0.5
        )
        if rng.random() < 0.5:
            data += room.peer.raw(mutate(text.encode("utf-8", "replace"), rng).decode("utf-8", "replace"))
        else:
            data += room.peer.raw(text.encode("utf-8", "replace").decode())
    if rng.random() < 0.4:
        data = mutate(data, rng)
    for piece in pieces(data, rng):
        room.session.feed(room.now, piece, room.now - 0.1)
        room.now += 0.01
    if room.session.end is None:
        room.peer.hear(room.session.outgoing())
        assert all(said["status"] in ("ok", "failed") for said in room.peer.answers)
    turns = room.wait(60).turns()
    assert len(turns) == asked
    assert room.session.outstanding == 0
    for turn in turns:
        assert turn.outcome in Outcome
        _shows_nothing(turn.detail)
        assert all(value >= 0 for values in turn.metrics().values() for value in values)
    return str(room.session.end.outcome if room.session.end else turns[0].outcome)


def handshake(rng: random.Random) -> str:
    """A mutated answer to the handshake opens the link, or ends it with one outcome."""
    session, peer = MessengerSession(ADDRESS, first_message_id=1), Peer()
    session.connect(0.0)
    peer.hear(session.outgoing())
    answer = peer.accept() if rng.random() < 0.6 else peer.reject(rng.choice((401, 403, 404, 500)))
    for piece in pieces(mutate(answer, rng), rng):
        session.feed(0.1, piece)
    session.expire(60.0)
    if session.end is None:
        assert session.is_open
        return "open"
    _shows_nothing(session.end.detail)
    return str(session.end.outcome)


def histogram(rng: random.Random) -> str:
    """A mutated histogram from a worker is read, or refused with a ValueError."""
    whole = Histogram()
    for _ in range(rng.randint(0, 50)):
        whole.record(rng.random() * 10)
    infinite, _, body = whole.encode().partition(":")
    if rng.random() < 0.3:
        encoded = mutate(f"{infinite}:{body}".encode(), rng).decode("latin-1")
    else:  # inside of the compressed part, or its checksum alone would be tested
        packed = base64.b64decode(body)
        inner = zlib.compress(mutate(zlib.decompress(packed[8:]), rng))
        packed = packed[:4] + struct.pack(">i", len(inner)) + inner
        encoded = f"{infinite}:{base64.b64encode(packed).decode()}"
    try:
        read = Histogram.decode(encoded)
    except ValueError:
        return "refused"
    assert read.n >= 0
    return "read"


def results(folder: Path, original: bytes) -> Callable[[random.Random], str]:
    """A mutated results.json is read, or refused with a ResultsError."""
    file = folder / document.FILE_NAME

    def one(rng: random.Random) -> str:
        file.write_bytes(mutate(original, rng))
        try:
            json.dumps(document.read(folder))
        except document.ResultsError as exc:
            str(exc).encode()
            return "refused"
        return "read"

    return one


def run(one: Callable[[random.Random], object], seeds: Iterable[int]) -> dict[str, int]:
    """How often each thing happened. A failure names its seed."""
    counted: dict[str, int] = {}
    for seed in seeds:
        try:
            name = str(one(random.Random(seed)))
        except Exception as exc:
            raise AssertionError(f"{getattr(one, '__name__', one)}, seed {seed}: {exc!r}") from exc
        counted[name] = counted.get(name, 0) + 1
    return counted
