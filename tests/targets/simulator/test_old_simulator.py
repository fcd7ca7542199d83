"""A simulator that has answered for hours answers as on its first day."""

import sys

import pytest

from astrometer.targets.simulator.simulator_app import Simulator
from astrometer.targets.simulator.simulator_config import SimulatorConfig
from astrometer.targets.simulator.store import webchat_umo


def steps(act):
    """How many lines of Python `act` takes: the same on any machine."""
    count = 0

    def tracer(frame, event, arg):
        nonlocal count
        count += event == "line"
        return tracer

    sys.settrace(tracer)
    try:
        act()
    finally:
        sys.settrace(None)
    return count


def a_turn(store, name):
    umo = webchat_umo("ann", name)
    store.open_session("ann", name)
    store.conversations.current(umo)
    store.conversations.said(umo, "hello", "there", 5)
    store.conversations.empty(umo)
    store.conversations.begin(umo)
    store.conversations.delete(store.conversations.current(umo).cid)
    store.delete_session(name)


@pytest.mark.parametrize("act", [a_turn, lambda store, _: store.sessions_of("bob", None)])
def test_what_a_turn_costs_does_not_grow_with_the_sessions_before_it(act):
    store = Simulator(SimulatorConfig()).store
    young = steps(lambda: act(store, "first"))
    for number in range(2000):
        store.open_session("ann", f"s{number}")
        store.conversations.current(webchat_umo("ann", f"s{number}"))
    assert steps(lambda: act(store, "last")) == young
    assert len(store.sessions) == len(store.sessions_of("ann", None)) == len(store.conversations.rows) == 2000
