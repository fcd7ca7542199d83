"""What a load user's exchanges tell of the network: real connections, and a network that loses segments."""

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import lossy_network
import pytest
from scripted_wire import CHUNKED, END, LAST_CHUNK, NEXT, OPENING, STATS, TOKEN, WHOLE, chunk, play
from tls_files import Authority, tls_server

from astrometer.api.call_exchange import CallExchange
from astrometer.api.chat.chat_exchange import ChatExchange, Deadlines
from astrometer.api.outcome import Outcome
from astrometer.load.transport.load_client import Client, Request
from astrometer.wire.receive_stamps import BLOCK_BYTES
from astrometer.wire.tls import TlsSettings

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="TCP_INFO is Linux's")

CHAT = Request(method="POST", path="/api/v1/chat", scope=None, body=b"{}")
LIST = Request(method="GET", path="/api/v1/configs", scope=None)
ANSWER = CHUNKED + chunk(WHOLE) + LAST_CHUNK


def client_of(url, **options):
    return closing(Client(url, lambda _scope: None, **options))


def chat(client, **deadlines):
    exchange = ChatExchange(streaming=True, deadlines=Deadlines(**deadlines))
    client.run(CHAT, exchange)
    return exchange.result()


def test_each_chat_on_a_kept_connection_has_a_round_trip_and_no_loss():
    with play([ANSWER, NEXT, ANSWER]) as wire, client_of(wire.url) as client:
        turns = [chat(client), chat(client)]
    assert wire.connections == 1
    for turn in turns:
        assert 0 < turn.network.rtt_s < 0.05
        assert turn.metrics()["network_rtt"] == (turn.network.rtt_s,)
        assert (turn.network.retransmits, turn.network.out_of_order) == (0, 0)
        assert turn.network.signs() == ("exchanges",)


def test_a_server_that_acknowledges_with_its_answer_does_not_lengthen_the_round_trip():
    """The kernel's smoothed round trip becomes that of the server: 5 ms and more after these chats."""
    with play([0.01, ANSWER, *[NEXT, 0.01, ANSWER] * 11]) as wire, client_of(wire.url) as client:
        turns = [chat(client) for _ in range(12)]
    assert {turn.outcome for turn in turns} == {Outcome.OK}
    assert turns[-1].network.rtt_s < 0.003


def test_plain_calls_tell_it_too():
    with play([ANSWER]) as wire, client_of(wire.url) as client:
        exchange = CallExchange(timeout_s=5)
        client.run(LIST, exchange)
    assert exchange.result().network.retransmits == 0
    assert exchange.result().metrics()["network_rtt"][0] > 0


def test_an_exchange_over_tls_tells_it_too(tmp_path):
    authority = Authority(tmp_path)
    trusting = TlsSettings(ca_file=authority.file)
    with tls_server(*authority.issue("good")) as url, client_of(url, tls=trusting) as client:
        exchange = CallExchange(timeout_s=5)
        client.run(LIST, exchange)
    assert exchange.result().outcome is Outcome.OK
    seen = exchange.result().network
    assert seen.rtt_s > 0
    assert seen.signs()[0] == "exchanges"


@pytest.mark.parametrize(
    ("script", "outcome"),
    [([CHUNKED + chunk(OPENING + TOKEN), 5.0], Outcome.STALLED), ([WHOLE], Outcome.MALFORMED)],
)
def test_an_exchange_that_fails_tells_it_before_its_connection_closes(script, outcome):
    with play(script) as wire, client_of(wire.url) as client:
        turn = chat(client, idle_s=0.2)
    assert turn.outcome is outcome
    assert turn.network.rtt_s > 0


def test_an_exchange_without_a_connection_tells_nothing():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with client_of(url) as client:
        turn = chat(client)
    assert turn.outcome is Outcome.CONNECT
    assert turn.network.signs() == ()
    assert "network_rtt" not in turn.metrics()


def test_a_connection_that_had_to_be_asked_for_twice_is_a_retransmission():
    """A server whose queue of connections is full ignores the first packet, and the kernel repeats it."""

    def accept_late(listener):
        time.sleep(0.3)
        listener.accept()[0].close()
        sock, _ = listener.accept()
        with sock:
            sock.recv(65536)
            sock.sendall(ANSWER)
            sock.recv(1)

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        server = threading.Thread(target=accept_late, args=(listener,), daemon=True)
        with socket.create_connection(address), client_of("http://{}:{}".format(*address)) as client:
            server.start()
            turn = chat(client)
        server.join(5)
    assert turn.outcome is Outcome.OK
    assert turn.timings.ttft_s > 0.9
    assert turn.network.retransmits >= 1
    assert set(turn.network.signs()) == {"exchanges", "retransmitted", "lossy"}
    assert turn.metrics()["ttft_lossy"] == turn.metrics()["ttft"]


def test_a_read_that_fills_the_block_is_counted():
    much = CHUNKED + chunk(OPENING + TOKEN * (2 * BLOCK_BYTES // len(TOKEN)) + STATS + END) + LAST_CHUNK
    with play([much]) as wire, client_of(wire.url) as client:
        exchange = ReadLate()
        client.run(CHAT, exchange)
    turn = exchange.result()
    assert turn.outcome is Outcome.OK
    assert turn.network.full_reads >= 1
    assert "full_reads" in turn.network.signs()


class ReadLate(ChatExchange):
    """Its process is busy with something else until all has come."""

    def __init__(self):
        super().__init__(streaming=True, deadlines=Deadlines())

    def sending(self, began, ended):
        super().sending(began, ended)
        time.sleep(0.3)


@pytest.mark.process
def test_what_the_network_loses_is_told_by_the_exchange_that_it_happened_to():
    user = () if os.geteuid() == 0 else ("--user", "--map-root-user")
    program = Path(lossy_network.__file__)
    paths = os.pathsep.join([*(path for path in sys.path if path), str(program.parent)])
    if not all(shutil.which(tool) for tool in ("unshare", "ip")) or not Path("/dev/net/tun").exists():
        pytest.skip("no unshare, ip or /dev/net/tun to make a network that loses segments")
    probe = ["unshare", *user, "--net", "ip", "tuntap", "add", "dev", "lossy", "mode", "tun"]
    if subprocess.run(probe, capture_output=True, check=False).returncode:
        pytest.skip("this machine does not permit a network namespace with a TUN device")
    done = subprocess.run(
        ["unshare", *user, "--net", sys.executable, str(program)],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    turns = [json.loads(line) for line in done.stdout.splitlines()]
    assert [turn["outcome"] for turn in turns] == ["ok"] * 5
    quiet, question_lost, after_it, answer_lost, at_last = turns
    for turn in turns:
        assert 2 * lossy_network.ONE_WAY_S <= turn["rtt_s"] < 4 * lossy_network.ONE_WAY_S
    for turn in (quiet, after_it, at_last):
        assert (turn["retransmits"], turn["out_of_order"]) == (0, 0)
    assert question_lost["retransmits"] >= 1
    assert question_lost["out_of_order"] == 0
    assert question_lost["ttft_s"] > after_it["ttft_s"] + 0.1  # the kernel waits 200 ms before it repeats
    assert answer_lost["retransmits"] == 0
    assert answer_lost["out_of_order"] >= 1
