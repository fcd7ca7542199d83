"""What a message costs in the session and its link alone: no Locust, no socket, no clock.

    python bench/messenger_session.py [--rounds 25]

1,000 people ask and are answered half a second later. The other end is wsproto, with frames made before.
A *message* is a question or an answer and its acknowledgement. Told is the best round: other programs
on the machine only make it slower. Compare two states of the code with PYTHONPATH, one after the other.
"""

import gc
import json
from time import process_time

from programs import bench_parser
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, TextMessage

from astrometer.im.im_exchange import ImDeadlines, ImQuestion
from astrometer.im.link.link_address import LinkAddress
from astrometer.im.messenger_session import MessengerSession
from astrometer.im.onebot_events import TextSegment

PEOPLE, QUESTIONS = 1000, 4000
FIRST_ID, FIRST_PERSON, PACE_S = 1000, 5000, 0.001


def cpu_us() -> float:
    """Of a message, in one round."""
    address = LinkAddress.parse("ws://127.0.0.1:1/ws", self_id=10001, token="t")
    limits = ImDeadlines(reply_s=60.0, quiet_s=0.0)
    session = MessengerSession(address, first_message_id=FIRST_ID, deadlines=limits)
    server = WSConnection(ConnectionType.SERVER)
    session.connect(0.0)
    server.receive_data(session.outgoing())
    list(server.events())
    session.feed(0.0, server.send(AcceptConnection()))
    session.outgoing()
    answers = [_answer(server, number) for number in range(QUESTIONS)]
    gc.collect()
    gc.disable()
    began, t, answered = process_time(), 0.0, 0
    for number in range(QUESTIONS + PEOPLE // 2):
        t += PACE_S
        if number < QUESTIONS:
            session.ask(t, _question(number))
            session.outgoing()
        if number >= PEOPLE // 2:
            session.feed(t, answers[number - PEOPLE // 2], t)
            session.outgoing()
            answered += len(session.finished())
            session.deadline()
    took_s = process_time() - began
    gc.enable()
    assert answered == QUESTIONS
    return took_s / (2 * QUESTIONS) * 1e6


def _question(number: int) -> ImQuestion:
    user_id = FIRST_PERSON + number % PEOPLE
    segments = [TextSegment(text="how are you today?")]
    return ImQuestion(user_id=user_id, segments=segments, nickname=f"user {user_id}")


def _answer(server: WSConnection, number: int) -> bytes:
    quote = {"type": "reply", "data": {"id": str(FIRST_ID + number)}}
    message = [quote, {"type": "text", "data": {"text": "fine, thank you"}}]
    params = {"user_id": FIRST_PERSON + number % PEOPLE, "message": message, "self_id": 10001}
    body = {"action": "send_private_msg", "params": params, "echo": {"seq": number}}
    return bytes(server.send(TextMessage(data=json.dumps(body))))


if __name__ == "__main__":
    parser = bench_parser(__doc__)
    parser.add_argument("--rounds", type=int, default=25)
    rounds = range(parser.parse_args().rounds)
    print(f"{min(cpu_us() for _ in rounds):.1f} us CPU a message")
