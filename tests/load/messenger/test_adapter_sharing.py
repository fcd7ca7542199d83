"""Several load processes at one adapter: refused where answers get lost, told where pushes fail."""

import pytest
from hostile import JSON, Hostile

from astrometer.load.messenger.adapter_sharing import answers_several, are_shared, check
from astrometer.load.messenger.ask_sharing import ask_answers_several
from astrometer.load.option_table import OptionError
from astrometer.targets.serving import serve
from astrometer.targets.simulator.simulator_app import Simulator
from astrometer.targets.simulator.simulator_config import SimulatorConfig
from astrometer.wire.tls import DEFAULT

ONE, TWO = ("ws://a:1/ws",), ("ws://a:1/ws", "ws://b:1/ws")


@pytest.mark.parametrize(
    ("version", "several"),
    [
        ("4.18.0", False), ("4.25.6", False), ("4.26.0", True), ("4.29.3", True), (None, None),
        ("of my own", None),
    ],
)  # fmt: skip
def test_up_to_4_25_no_adapter_answers_two_clients(version, several):
    assert answers_several(version) is several


@pytest.mark.parametrize(
    ("adapters", "processes", "shared"),
    [
        (ONE, 1, False),
        (ONE, 2, True),
        (TWO, 2, False),
        (TWO, 3, True),
        (ONE + ONE, 2, True),
        ((), 2, False),
    ],
)
def test_who_shares_an_adapter(adapters, processes, shared):
    assert are_shared(adapters, processes) is shared


def test_the_refusal_names_the_reason_and_the_cure():
    with pytest.raises(OptionError) as told:
        check(ONE, 2, several=False, umos=())
    words = str(told.value)
    assert "2 load processes would share one messenger adapter" in words
    assert "loses every answer" in words
    assert "Use one process, or give an adapter to each process: --messenger ws://" in words


@pytest.mark.parametrize(
    ("adapters", "processes", "several"), [(ONE, 2, True), (ONE, 2, None), (ONE, 1, False), (TWO, 2, False)]
)
def test_nothing_else_is_refused(adapters, processes, several):
    assert check(adapters, processes, several=several, umos=()) is None


def test_pushes_through_a_shared_adapter_are_warned_of():
    somebody = ["messenger:FriendMessage:5"]
    assert "refuses every push" in check(ONE, 2, several=True, umos=somebody)
    assert "refuses every push" in check(ONE, 2, several=None, umos=somebody)
    assert check(ONE, 2, several=True, umos=[]) is None  # webchat needs no adapter
    assert check(TWO, 2, several=True, umos=somebody) is None


@pytest.mark.parametrize(("version", "several"), [("4.18.0", False), ("4.25.6", False), ("4.26.0", True)])
def test_the_server_tells_its_version_or_that_it_is_too_old_to(version, several):
    with serve(Simulator(SimulatorConfig(version=version))) as url:
        assert ask_answers_several(url, DEFAULT) is several


@pytest.mark.parametrize("status", [b"200 OK", b"401 Unauthorized", b"404 Not Found"])
def test_a_proxy_before_it_tells_nothing(status):
    def answer(_head):
        yield JSON % (status, 2, b"{}")

    server = Hostile(answer)
    try:
        assert ask_answers_several(server.url, DEFAULT) is None
    finally:
        server.close()
    assert len(server.seen) == 2


def test_nobody_there_tells_nothing():
    assert ask_answers_several("http://127.0.0.1:1", DEFAULT) is None
