"""Who asks in a messenger waits for what became of it, whatever else the process does meanwhile."""

from collections import deque

import gevent

from astrometer.api.outcome import Outcome
from astrometer.im.im_exchange import ImExchange, ImQuestion
from astrometer.load.messenger.messenger_client import MessengerClient


class Session:
    """What a client wants of a session, without a link."""

    def __init__(self):
        self.over = deque()

    def ask(self, t, question, t_intended=None):
        return ImExchange(question, message_id=7, t=t, t_intended=t_intended)

    def outgoing(self):
        return b""

    def finished(self):
        found = list(self.over)
        self.over.clear()
        return found


def test_an_answer_that_is_read_while_its_question_is_still_being_written_is_not_missed():
    session = Session()
    client = MessengerClient(session)
    exchange = client.begin(ImQuestion.of_text(5001, "hi"))
    client._sending.acquire()  # somebody else's frame goes out
    asker = gevent.spawn(client.wait_for, exchange)
    gevent.sleep(0)
    exchange.abort(exchange.t_send + 1, Outcome.LOST_LINK)
    session.over.append(exchange.result())
    client._tell()
    client._sending.release()
    asker.get(timeout=5)
