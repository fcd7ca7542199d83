"""The simulator's messenger: faults on demand, accounts of what happened, its end."""

import time
from collections import Counter
from contextlib import ExitStack

import httpx
import pytest
from onebot_client import OneBotTestClient, headers, quoted, refused_with, text_of
from waiting import until

from astrometer.targets.serving import ServerDidNotStart, serve
from astrometer.targets.simulator.onebot_adapter.simulated_adapter import queue_bug_chance
from astrometer.targets.simulator.simulated_faults import FaultKind, Planned
from astrometer.targets.simulator.simulator_app import Simulator
from astrometer.targets.simulator.simulator_config import MessengerConfig, SimulatorConfig

WELL = "[[ttft=0 gap=0 tokens=2]]"


@pytest.fixture
def sim():
    with ExitStack() as stack:
        yield started(stack)


def started(stack, **settings):
    config = SimulatorConfig(messenger=MessengerConfig(ack_timeout_s=0.5), **settings)
    app = Simulator(config)
    app.http_url = stack.enter_context(serve(app))
    return app


def client_of(sim, **more):
    return OneBotTestClient(sim.messenger.url, sim.messenger.token, **more)


def stats(sim):
    return httpx.get(f"{sim.http_url}/sim/stats").json()


# faults


@pytest.mark.parametrize(("fault", "asked"), [("silence", 1), ("zombie", 1)], ids=["silence", "zombie"])
def test_a_question_may_stay_without_an_answer(sim, fault, asked):
    with client_of(sim) as client:
        client.private(5001, f"[sim:{fault}] {WELL}")
        assert client.is_silent(0.5)
        assert stats(sim)["model_asked"] == asked


def test_a_zombie_lasts_until_the_client_connects_anew(sim):
    with client_of(sim) as client:
        client.private(5001, f"[sim:zombie] {WELL}")
        client.private(5002, WELL)
        assert client.is_silent(0.5)
    with client_of(sim) as client:
        client.private(5002, WELL)
        assert text_of(client.wait()[0]) == "w0 w1"


def test_a_duplicate_comes_twice_with_one_quote(sim):
    with client_of(sim) as client:
        message_id = client.private(5001, f"[sim:duplicate] {WELL}")
        assert [quoted(reply) for reply in client.wait(2)] == [message_id] * 2
        assert client.is_silent(0.3)


def test_parts_are_as_many_as_asked_for_and_quote_once(sim):
    with client_of(sim) as client:
        message_id = client.private(5001, "[sim:parts:3] [[ttft=0 gap=0 tokens=6]]")
        replies = client.wait(3)
        assert [text_of(reply) for reply in replies] == ["w0 w1", "w2 w3", "w4 w5"]
        assert [quoted(reply) for reply in replies] == [message_id, None, None]


def test_a_shuffled_answer_follows_a_later_one(sim):
    with client_of(sim) as client:
        first = client.private(5001, f"[sim:shuffled:20] {WELL}")
        client.until(lambda: stats(sim)["model_asked"] == 1, 5, "the first question")
        second = client.private(5002, WELL)
        assert [quoted(reply) for reply in client.wait(2)] == [second, first]


def test_a_shuffled_answer_that_nobody_follows_comes_late(sim):
    with client_of(sim) as client:
        started_at = time.perf_counter()
        client.private(5001, f"[sim:shuffled:0.5] {WELL}")
        client.wait()
        assert client.seen[0][0] - started_at > 0.49


def test_misrouted_answers_go_to_each_other(sim):
    with client_of(sim) as client:
        first = client.private(5001, f"[sim:misrouted:20] {WELL}")
        second = client.private(5002, f"[sim:misrouted:20] {WELL}")
        got = {reply["params"]["user_id"]: quoted(reply) for reply in client.wait(2)}
        assert got == {5001: second, 5002: first}


def test_a_late_acknowledgement_holds_up_its_session(sim):
    with client_of(sim) as client:
        client.private(5001, f"[sim:late_ack:0.6] {WELL}")
        client.wait()
        client.private(5001, WELL)
        client.wait(2)
        assert client.seen[1][0] - client.seen[0][0] > 0.55


def test_an_action_without_an_answer_is_given_up_after_the_timeout(sim):
    with client_of(sim, answer=lambda _action: None) as client:
        for _ in range(2):
            client.private(5001, WELL)
        client.wait(2)
        assert 0.45 < client.seen[1][0] - client.seen[0][0] < 1.5
        client.until(lambda: stats(sim)["im_undelivered"] == 2, 5, "both given up")


def test_a_lost_link_ends_without_a_close_and_the_answer_finds_who_is_back(sim):
    with client_of(sim) as client:
        client.private(5001, "[sim:lost_link] [[ttft=1 gap=0 tokens=1]]")
        assert client.wait_closed()[0] == 1006
    with client_of(sim) as client:
        assert text_of(client.wait()[0]) == "w0"


@pytest.mark.parametrize(
    ("fault", "end"), [("adapter_shutdown", (1000, "Adapter shutdown")), ("killed", (1006, ""))]
)
def test_an_outage_closes_refuses_and_comes_back(sim, fault, end):
    with client_of(sim) as client:
        client.private(5001, f"[sim:{fault}:0.5] [[ttft=0.2 gap=0 tokens=1]]")
        assert client.wait_closed() == end
    with pytest.raises(ConnectionRefusedError):
        refused_with(sim.messenger.url, headers(sim.messenger.token))
    until(lambda: sim.messenger.is_open)
    with client_of(sim) as client:
        client.private(5002, WELL)
        assert text_of(client.wait()[0]) == "w0 w1"
        assert client.is_silent(0.3)  # the answer under way is lost either way


def test_the_end_of_the_simulator_is_that_of_a_killed_server():
    with ExitStack() as later:
        with ExitStack() as first:
            client = later.enter_context(client_of(started(first)))
            client.private(5001, WELL)
            client.wait()
        assert client.wait_closed() == (1006, "")


def test_the_queue_bug_hits_the_share_that_was_measured():
    def share(people):
        return sum(map(queue_bug_chance, range(1, people + 1))) / people

    assert share(5) == 0
    assert share(10) == pytest.approx(0.07, abs=0.02)
    assert 0.31 <= share(20) <= 0.44
    assert share(40) == pytest.approx(0.64, abs=0.05)


def test_the_queue_bug_is_a_sentence_to_some_of_those_who_ask_at_once():
    with ExitStack() as stack:
        sim = started(stack, faults=(Planned(kind=FaultKind.QUEUE_BUG, rate=1),))
        client = stack.enter_context(client_of(sim))
        for person in range(6001, 6041):
            client.private(person, WELL)
        said = Counter(text_of(reply)[:14] for reply in client.wait(40))
        assert said["Error occurred"] + said["w0 w1"] == 40
        assert 18 <= said["Error occurred"] <= 34
        assert stats(sim)["model_asked"] == said["w0 w1"]


def test_a_planned_fault_strikes_a_share_and_chats_are_spared():
    with ExitStack() as stack:
        sim = started(stack, faults=(Planned(kind=FaultKind.DUPLICATE, count=2),))
        client = stack.enter_context(client_of(sim))
        key = {"X-API-Key": sim.config.keys["chat"].secret}
        chat = {"username": "u", "message": WELL}
        assert '"type": "end"' in httpx.post(f"{sim.http_url}/api/v1/chat", json=chat, headers=key).text
        for person in (5001, 5002, 5003):
            client.private(person, WELL)
        client.wait(5)
        assert client.is_silent(0.3)
        assert stats(sim)["faults_struck"] == 2


def test_a_fault_of_another_kind_of_request_does_not_strike_here(sim):
    with client_of(sim) as client:
        client.private(5001, f"[sim:cut] {WELL}")
        assert text_of(client.wait()[0]) == "w0 w1"
        client.private(5001, "[sim:nonsense] x")
        assert "unknown kind 'nonsense'" in text_of(client.wait(2)[-1])


# accounts


def test_a_thousand_people_are_answered_over_one_connection(sim):
    people = range(10_001, 11_001)
    with client_of(sim) as client:
        asked = {client.private(person, "[[ttft=0.2 gap=0 tokens=1]]"): person for person in people}
        replies = client.wait(1000, timeout_s=60)
        assert {quoted(reply): reply["params"]["user_id"] for reply in replies} == asked
        seen = stats(sim)
        assert (seen["im_events"], seen["im_questions"], seen["im_replies"]) == (1000, 1000, 1000)
        assert (seen["model_asked"], seen["im_undelivered"], seen["titles_asked"]) == (1000, 0, 0)


def test_the_sink_of_pushes_works_beside_it():
    with ExitStack() as stack:
        sim = started(stack, im_sink=True)
        client = stack.enter_context(client_of(sim))
        key = {"X-API-Key": sim.config.keys["im"].secret}
        bots = httpx.get(f"{sim.http_url}/api/v1/im/bots", headers=key).json()["data"]["bot_ids"]
        assert bots == ["onebot", "messenger"]
        for platform in bots:
            body = {"umo": f"{platform}:FriendMessage:5001", "message": f"to {platform}"}
            answer = httpx.post(f"{sim.http_url}/api/v1/im/message", headers=key, json=body)
            assert answer.status_code == 200
        assert [text_of(reply) for reply in client.wait()] == ["to messenger"]
        assert client.is_silent(0.2)
        (arrived,) = httpx.get(f"{sim.http_url}/onebot/messages").json()["messages"]
        assert (arrived["umo"], arrived["text"]) == ("onebot:FriendMessage:5001", "to onebot")


def test_the_profile_and_the_adapter_change_while_it_runs(sim):
    where = f"{sim.http_url}/sim/messenger"
    with client_of(sim) as client:
        assert httpx.post(where, json={"settings": ["reply_with_quote=off"]}).json()["open"] is True
        client.private(5001, WELL)
        assert quoted(client.wait()[0]) is None
        assert httpx.post(where, json={"adapter": "off"}).json()["open"] is False
        assert client.wait_closed() == (1000, "Adapter shutdown")
    assert httpx.post(where, json={"adapter": "on"}).json()["open"] is True
    with client_of(sim) as client:
        client.private(5001, WELL)
        client.wait()
    for wrong in ({}, {"adapter": "maybe"}, {"settings": ["nonsense=1"]}, {"other": 1}, []):
        assert httpx.post(where, json=wrong).status_code == 400


def test_a_port_that_is_taken_is_said_at_the_start(sim):
    other = Simulator(SimulatorConfig(messenger=MessengerConfig(port=sim.messenger.port)))
    with pytest.raises(ServerDidNotStart), serve(other):
        pass
