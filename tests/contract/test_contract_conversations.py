"""What AstrBot keeps of a messenger's users for its model, and how a key with the scope `data` removes it."""

import json

import httpx
import pytest
from messenger_contract import people
from waiting import until

from astrometer.api import management_endpoints as ep
from astrometer.targets.messenger.messenger_profile import MessengerProfile

ONE_TOKEN = "[[ttft=0 gap=0 tokens=1]]"


def call(messenger, endpoint, *, key=None, **more):
    url = endpoint.url(messenger.http_url)
    headers = {"X-API-Key": messenger.data_key if key is None else key}
    return httpx.request(endpoint.method, url, headers=headers, timeout=20, **more)


def rows(messenger, person, **more):
    params = {"search": str(person), "message_types": "FriendMessage", "page_size": "100", **more}
    return call(messenger, ep.CONVERSATIONS, params=params).json()["data"]["conversations"]


def delete(messenger, *named):
    body = {"conversations": [{"user_id": row["user_id"], "cid": row["cid"]} for row in named]}
    return call(messenger, ep.CONVERSATIONS_DELETE, json=body)


@pytest.fixture
def deletes(messenger):
    if messenger.version < (4, 26, 0):
        pytest.skip("no such API before 4.26")
    return messenger


@pytest.fixture
def asked(deletes, client):
    """(person, the conversation that holds the question)"""
    person = next(people)
    client.private(person, f"am-{person:016x} {ONE_TOKEN}")
    client.wait()
    until(lambda: [row for row in rows(deletes, person) if f"am-{person:016x}" in row["history"]])
    (row,) = rows(deletes, person)
    client.seen.clear()
    return person, row


def test_a_question_is_kept_under_the_adapter_and_its_user(deletes, asked):
    person, row = asked
    assert (row["user_id"], row["platform_id"]) == (f"messenger:FriendMessage:{person}", "messenger")
    said = json.loads(row["history"])
    assert [turn["role"] for turn in said] == ["user", "assistant"]
    assert f"am-{person:016x}" in json.dumps(said[0])
    assert rows(deletes, person, platforms="messenger")[0]["cid"] == row["cid"]
    assert rows(deletes, person, platforms="another") == []
    assert rows(deletes, person, message_types="GroupMessage") == []
    assert "history" not in rows(deletes, person, include_history="false")[0]


def test_a_deleted_conversation_is_gone_and_the_next_question_begins_another(deletes, asked, client):
    person, row = asked
    answer = delete(deletes, row)
    assert (answer.status_code, answer.json()["data"]["deleted_count"]) == (200, 1)
    assert rows(deletes, person) == []
    again = delete(deletes, row)  # nobody looks whether it was there
    assert (again.status_code, again.json()["data"]["deleted_count"]) == (200, 1)
    client.private(person, ONE_TOKEN)
    client.wait()
    until(lambda: rows(deletes, person))
    (new,) = rows(deletes, person)
    assert new["cid"] != row["cid"]


def test_reset_empties_a_conversation_and_new_begins_one_beside_it(deletes, asked, client):
    deletes.use(MessengerProfile(disable_builtin_commands=False))
    person, row = asked
    for words in ("/reset", "/new"):
        client.private(person, words)
        client.wait()
        client.seen.clear()
    found = {kept["cid"]: json.loads(kept["history"] or "[]") for kept in rows(deletes, person)}
    assert len(found) == 2
    assert found[row["cid"]] == []


def test_a_question_that_the_model_refuses_leaves_a_conversation_without_it(deletes, client):
    person = next(people)
    client.private(person, f"am-{person:016x} [[fail=401]]")
    client.wait()
    (row,) = rows(deletes, person)
    assert f"am-{person:016x}" not in row["history"]


def test_another_scope_is_refused_and_a_body_that_names_nothing_too(deletes):
    assert call(deletes, ep.CONVERSATIONS, key=deletes.im_key).status_code == 403
    assert call(deletes, ep.CONVERSATIONS_DELETE, key=deletes.im_key, json={}).status_code in (403, 422)
    assert call(deletes, ep.CONVERSATIONS, key="abk_unknown").status_code == 401
    assert call(deletes, ep.CONVERSATIONS_DELETE, json={}).status_code == 422
    assert delete(deletes).status_code == 400


def test_before_4_26_there_is_a_page_in_its_place(messenger):
    if messenger.version >= (4, 26, 0):
        pytest.skip("which have it")
    answer = call(messenger, ep.CONVERSATIONS)
    assert (answer.status_code, "text/html" in answer.headers["content-type"]) == (200, True)
