"""The session against the simulator's messenger, over a real socket: each fault under one name."""

from contextlib import ExitStack
from itertools import count

import pytest
from blocking_link import BlockingLink

from astrometer.api.outcome import Outcome
from astrometer.im.im_exchange import ImDeadlines, ImQuestion
from astrometer.im.im_turn import MatchedBy
from astrometer.im.link.link_address import LinkAddress
from astrometer.im.messenger_session import MessengerSession
from astrometer.targets.messenger.messenger_profile import MessengerProfile
from astrometer.targets.serving import serve
from astrometer.targets.simulator.simulator_app import Simulator
from astrometer.targets.simulator.simulator_config import MessengerConfig, SimulatorConfig

people = count(5001)


def nonce_of(user_id):
    return f"am-{user_id:08x}"


def asking(words="", *, canary=True, user_id=None):
    user_id = next(people) if user_id is None else user_id
    text = f"[q] {nonce_of(user_id)} {words} [[ttft=0 gap=0 tokens=6]]"
    return ImQuestion.of_text(user_id, text, canary=nonce_of(user_id) if canary else None)


class Linked(BlockingLink):
    """A session at a simulator of its own."""

    def __init__(self, stack, *, quoted_quiet_s=0.4, **profile):
        made = MessengerConfig(profile=MessengerProfile(**profile), ack_timeout_s=2.0)
        self.simulator = Simulator(SimulatorConfig(messenger=made))
        stack.enter_context(serve(self.simulator))
        adapter = self.simulator.messenger
        limits = ImDeadlines(reply_s=1.5, quiet_s=0.8, quoted_quiet_s=quoted_quiet_s)
        address = LinkAddress.parse(adapter.url, self_id=10001, token=adapter.token)
        super().__init__(MessengerSession(address, first_message_id=1, deadlines=limits))
        self.connect()
        stack.callback(self.leave)


@pytest.fixture
def linked():
    with ExitStack() as stack:
        yield lambda **options: Linked(stack, **options)


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        ("", Outcome.OK),
        ("silence", Outcome.SILENT),
        ("zombie", Outcome.SILENT),
        ("duplicate", Outcome.DUPLICATED),
        ("agent_error", Outcome.AGENT_ERROR),
        ("blocked", Outcome.BLOCKED),
        ("lost_link", Outcome.LOST_LINK),
        ("adapter_shutdown", Outcome.LOST_LINK),
        ("killed", Outcome.LOST_LINK),
    ],
)
@pytest.mark.parametrize("quotes", [True, False], ids=["quoted", "unquoted"])
def test_each_fault_has_one_name(linked, fault, outcome, quotes):
    link = linked(reply_with_quote=quotes)
    words = f"[sim:{fault}]" if fault else ""
    (turn,) = link.ask(asking(words))
    assert turn.outcome is outcome, turn
    assert link.session.outstanding == 0


@pytest.mark.parametrize("quotes", [True, False], ids=["quoted", "unquoted"])
def test_answers_that_go_to_each_other_are_no_silence_and_no_answers(linked, quotes):
    link = linked(reply_with_quote=quotes)
    turns = link.ask(asking("[sim:misrouted:20]"), asking("[sim:misrouted:20]"), asking())
    assert [turn.outcome for turn in turns] == [Outcome.MISROUTED, Outcome.MISROUTED, Outcome.OK]


def test_the_bug_of_two_event_loops_has_a_share_of_those_who_ask_at_once(linked):
    turns = linked().ask(*(asking("[sim:queue_bug]") for _ in range(40)))
    assert {turn.outcome for turn in turns} == {Outcome.OK, Outcome.AGENT_ERROR}
    failed = next(turn for turn in turns if turn.outcome is Outcome.AGENT_ERROR)
    assert "different event loop" in failed.detail


def test_a_late_acknowledgement_holds_up_only_its_own_session(linked):
    link = linked()
    (turn,) = link.ask(asking("[sim:late_ack:1]", user_id=5900))
    assert turn.outcome is Outcome.OK
    held, free = link.ask(asking(user_id=5900), asking())
    assert (held.outcome, free.outcome) == (Outcome.OK, Outcome.OK)
    assert held.reply_first_s > free.reply_first_s + 0.2


def test_parts_are_one_answer(linked):
    (turn,) = linked(quoted_quiet_s=None).ask(asking("[sim:parts:3]"))
    assert (turn.outcome, turn.messages, turn.segmented, turn.duplicates) == (Outcome.OK, 3, True, 0), turn


def test_shuffled_answers_find_their_questions(linked):
    link = linked()
    turns = link.ask(asking("[sim:shuffled:1]"), *(asking() for _ in range(5)))
    assert {turn.outcome for turn in turns} == {Outcome.OK}
    assert {turn.matched_by for turn in turns} == {MatchedBy.QUOTE}


def test_two_hundred_people_over_one_link_are_all_accounted_for(linked):
    link = linked()
    turns = link.ask(*(asking() for _ in range(200)))
    assert {turn.outcome for turn in turns} == {Outcome.OK}
    assert link.session.strays.total() == 0


def test_a_zombie_is_left_by_closing_and_connecting_again(linked):
    link = linked()
    assert link.ask(asking("[sim:zombie]"))[0].outcome is Outcome.SILENT
    assert link.ask(asking())[0].outcome is Outcome.SILENT
    link.leave()
    link.run(lambda: link.session.may_connect(link.now()), 5)
    assert link.connect() is None
    assert link.ask(asking())[0].outcome is Outcome.OK


def test_a_link_that_was_killed_comes_again_and_asks_nothing_twice(linked):
    link = linked()
    assert link.ask(asking("[sim:adapter_shutdown:1]"))[0].outcome is Outcome.LOST_LINK
    link.again()
    assert link.ask(asking())[0].outcome is Outcome.OK
    assert link.session.links_lost == 1
