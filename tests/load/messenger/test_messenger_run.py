"""Who writes in a run's messenger: each user one person, each chat of `--transport messenger` another."""

import pytest
from onebot_peer import Peer

from astrometer.api.outcome import Outcome
from astrometer.im.im_exchange import ImQuestion
from astrometer.im.open_questions import StrayKind
from astrometer.load.messenger.messenger_run import MessengerOfRun
from astrometer.load.options import Settings
from astrometer.load.run.run_names import USERS_PER_WORKER

WORKERS = (0, 1, 30)


def people_of(worker):
    return MessengerOfRun(Settings(messenger="ws://bot:1/ws"), "run", worker)


def test_strangers_are_nobody_else_of_the_run_whatever_the_process():
    numbers = [number for worker in WORKERS for number in strangers(worker, 1000)]
    users = range(1, (max(WORKERS) + 1) * USERS_PER_WORKER)
    assert len(set(numbers)) == len(numbers)
    assert not set(numbers) & set(users)


def strangers(worker, count):
    people = people_of(worker)
    return [people.new_number() for _ in range(count)]


@pytest.mark.parametrize("number", [1, 10_000_001, 99_999_999])
def test_an_id_has_at_most_the_digits_that_were_tried_on_real_servers(number):
    person = people_of(0).person(number)
    assert 0 < person.user_id < 10**14
    assert person == people_of(0).person(number)
    assert person != MessengerOfRun(Settings(messenger="ws://bot:1/ws"), "another run", 0).person(number)


@pytest.mark.parametrize("where", ["person", "group"])
def test_after_a_silence_somebody_else_goes_on_and_never_gets_the_late_reply(where):
    """Nothing quotes, and there are no nonces: a reply is of who waits in its chat."""
    people = MessengerOfRun(Settings(messenger=("ws://bot:1/ws",)), "run", 0)
    session, peer, place_of = people.client.session, Peer(), getattr(people, where)

    def ask(t):
        place = place_of(1)
        exchange = session.ask(t, ImQuestion.of_text(place.user_id or 5001, "hi", group_id=place.group_id))
        peer.hear(session.outgoing())
        return exchange

    def say(t, exchange, text):
        private = exchange.place.group_id is None
        say_in, whom = (
            (peer.private, exchange.place.user_id) if private else (peer.group, exchange.place.group_id)
        )
        session.feed(t, say_in(whom, text))

    session.connect(0.0)
    session.feed(0.0, peer.hear(session.outgoing()).accept())
    first = ask(1.0)
    assert place_of(1) == first.place  # as long as it may be answered
    session.expire(400.0)
    assert first.result().outcome is Outcome.SILENT
    second = ask(900.0)  # longer ago than AstrBot waits for anything but a model
    assert second.place != first.place
    say(901.0, first, "late")
    say(901.1, first, "and its rest")
    assert not second.answered
    say(902.0, second, "in time")
    session.expire(910.0)
    assert (second.result().outcome, second.result().text) == (Outcome.OK, "in time")
    assert place_of(1) == second.place


@pytest.mark.parametrize("where", ["person", "group"])
@pytest.mark.parametrize("quotes", [False, True])
def test_after_an_error_somebody_else_goes_on_unless_it_quotes_its_question(where, quotes):
    """AstrBot may send an answer after an error, however long after it."""
    people = MessengerOfRun(Settings(messenger=("ws://bot:1/ws",)), "run", 0)
    session, peer, place_of = people.client.session, Peer(), getattr(people, where)
    session.connect(0.0)
    session.feed(0.0, peer.hear(session.outgoing()).accept())

    def ask(t):
        place = place_of(1)
        return session.ask(t, ImQuestion.of_text(place.user_id or 5001, "hi", group_id=place.group_id))

    def say(t, exchange, text, *before):
        say_in = peer.private if where == "person" else peer.group
        session.feed(t, say_in(exchange.place.user_id or exchange.place.group_id, text, *before))

    def sign(exchange):
        return [{"type": "reply", "data": {"id": str(exchange.message_id)}}] if quotes else []

    first = ask(1.0)
    say(2.0, first, "LLM 响应错误: All chat models failed", *sign(first))
    session.expire(10.0)
    assert first.result().outcome is Outcome.LLM_ERROR
    second = ask(20.0)
    assert (second.place == first.place) is quotes
    say(20.1, first, "after all", *sign(first))
    assert not second.answered
    assert session.strays == {StrayKind.DUPLICATE if quotes else StrayKind.LATE: 1}
    say(21.0, second, "in time", *sign(second))
    session.expire(30.0)
    assert (second.result().outcome, second.result().text) == (Outcome.OK, "in time")
    assert place_of(1) == second.place
