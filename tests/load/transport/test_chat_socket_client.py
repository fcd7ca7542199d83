"""Chat over a WebSocket that stays open: each way to end has its outcome, and times are those of SSE."""

import json
import socket
import threading
import time
from contextlib import closing, contextmanager
from functools import partial
from select import select

import pytest
from waiting import until
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, CloseConnection, Ping, Pong, RejectConnection, TextMessage
from wsproto.events import Request as Upgrade

from astrometer.api.chat.chat_exchange import ChatExchange, Deadlines
from astrometer.api.chat.socket_turn import question
from astrometer.api.outcome import Outcome
from astrometer.config.secret import Secret
from astrometer.load.transport.chat_socket_client import ChatSocket

SESSION = {"type": "session_id", "data": None, "session_id": "s-1"}
TOKEN = {"type": "plain", "data": "word ", "streaming": True, "chain_type": None}
STATS = {
    "type": "agent_stats",
    "data": {"token_usage": {"input_other": 9, "output": 3}, "time_to_first_token": 0.01},
}
SAVED = {"type": "message_saved", "data": {"id": 7}}
END = {"type": "end", "data": "", "streaming": False}
WHOLE = [SESSION, 0.05, TOKEN, 0.05, TOKEN, STATS, END]


class Server:
    """Each question gets the next script: events, pauses in seconds, what wsproto sends, None to hang up.

    What stands in a tuple leaves in one write; an event is waited for. `greeting` leaves with the handshake's
    answer.
    """

    def __init__(self, *scripts, reject=None, greeting=()):
        self.scripts, self.reject, self.greeting = list(scripts), reject, greeting
        self.asked, self.heads, self.pongs, self.sent_at = [], [], 0, []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"

    def serve(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.talk, args=(sock,), daemon=True).start()

    def talk(self, sock):
        frames = WSConnection(ConnectionType.SERVER)
        with closing(sock):
            while data := sock.recv(65536):
                frames.receive_data(data)
                for event in frames.events():
                    if isinstance(event, Upgrade):
                        self.heads.append(dict(event.extra_headers))
                        answer = frames.send(self.reject or AcceptConnection())
                        sock.sendall(answer + b"".join(map(partial(sent, frames), self.greeting)))
                    elif isinstance(event, Pong):
                        self.pongs += 1
                    elif isinstance(event, TextMessage):
                        self.asked.append(json.loads(event.data))
                        for step in self.scripts.pop(0):
                            if isinstance(step, float):
                                time.sleep(step)
                            elif isinstance(step, threading.Event):
                                step.wait(5)
                            elif step is None:
                                return
                            else:
                                together = step if isinstance(step, tuple) else (step,)
                                self.sent_at.append(time.perf_counter())
                                sock.sendall(b"".join(map(partial(sent, frames), together)))


def sent(frames, step):
    if isinstance(step, bytes):
        return step
    return frames.send(TextMessage(data=json.dumps(step)) if isinstance(step, dict) else step)


@contextmanager
def serving(*scripts, **options):
    server = Server(*scripts, **options)
    thread = threading.Thread(target=server.serve, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.listener.shutdown(socket.SHUT_RDWR)
        server.listener.close()
        thread.join(5)


def ask(client, **deadlines):
    exchange = ChatExchange(streaming=True, deadlines=Deadlines(**{"total_s": 5.0, **deadlines}))
    client.ask(question({"username": "u", "message": "hi"}), exchange)
    return exchange.result()


@contextmanager
def client_of(server):
    with closing(ChatSocket(server.url, lambda _scope: Secret("abk-very-secret"))) as client:
        yield client


def test_a_whole_turn_is_ok_and_its_times_are_those_of_the_frames():
    with serving(WHOLE) as server, client_of(server) as client:
        turn = ask(client)
    assert (turn.outcome, turn.text, turn.session_id) == (Outcome.OK, "word word ", "s-1")
    first, second = server.sent_at[1:3]
    assert turn.timings.t_token1 == pytest.approx(first, abs=0.005)
    assert turn.timings.chunk_gaps_s == pytest.approx((second - first,), abs=0.005)
    assert server.asked == [{"t": "send", "username": "u", "message": "hi"}]
    assert turn.bytes_received > 100


def test_one_socket_serves_one_turn_after_the_other_and_the_key_is_shown_once():
    with serving(WHOLE, WHOLE, WHOLE) as server, client_of(server) as client:
        assert [ask(client).outcome for _ in range(3)] == [Outcome.OK] * 3
    assert server.heads == [{**server.heads[0], b"authorization": b"Bearer abk-very-secret"}]


def test_each_turn_has_the_round_trip_of_its_connection_and_its_own_losses():
    with serving(WHOLE, WHOLE, [SESSION, None]) as server, client_of(server) as client:
        turns = [ask(client) for _ in range(3)]
    assert [turn.outcome for turn in turns] == [Outcome.OK, Outcome.OK, Outcome.RESET]
    for turn in turns:
        assert turn.network.signs() in ((), ("exchanges",))  # Linux tells
        assert (turn.network.rtt_s is None) == (turn.network.signs() == ())


def test_what_comes_late_of_one_turn_is_no_part_of_the_next():
    with serving([*WHOLE, SAVED], [SAVED, *WHOLE]) as server, client_of(server) as client:
        ask(client)
        turn = ask(client)
    assert turn.outcome is Outcome.OK
    assert "message_saved" not in turn.events


def test_a_saved_row_before_any_text_is_no_first_token():
    with serving([SESSION, SAVED, 0.1, TOKEN, TOKEN, STATS, END]) as server, client_of(server) as client:
        assert ask(client).timings.ttft_s > 0.09


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        ({"code": "UNAUTHORIZED", "data": "Missing API key"}, Outcome.UNAUTHORIZED),
        ({"code": "UNAUTHORIZED", "data": "Invalid API key"}, Outcome.UNAUTHORIZED),
        ({"code": "UNAUTHORIZED", "data": "Insufficient API key scope"}, Outcome.FORBIDDEN),
        ({"code": "BAD_USER", "data": "username?"}, Outcome.API_ERROR),
        ({"code": "PROCESSING_ERROR", "data": "it broke"}, Outcome.STREAM_ERROR),
    ],
)
def test_a_refusal_is_a_frame(error, outcome):
    closing_frame = CloseConnection(code=1008)
    with serving([{"type": "error", **error}, closing_frame]) as server, client_of(server) as client:
        turn = ask(client)
    assert turn.outcome is outcome
    assert error["data"] in turn.detail


def test_an_error_in_the_middle_ends_the_turn_and_the_socket_goes_on():
    broken = [SESSION, TOKEN, {"type": "error", "code": "PROCESSING_ERROR", "data": "it broke"}]
    with serving(broken, WHOLE) as server, client_of(server) as client:
        assert ask(client).outcome is Outcome.STREAM_ERROR
        assert ask(client).outcome is Outcome.OK
    assert len(server.heads) == 1


@pytest.mark.parametrize(
    ("script", "outcome"),
    [
        ([SESSION, TOKEN, None], Outcome.RESET),
        ([SESSION, TOKEN, CloseConnection(code=1001)], Outcome.RESET),
        ([SESSION, TOKEN, 9.0], Outcome.STALLED),
        ([SESSION, 9.0], Outcome.TIMEOUT_FIRST_TOKEN),
        ([SESSION, STATS, END], Outcome.EMPTY_ANSWER),
    ],
)
def test_each_way_to_end_has_its_outcome(script, outcome):
    with serving(script, WHOLE) as server, client_of(server) as client:
        assert ask(client, first_token_s=0.3, idle_s=0.3).outcome is outcome
        assert ask(client).outcome is Outcome.OK  # on a new socket where need be


@pytest.mark.parametrize(
    ("status", "outcome"),
    [(401, Outcome.UNAUTHORIZED), (404, Outcome.CLIENT_ERROR), (502, Outcome.SERVER_ERROR)],
)
def test_a_handshake_that_is_refused_is_told_by_its_status(status, outcome):
    with serving(reject=RejectConnection(status_code=status)) as server, client_of(server) as client:
        assert ask(client).outcome is outcome


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (b"HTTP/1.1 502 Bad\r\nConnection: close\r\n\r\nwhy", Outcome.SERVER_ERROR),
        (b"SSH-2.0-OpenSSH\r\n\r\n", Outcome.MALFORMED),
        (b"HTTP/1.1 101 X\r\nConnection: \xff\xfe\r\n\r\n", Outcome.MALFORMED),
        (b"", Outcome.RESET),
    ],
)
def test_what_answers_the_handshake_and_leaves(answer, outcome):
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def talk():
            sock, _ = listener.accept()
            with sock:
                sock.recv(65536)
                sock.sendall(answer)

        thread = threading.Thread(target=talk)
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with closing(ChatSocket(url, lambda _scope: None)) as client:
            assert ask(client).outcome is outcome
        thread.join()


def test_frames_before_what_is_no_frame_are_heard():
    script = [SESSION, (TOKEN, b"\x8f\xff\xff")]
    with serving(script) as server, client_of(server) as client:
        turn = ask(client)
    assert (turn.outcome, turn.text) == (Outcome.MALFORMED, "word ")


def test_what_came_before_a_ping_that_cannot_be_answered_any_more_is_heard():
    script = [SESSION, (TOKEN, Ping(), STATS, END), None]
    with serving(script) as server, client_of(server) as client:
        turn = ask(client)
    assert (turn.outcome, turn.text) == (Outcome.OK, "word ")


def test_a_web_page_instead_of_a_socket_says_which_versions_have_one():
    with serving(reject=RejectConnection(status_code=200)) as server, client_of(server) as client:
        turn = ask(client)
    assert turn.outcome is Outcome.CLIENT_ERROR
    assert "4.19.2" in turn.detail


def test_a_socket_that_was_closed_while_idle_is_opened_again():
    with serving([*WHOLE, None], WHOLE) as server, client_of(server) as client:
        ask(client)
        time.sleep(0.05)  # the FIN is on its way
        assert ask(client).outcome is Outcome.OK
    assert len(server.heads) == 2


def test_a_socket_that_closes_as_the_question_goes_out_is_a_race_and_is_not_asked_again():
    with serving(WHOLE, [None]) as server, client_of(server) as client:
        ask(client)
        assert ask(client).outcome is Outcome.KEEPALIVE_RACE
    assert len(server.asked) == 2


def test_a_ping_is_answered_in_the_middle_of_a_turn():
    with serving([SESSION, Ping(), 0.05, TOKEN, TOKEN, STATS, END]) as server, client_of(server) as client:
        assert ask(client).outcome is Outcome.OK
        until(lambda: server.pongs)
    assert server.pongs == 1


def test_a_close_that_comes_with_the_end_of_a_turn_is_seen_before_the_next_question():
    closed = (*WHOLE[-2:], CloseConnection(code=1001))
    with serving([SESSION, TOKEN, TOKEN, closed], WHOLE) as server, client_of(server) as client:
        assert [ask(client).outcome for _ in range(2)] == [Outcome.OK, Outcome.OK]
    assert len(server.heads) == 2


def test_a_ping_and_a_close_in_one_read_are_the_close():
    script = [SESSION, TOKEN, (Ping(payload=b"?"), CloseConnection(code=1001))]
    with serving(script) as server, client_of(server) as client:
        turn = ask(client)
    assert (turn.outcome, turn.detail) == (Outcome.RESET, "the server closed the WebSocket (code 1001)")


def test_a_refusal_that_comes_with_the_handshake_keeps_its_reason():
    refused = {"type": "error", "code": "UNAUTHORIZED", "data": "Invalid API key"}
    with serving(greeting=(refused, CloseConnection(code=1008))) as server, client_of(server) as client:
        assert ask(client).outcome is Outcome.UNAUTHORIZED


def read_more(client, go_on):
    """Let the server go on, and wait until something came."""
    go_on.set()
    assert select([client._link.fileno()], [], [], 5)[0]


def test_the_rest_of_a_frame_that_was_cut_at_the_end_of_a_turn_is_no_part_of_the_next():
    frame = b"\x81\x7e\x01\x00" + json.dumps(SAVED).encode().ljust(256)
    script = [SESSION, TOKEN, STATS, (END, frame[:20]), go_on := threading.Event(), frame[20:]]
    with serving(script, WHOLE) as server, client_of(server) as client:
        ask(client)
        read_more(client, go_on)
        turn = ask(client)
    assert (turn.outcome, turn.text, len(server.heads)) == (Outcome.OK, "word word ", 1)


def test_a_ping_between_two_turns_is_answered():
    script = [*WHOLE, go_on := threading.Event(), Ping(payload=b"idle")]
    with serving(script, WHOLE) as server, client_of(server) as client:
        ask(client)
        read_more(client, go_on)
        ask(client)
    assert (server.pongs, len(server.heads)) == (1, 1)
