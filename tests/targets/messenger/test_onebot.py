"""What is pushed arrives in the messenger: journal, OneBot client, the simulator's sink, real AstrBots."""

import asyncio
import json
import subprocess
import sys
import threading
from contextlib import ExitStack
from time import perf_counter

import box_control
import httpx
import pytest
from waiting import until
from websockets.asyncio.server import serve as serve_websocket

from astrometer.clock import same_clock, wall_minus_perf_s
from astrometer.targets.messenger.onebot import connected
from astrometer.targets.messenger.sink import Sink, SinkFaults
from astrometer.targets.model.model_app import build_app
from astrometer.targets.sandbox.box import SandboxOptions, sandbox
from astrometer.targets.sandbox.server_process import free_port
from astrometer.targets.serving import serve
from astrometer.targets.simulator.simulator_app import Simulator
from astrometer.targets.simulator.simulator_config import SimulatorConfig

FRIEND, GROUP = "onebot:FriendMessage:10001", "onebot:GroupMessage:20001"


# the journal


def filled(count, kept=1000):
    sink = Sink(kept)
    for number in range(count):
        sink.arrived(float(number), FRIEND, f"text {number}")
    return sink


def test_messages_are_read_page_by_page_and_only_once():
    sink = filled(10)
    read, cursor, more = [], 0, True
    while more:
        page = sink.since(cursor, limit=4)
        read += [message["text"] for message in page["messages"]]
        cursor, more = page["cursor"], page["more"]
    assert read == [f"text {number}" for number in range(10)]
    assert sink.since(cursor)["messages"] == []
    assert sink.since(cursor)["cursor"] == cursor == 10


def test_the_journal_is_bounded_and_says_what_it_forgot():
    sink = filled(10, kept=3)
    assert [message["number"] for message in sink.since(0)["messages"]] == [8, 9, 10]
    assert [sink.since(cursor)["forgotten"] for cursor in (0, 5, 7, 10)] == [7, 2, 0, 0]
    sink.clear()
    assert sink.since(0)["forgotten"] == 10
    assert sink.since(10)["forgotten"] == 0
    sink.arrived(1.0, GROUP, "x" * 10_000)
    (message,) = sink.since(10)["messages"]
    assert (message["number"], len(message["text"])) == (11, 120)


def test_faults_strike_exactly_every_nth():
    sink = Sink()
    sink.set_faults(SinkFaults(lose_every=5, duplicate_every=3, drop_ack_every=4))
    acknowledged = [sink.arrived(float(number), FRIEND, str(number)) for number in range(1, 13)]
    texts = [message["text"] for message in sink.since(0)["messages"]]
    assert texts == ["1", "2", "3", "3", "4", "6", "6", "7", "8", "9", "9", "11", "12", "12"]
    assert [number for number, said in enumerate(acknowledged, 1) if not said] == [4, 8, 12]


@pytest.mark.parametrize(
    ("faults", "complaint"),
    [
        ({"lose_evry": 5}, "with any of: lose_every"),
        ({"lose_every": -1}, "lose_every: a whole number"),
        ({"lose_every": 1.5}, "lose_every: a whole number"),
        ({"delay_ack_s": "1"}, "delay_ack_s: a number"),
        ({"delay_ack_s": True}, "delay_ack_s: a number"),
        ([], "an object expected"),
    ],
)
def test_faults_that_cannot_be_set_are_refused(faults, complaint):
    with serve(build_app(sink=Sink())) as url:
        answer = httpx.post(f"{url}/onebot/faults", json=faults)
    assert answer.status_code == 400
    assert complaint in answer.json()["error"]


def test_the_journal_is_served_beside_the_stub_model():
    sink = filled(3)
    with serve(build_app(sink=sink)) as url:
        page = httpx.get(f"{url}/onebot/messages?since=2").json()
        assert page["messages"] == [{"number": 3, "t_s": 2.0, "umo": FRIEND, "text": "text 2"}]
        assert same_clock(
            httpx.get(f"{url}/onebot").json()["clock"]["wall_minus_perf_s"], wall_minus_perf_s()
        )
        assert httpx.delete(f"{url}/onebot/messages").json()["kept"] == 0
        assert httpx.get(f"{url}/onebot/messages?since=x").status_code == 400
        assert httpx.get(f"{url}/onebot/nothing").status_code == 404
    with serve(build_app()) as url:
        assert httpx.get(f"{url}/onebot").status_code == 404


# the client, against a WebSocket server that speaks as AstrBot's adapter does


class Adapter:
    """AstrBot's end: listens, sends actions, collects the answers. In a thread, as long as the context."""

    def __init__(self, port):
        self.port = port
        self.sockets, self.received, self.headers = [], [], []
        self.loop = asyncio.new_event_loop()

    async def _handle(self, socket):
        self.headers.append(socket.request.headers)
        self.sockets.append(socket)
        async for frame in socket:
            self.received.append((perf_counter(), json.loads(frame)))

    async def _run(self):
        self._end = asyncio.Event()
        async with serve_websocket(self._handle, "127.0.0.1", self.port):
            await self._end.wait()

    def __enter__(self):
        self._thread = threading.Thread(target=self.loop.run_until_complete, args=(self._run(),))
        self._thread.start()
        assert until(lambda: self.sockets)
        return self

    def __exit__(self, *_):
        self.loop.call_soon_threadsafe(self._end.set)
        self._thread.join(5)
        self.loop.close()

    def send(self, action, seq, **params):
        frame = json.dumps({"action": action, "params": params, "echo": {"seq": seq}})
        asyncio.run_coroutine_threadsafe(self.sockets[-1].send(frame), self.loop).result(5)

    def answers(self):
        return [frame for _, frame in self.received if "echo" in frame]


@pytest.fixture
def sink():
    return Sink()


@pytest.fixture
def port(sink):
    number = free_port()
    with connected(f"ws://127.0.0.1:{number}/ws", sink):
        yield number
    assert not [thread for thread in threading.enumerate() if thread.name == "onebot"]


def test_each_action_is_acknowledged_and_each_message_written_down(sink, port):
    with Adapter(port) as adapter:
        before = perf_counter()
        adapter.send(
            "send_private_msg",
            1,
            user_id=7,
            message=[
                {"type": "text", "data": {"text": "a "}},
                {"type": "image", "data": {"file": "base64://x"}},
            ],
        )
        adapter.send("send_group_msg", 2, group_id=8, message="plain text")
        adapter.send("get_login_info", 3)
        assert until(lambda: len(adapter.answers()) == 3)
        after = perf_counter()
    first, second = sink.since(0)["messages"]
    assert (first["umo"], first["text"]) == ("onebot:FriendMessage:7", "a [image]")
    assert (second["umo"], second["text"]) == ("onebot:GroupMessage:8", "plain text")
    assert before <= first["t_s"] <= second["t_s"] <= after
    answers = adapter.answers()
    assert [answer["echo"] for answer in answers] == [{"seq": 1}, {"seq": 2}, {"seq": 3}]
    assert {(answer["status"], answer["retcode"]) for answer in answers} == {("ok", 0)}
    assert len({answer["data"]["message_id"] for answer in answers}) == 3
    assert adapter.headers[0]["X-Self-ID"] == "10001"
    assert adapter.received[0][1]["meta_event_type"] == "lifecycle"


def test_it_comes_back_when_astrbot_does(sink, port):
    for text in ("before", "after"):
        with Adapter(port) as adapter:
            assert until(lambda: sink.connected)
            adapter.send("send_private_msg", 1, user_id=7, message=text)
            assert until(adapter.answers)
        assert until(lambda: not sink.connected)
    assert [message["text"] for message in sink.since(0)["messages"]] == ["before", "after"]


def test_acknowledgements_can_be_dropped_and_delayed(sink, port):
    with Adapter(port) as adapter:
        sink.set_faults(SinkFaults(drop_ack_every=2))
        for seq in (1, 2, 3):
            adapter.send("send_private_msg", seq, user_id=7, message=str(seq))
        assert until(lambda: len(adapter.answers()) == 2)
        assert [answer["echo"]["seq"] for answer in adapter.answers()] == [1, 3]
        assert sink.status()["kept"] == 3
        sink.set_faults(SinkFaults(delay_ack_s=0.2))
        sent = perf_counter()
        adapter.send("send_private_msg", 4, user_id=7, message="4")
        assert until(lambda: len(adapter.answers()) == 3)
        assert adapter.received[-1][0] - sent >= 0.2
        assert sink.since(3)["messages"][0]["t_s"] - sent < 0.15


def test_nonsense_from_the_other_end_does_not_end_it(sink, port):
    with Adapter(port) as adapter:
        for frame in ("[1, 2]", "no json", '{"retcode": 0}', '{"action": "send_private_msg", "params": [1]}'):
            asyncio.run_coroutine_threadsafe(adapter.sockets[-1].send(frame), adapter.loop).result(5)
        assert until(lambda: sink.connected)
        adapter.send("send_private_msg", 9, user_id=7, message=["x", {"type": "text"}])
        assert until(lambda: sink.status()["kept"] == 1)


# a whole server: the simulator, and real ones


def push(url, key, umo, text, **more):
    body = {"umo": umo, "message": text}
    return httpx.post(f"{url}/api/v1/im/message", json=body, headers={"X-API-Key": key}, timeout=60, **more)


REAL = [
    pytest.param(version, marks=[pytest.mark.astrbot, pytest.mark.timeout(600)])
    for version in ("4.18.0", "latest")
]


@pytest.fixture(scope="module")
def boxes():
    """Real AstrBots with a messenger, each started once."""
    running = {}
    with ExitStack() as stack:

        def start(version):
            if version not in running:
                running[version] = stack.enter_context(sandbox(SandboxOptions(version=version, im_sink=True)))
            return running[version]

        yield start


@pytest.fixture(params=REAL)
def box(request, python_for_astrbot, boxes):
    return boxes(request.param)


@pytest.fixture(
    params=[
        *(
            pytest.param(("simulated", version), id=f"simulated-{version}")
            for version in ("4.18.0", "4.29.3")
        ),
        *(
            pytest.param(("real", *param.values), id=f"real-{param.values[0]}", marks=param.marks)
            for param in REAL
        ),
    ]
)
def server(request):
    """(url, key, sink_url)"""
    kind, version = request.param
    if kind == "real":
        request.getfixturevalue("python_for_astrbot")
        running = request.getfixturevalue("boxes")(version)
        httpx.post(f"{running.sink_url}/faults", json={})
        yield running.url, running.keys["im"], running.sink_url
    else:
        app = Simulator(SimulatorConfig(version=version, im_sink=True))
        with serve(app) as url:
            yield url, app.config.keys["im"].secret, f"{url}/onebot"


def arrived_after(sink_url, cursor):
    return httpx.get(f"{sink_url}/messages?since={cursor}").json()["messages"]


@pytest.mark.process
def test_a_push_arrives_between_its_send_and_its_answer(server):
    url, key, sink_url = server
    bots = httpx.get(f"{url}/api/v1/im/bots", headers={"X-API-Key": key}).json()["data"]["bot_ids"]
    assert bots == ["onebot"]
    for umo in (FRIEND, GROUP):
        cursor = httpx.get(sink_url).json()["cursor"]
        sent = perf_counter()
        answer = push(url, key, umo, "[im-test-1-1-1] hello 你好")
        answered = perf_counter()
        assert (answer.status_code, answer.json()["status"]) == (200, "ok")
        (message,) = arrived_after(sink_url, cursor)
        assert (message["umo"], message["text"]) == (umo, "[im-test-1-1-1] hello 你好")
        assert sent < message["t_s"] < answered


@pytest.mark.process
def test_astrbot_waits_for_the_acknowledgement(server):
    url, key, sink_url = server
    httpx.post(f"{sink_url}/faults", json={"delay_ack_s": 0.6})
    cursor = httpx.get(sink_url).json()["cursor"]
    sent = perf_counter()
    assert push(url, key, FRIEND, "slowly").json()["status"] == "ok"
    took_s = perf_counter() - sent
    (message,) = arrived_after(sink_url, cursor)
    assert took_s - (message["t_s"] - sent) >= 0.6


@pytest.mark.process
def test_an_address_that_is_no_number_is_refused_in_astrbots_words(server):
    url, key, _ = server
    answer = push(url, key, "onebot:FriendMessage:somebody", "hi")
    assert answer.json()["status"] == "error"
    assert answer.json()["message"] == "无法发送消息：缺少有效的数字 session_id(somebody) 或 event(None)"


@pytest.mark.process
def test_pushes_one_after_the_other_keep_their_order(server):
    url, key, sink_url = server
    cursor = httpx.get(sink_url).json()["cursor"]
    for number in range(10):
        assert push(url, key, GROUP, f"number {number}").status_code == 200
    texts = [message["text"] for message in arrived_after(sink_url, cursor)]
    assert texts == [f"number {number}" for number in range(10)]


@pytest.mark.process
def test_after_a_restart_of_astrbot_pushes_arrive_again(box):
    cursor = httpx.get(box.sink_url).json()["cursor"]
    box_control.kill(box)
    box_control.wait_dead(box)
    assert until(lambda: not httpx.get(box.sink_url).json()["connected"])
    box_control.restart(box)
    assert push(box.url, box.keys["im"], FRIEND, "back again").json()["status"] == "ok"
    assert [message["text"] for message in arrived_after(box.sink_url, cursor)] == ["back again"]


@pytest.mark.process
def test_the_sandbox_says_where_its_sink_is(box):
    assert box.describe()["sink_url"] == box.sink_url == f"{box.stub_url}/onebot"


def test_the_simulators_delivery_takes_as_long_as_it_is_told():
    app = Simulator(SimulatorConfig(im_sink=True, im_delay_s=0.2))
    with serve(app) as url:
        sent = perf_counter()
        push(url, app.config.keys["im"].secret, FRIEND, "late")
        answered = perf_counter()
        (message,) = arrived_after(f"{url}/onebot", 0)
    assert sent + 0.2 <= message["t_s"] < answered + 0.4


@pytest.mark.process
def test_the_sim_command_says_where_its_sink_is():
    command = [sys.executable, "-m", "astrometer", "sim", "--im-sink", "--im-delay", "50ms", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        told = json.loads(process.stdout.readline())
        status = httpx.get(told["sink_url"]).json()
        process.terminate()
        assert process.wait(10) == 0
    assert told["sink_url"] == f"{told['url']}/onebot"
    assert (status["connected"], status["faults"]["delivery_delay_s"]) == (True, 0.05)


def test_a_simulator_without_a_sink_has_no_messenger():
    app = Simulator(SimulatorConfig())
    with serve(app) as url:
        assert httpx.get(f"{url}/onebot").status_code == 404
        answer = push(url, app.config.keys["im"].secret, FRIEND, "hi")
    assert answer.json()["message"] == "Bot not found or not running for platform: onebot"
