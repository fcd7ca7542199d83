"""Chat over `/api/v1/chat/ws`: keys, turns, what is refused, and what each version adds."""

import time

import pytest
from chat_socket_client import chat_socket, text_of_turn, types
from contract_driver import Server, new_name
from websockets.exceptions import InvalidStatus

ONE = "[q] [[ttft=0 tokens=1]]"


def with_key(server: Server, key: str = "chat") -> dict[str, str]:
    return {"X-API-Key": server.keys[key]}


def test_4_18_has_no_such_path(astrbot):
    if astrbot.version >= (4, 19, 2):
        with chat_socket(astrbot.url, with_key(astrbot)):
            return
    with pytest.raises(InvalidStatus) as refused, chat_socket(astrbot.url, with_key(astrbot)):
        pass
    assert refused.value.response.status_code == 400


@pytest.mark.parametrize(
    ("key", "said"),
    [
        (None, "Missing API key"),
        ("nonsense", "Invalid API key"),
        ("revoked", "Invalid API key"),
        ("expired", "Invalid API key"),
        ("im", "Insufficient API key scope"),
    ],
)
def test_a_bad_key_is_told_in_a_frame_and_closes(socket_server, key, said):
    shown = {} if key is None else {"X-API-Key": socket_server.keys.get(key, "abk_nonsense")}
    with chat_socket(socket_server.url, shown) as socket:
        frame = socket.frame()
        assert (frame["type"], frame["code"], frame["data"]) == ("error", "UNAUTHORIZED", said)
        assert socket.closed() == (1008, said)


@pytest.mark.parametrize("way", ["X-API-Key", "Bearer", "ApiKey", "api_key", "key"])
def test_a_key_is_shown_in_five_ways(socket_server, way):
    secret = socket_server.keys["chat"]
    shown, query = {}, ""
    if way in ("Bearer", "ApiKey"):
        shown = {"Authorization": f"{way} {secret}"}
    elif way == "X-API-Key":
        shown = {way: secret}
    else:
        query = f"?{way}={secret}"
    with chat_socket(socket_server.url, shown, query) as socket:
        socket.send({"t": "ping"})
        assert socket.frame()["type"] == "pong"


@pytest.mark.parametrize("streaming", [True, False])
def test_a_turn_has_the_events_of_its_version(socket_server, streaming):
    username = new_name("user")
    with chat_socket(socket_server.url, with_key(socket_server)) as socket:
        socket.ask(username, "[q] [[ttft=0.1 gap=0.02 tokens=3]]", enable_streaming=streaming)
        frames = socket.until("end")
        new = socket_server.version >= (4, 26, 7)
        head = ["session_id", "run_started", "message_saved"] if new else ["session_id"]
        if streaming:
            body = ["plain", "agent_stats", "complete", "message_saved", "end"]
        elif new:
            body = ["agent_stats", "plain", "message_saved", "end"]
        else:
            body = ["plain", "message_saved", "agent_stats", "end"]
        assert types(frames) == head + body
        assert text_of_turn(frames).strip() == "w0 w1 w2"
        first = frames[0]
        assert first["session_id"]
        assert first["message_id"] == frames[-1]["message_id"]
        saved = [frame for frame in frames if frame["type"] == "message_saved"]
        assert set(saved[-1]["data"]) == {"id", "created_at"}
        assert {frame["session_id"] for frame in saved} == {first["session_id"]}
        socket.send({"t": "ping"})
        after = types(socket.until("pong"))
        late = not streaming and not new and socket_server.version >= (4, 23, 5)
        assert after == (["message_saved", "pong"] if late else ["pong"])


def test_a_socket_has_one_turn_at_a_time_and_a_ping_waits_for_it(socket_server):
    username = new_name("user")
    with chat_socket(socket_server.url, with_key(socket_server)) as socket:
        socket.ask(username, "[q] [[ttft=0.5 gap=0 tokens=1]]")
        socket.send({"t": "ping"})
        socket.ask(username, "[q] [[ttft=0 gap=0 tokens=2]]")
        frames = socket.until("end")
        assert text_of_turn(frames) == "w0 "
        frames += socket.until("end")
        kinds = types(frames)
        assert kinds.index("pong") == kinds.index("end") + 1
        assert text_of_turn(frames) == "w0 w0 w1 "


def test_a_turn_has_no_heartbeat_and_no_pause_between_its_events(socket_server):
    with chat_socket(socket_server.url, with_key(socket_server)) as socket:
        started = time.perf_counter()
        socket.ask(new_name("user"), "[q] [[ttft=1.6 gap=0 tokens=20]]")
        frames = socket.until("end")
        assert "heartbeat" not in {frame["type"] for frame in frames}
        words = [frame for frame in frames if frame["type"] == "plain"]
        assert words[-1]["_at"] - started < 1.6 + 0.05 * 20  # as long as the pacing of /chat would take


def test_a_session_goes_on_and_is_not_for_others(socket_server):
    session, owner = new_name("session"), new_name("user")
    with chat_socket(socket_server.url, with_key(socket_server)) as socket:
        socket.ask(owner, ONE, session_id=session)
        assert socket.until("end")[0]["session_id"] == session
        socket.ask(new_name("user"), ONE, session_id=session)
        frame = socket.frame()
        assert (frame["type"], frame["code"]) == ("error", "SESSION_ERROR")
        assert frame["data"] == "session_id belongs to another username"
        socket.ask(owner, ONE, session_id=session)
        assert text_of_turn(socket.until("end")) == "w0 "


REFUSALS = {
    "no user": ({"t": "send", "message": "x"}, "BAD_USER", "Missing key: username"),
    "no message": ({"t": "send", "username": "u"}, "INVALID_MESSAGE", "Missing key: message"),
    "no type": ({"username": "u"}, "INVALID_MESSAGE", "Missing key: message"),
    "empty": (
        {"t": "send", "username": "u", "message": ""},
        "INVALID_MESSAGE",
        "Message content is empty (reply only is not allowed)",
    ),
    "unknown type": ({"t": "interrupt"}, "INVALID_MESSAGE", "Unsupported message type: interrupt"),
    "a list": ("[1]", "INVALID_MESSAGE", "message must be an object"),
    "unknown config": (
        {"t": "send", "username": "u", "message": "hi", "config_id": "nope"},
        "CONFIG_ERROR",
        "config_id not found: nope",
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_a_turn_that_is_refused_leaves_the_socket_open(socket_server, case):
    frame, code, said = REFUSALS[case]
    with chat_socket(socket_server.url, with_key(socket_server)) as socket:
        socket.send(frame)
        answer = socket.frame()
        assert (answer["type"], answer["code"], answer["data"]) == ("error", code, said)
        socket.send({"t": "ping"})
        assert socket.frame()["type"] == "pong"


def test_the_administrators_name_is_refused_from_4_27(socket_server):
    with chat_socket(socket_server.url, with_key(socket_server)) as socket:
        socket.ask("astrbot", ONE)
        frames = [socket.frame()]
        if socket_server.version >= (4, 27, 0):
            said = "username is reserved for an AstrBot administrator"
            assert (frames[0]["code"], frames[0]["data"]) == ("INVALID_MESSAGE", said)
        else:
            assert text_of_turn(frames + socket.until("end")) == "w0 "


def test_what_is_no_json_ends_the_socket(socket_server):
    with chat_socket(socket_server.url, with_key(socket_server)) as socket:
        socket.send("no json")
        assert socket.closed()[0] == (1011 if socket_server.version >= (4, 26, 0) else 1000)


def test_a_model_that_fails_is_told_as_on_the_other_way(socket_server):
    with chat_socket(socket_server.url, with_key(socket_server)) as socket:
        socket.ask(new_name("user"), "[q] [[fail=400]]")
        said = text_of_turn(socket.until("end"))
        shown = (
            "LLM 响应错误: All chat models failed: BadRequestError"
            if socket_server.version >= (4, 26, 6)
            else ""
        )
        assert said.startswith(shown)
        assert bool(said) == bool(shown)
