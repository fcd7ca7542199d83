"""Pushes, and what becomes of answers when the connection changes."""

import time
from contextlib import ExitStack

import pytest
from messenger_contract import is_silent, people, push, refused
from onebot_client import OneBotTestClient, headers, quoted, refused_with, text_of
from waiting import PATIENCE_S, until

# pushes: the check of a link


def test_a_push_arrives_and_tells_who_took_it(messenger, client):
    person = next(people)
    assert push(messenger, person) == (200, None)
    (reply,) = client.wait()
    assert (reply["params"]["user_id"], text_of(reply), quoted(reply)) == (person, "pushed", None)
    client.answer = lambda _action: {"status": "failed", "retcode": 100, "wording": "nobody"}
    status, said = push(messenger, person, "GroupMessage")
    echo = client.actions[-1]["echo"]
    assert status == refused(messenger)
    shown = f"<ActionFailed status='failed', retcode=100, wording='nobody', echo={echo}>"
    assert said == f"Failed to send message: {shown}"


def test_a_push_without_a_client_fails_without_a_word(messenger):
    assert push(messenger, 1) == (refused(messenger), "Failed to send message: ")


# links


def test_an_answer_finds_the_client_that_came_back_in_time(messenger):
    asked = messenger.asked()
    with OneBotTestClient(messenger.url, messenger.token) as gone:
        gone.private(next(people), "[[ttft=1.5 gap=0 tokens=1]]")
        until(lambda: messenger.asked() == asked + 1)
    with OneBotTestClient(messenger.url, messenger.token) as back:
        assert text_of(back.wait()[0]) == "w0"


def test_an_answer_without_a_client_is_lost_for_ever(messenger):
    asked = messenger.asked()
    with OneBotTestClient(messenger.url, messenger.token) as gone:
        gone.private(next(people), "[[ttft=0.5 gap=0 tokens=1]]")
        until(lambda: messenger.asked() == asked + 1)
    time.sleep(1.0)  # the answer is made, and nobody is there
    with OneBotTestClient(messenger.url, messenger.token) as back:
        assert is_silent(messenger, back, 1.0)
        back.private(next(people), "[[ttft=0 tokens=1]]")
        assert len(back.wait()) == 1


def test_a_second_client_of_one_account_becomes_a_zombie(messenger):
    dead = (refused(messenger), "Failed to send message: ")
    with ExitStack() as later:
        with OneBotTestClient(messenger.url, messenger.token):
            second = later.enter_context(OneBotTestClient(messenger.url, messenger.token))
            assert push(messenger, 1) == (200, None)
            second.wait()  # it has taken the first one's place
        until(lambda: push(messenger, 1) == dead)
        asked = messenger.asked()
        second.private(next(people), "[[ttft=0 tokens=1]]")
        until(lambda: messenger.asked() == asked + 1)  # the model is paid
        assert is_silent(messenger, second, 1.0)
    with OneBotTestClient(messenger.url, messenger.token) as clean:
        clean.private(next(people), "[[ttft=0 tokens=1]]")
        assert len(clean.wait()) == 1


def test_a_second_account_loses_pushes_and_in_old_versions_answers(messenger, client):
    dead = (refused(messenger), "Failed to send message: ")
    with OneBotTestClient(messenger.url, messenger.token, self_id=10002) as other:
        until(lambda: push(messenger, 1) == dead)
        before = len(client.replies)
        client.private(next(people), "[[ttft=0 tokens=1]]")
        if messenger.version >= (4, 26, 0):
            assert len(client.wait(before + 1)) == before + 1
        else:
            assert is_silent(messenger, client, 1.5)
        assert other.replies == []


def test_an_adapter_that_is_switched_off_closes_in_order_and_comes_back(messenger):
    if messenger.version < (4, 23, 0):
        pytest.skip("4.18 waits for its clients to leave by themselves")
    with OneBotTestClient(messenger.url, messenger.token) as client:
        client.private(next(people), "[[ttft=0 tokens=1]]")
        client.wait()
        messenger.switch(on=False)
        assert client.wait_closed() == (1000, "Adapter shutdown")
    with pytest.raises(OSError, match="refused"):
        refused_with(messenger.url, headers(messenger.token))
    said = "Bot not found or not running for platform: messenger"
    assert push(messenger, 1) == (refused(messenger), said)
    messenger.switch(on=True)
    give_up = time.monotonic() + PATIENCE_S
    while True:
        try:
            with OneBotTestClient(messenger.url, messenger.token) as client:
                client.private(next(people), "[[ttft=0 tokens=1]]")
                assert len(client.wait()) == 1
                return
        except ConnectionRefusedError:
            if time.monotonic() > give_up:
                raise
            time.sleep(0.05)
