"""Faults of the simulator's WebSocket chat."""

import pytest
from chat_socket_client import chat_socket, text_of_turn, types
from websockets.exceptions import ConnectionClosed, InvalidStatus

from astrometer.targets.serving import serve
from astrometer.targets.simulator.simulated_faults import FaultKind, Planned
from astrometer.targets.simulator.simulator_app import Simulator
from astrometer.targets.simulator.simulator_config import SimulatorConfig

WORDS = "[[ttft=0 gap=0.01 tokens=5]]"


@pytest.fixture(scope="module")
def sim():
    app = Simulator(SimulatorConfig())
    with serve(app) as url:
        yield app, url


@pytest.fixture
def socket(sim):
    app, url = sim
    with chat_socket(url, {"X-API-Key": app.config.keys["chat"].secret}) as socket:
        yield socket


@pytest.mark.parametrize("kind", ["cut", "hangup"])
def test_a_cut_ends_without_a_close_frame(socket, kind):
    socket.ask("u", f"[sim:{kind}:2] {WORDS}")
    with pytest.raises(ConnectionClosed):
        socket.until("end")
    assert socket.closed()[0] == 1006


def test_a_truncated_turn_is_a_close_in_order(socket):
    socket.ask("u", f"[sim:truncated:2] {WORDS}")
    assert socket.closed()[0] == 1000


def test_an_error_frame_ends_the_turn_and_not_the_socket(socket):
    socket.ask("u", f"[sim:stream_error:2] {WORDS}")
    frames = socket.until("error")
    assert (frames[-1]["code"], text_of_turn(frames)) == ("PROCESSING_ERROR", "w0 w1 ")
    socket.send({"t": "ping"})
    assert socket.frame()["type"] == "pong"


def test_a_turn_may_come_without_its_end(socket):
    socket.ask("u", f"[sim:no_end] {WORDS}")
    socket.send({"t": "ping"})
    assert "end" not in types(socket.until("pong"))


def test_a_broken_frame_comes_amid_the_others(socket):
    socket.ask("u", f"[sim:malformed:1] {WORDS}")
    with pytest.raises(ValueError, match="Unterminated string"):
        socket.until("end")


def test_silence_is_a_session_id_and_no_more(socket):
    socket.ask("u", f"[sim:silence] {WORDS}")
    assert socket.frame()["type"] == "session_id"
    with pytest.raises(TimeoutError):
        socket.frame(0.5)


def test_a_client_that_leaves_does_not_stop_the_answer(sim):
    app, url = sim
    finished = app.store.counters["chats_finished"]
    with chat_socket(url, {"X-API-Key": app.config.keys["chat"].secret}) as socket:
        socket.ask("leaver", "[[ttft=0.3 gap=0 tokens=2]]", session_id="left-behind")
        socket.until("session_id")
    with chat_socket(url, {"X-API-Key": app.config.keys["chat"].secret}) as socket:
        socket.ask("leaver", WORDS, session_id="left-behind")  # waits for the first
        socket.until("end")
    assert app.store.counters["chats_finished"] == finished + 2
    saved = [message.content for message in app.store.messages["left-behind"]]
    assert [{"type": "plain", "text": "w0 w1 "}] in [content["message"] for content in saved]


def test_a_frame_says_when_it_was_sent(socket):
    socket.ask("u", WORDS)
    frames = socket.until("end")
    stamps = [frame["_sent_ns"] for frame in frames]
    assert stamps == sorted(stamps)
    assert all(0 <= frame["_at"] - frame["_sent_ns"] / 1e9 < 5 for frame in frames)


def test_a_status_is_a_refused_handshake():
    app = Simulator(SimulatorConfig(faults=(Planned(kind=FaultKind.HTTP_503, count=1, endpoint="chat"),)))
    with serve(app) as url:
        shown = {"X-API-Key": app.config.keys["chat"].secret}
        with pytest.raises(InvalidStatus) as refused, chat_socket(url, shown):
            pass
        assert refused.value.response.status_code == 503
        with chat_socket(url, shown) as socket:
            socket.ask("u", WORDS)
            assert text_of_turn(socket.until("end")) == "w0 w1 w2 w3 w4 "


def test_another_path_has_no_socket(sim):
    _, url = sim
    with pytest.raises(InvalidStatus) as refused, chat_socket(f"{url}/elsewhere", {}):
        pass
    assert refused.value.response.status_code == 403
