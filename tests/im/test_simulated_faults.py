"""Each fault of the simulated messenger has one name as the session sees it."""

import itertools
from contextlib import contextmanager

import pytest
from blocking_link import BlockingLink
from waiting import until

from astrometer.api.outcome import Outcome
from astrometer.im.im_exchange import ImDeadlines, ImQuestion
from astrometer.im.link.link_address import LinkAddress
from astrometer.im.messenger_session import MessengerSession
from astrometer.targets.serving import serve
from astrometer.targets.simulator.simulator_app import Simulator
from astrometer.targets.simulator.simulator_config import MessengerConfig, SimulatorConfig

persons = itertools.count(5001)
AT_ONCE = "[[ttft=0.1 gap=0 tokens=4]]"


@pytest.fixture(scope="module")
def sim():
    app = Simulator(SimulatorConfig(messenger=MessengerConfig(ack_timeout_s=2)))
    with serve(app):
        yield app


@contextmanager
def linked(sim):
    address = LinkAddress.parse(sim.messenger.url, self_id=10001, token=sim.messenger.token)
    limits = ImDeadlines(reply_s=1.5, quiet_s=0.5, quoted_quiet_s=0.4)
    link = BlockingLink(MessengerSession(address, deadlines=limits, first_message_id=1000 * next(persons)))
    link.connect()
    try:
        yield link
    finally:
        link.leave()


def ask(link, fault, count=1):
    """The outcomes of one question each of so many people, all at once."""
    people = [next(persons) for _ in range(count)]  # an answer that comes late is nobody else's
    questions = [
        ImQuestion.of_text(person, f"am-{person:08x} {fault} {AT_ONCE}", canary=f"am-{person:08x}")
        for person in people
    ]
    return [turn.outcome for turn in link.ask(*questions)]


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        ("", Outcome.OK),
        ("[sim:silence]", Outcome.SILENT),
        ("[sim:zombie]", Outcome.SILENT),
        ("[sim:duplicate]", Outcome.DUPLICATED),
        ("[sim:parts:3]", Outcome.OK),
        ("[sim:late_ack:0.2]", Outcome.OK),
        ("[sim:shuffled:0.3]", Outcome.OK),
        ("[sim:agent_error]", Outcome.AGENT_ERROR),
        ("[sim:blocked]", Outcome.BLOCKED),
        ("[sim:lost_link]", Outcome.LOST_LINK),
        ("[sim:adapter_shutdown:0.3]", Outcome.LOST_LINK),
        ("[sim:killed:0.3]", Outcome.LOST_LINK),
    ],
)
def test_a_fault_has_one_name(sim, fault, outcome):
    with linked(sim) as link:
        assert ask(link, fault) == [outcome]
    until(lambda: sim.messenger.is_open)  # until it is back, for the next one


def test_answers_that_go_to_each_other_are_misrouted(sim):
    with linked(sim) as link:
        assert ask(link, "[sim:misrouted:5]", 2) == [Outcome.MISROUTED] * 2
