"""Making, reading, stopping and deleting sessions: what a key may take back of what it made."""

import time

import pytest
from contract_driver import Server, chat, new_name, streaming_chat

from astrometer.api import endpoints as ep
from astrometer.api.chat.messages import Attachment, Plain, chat_body
from astrometer.api.outcome import Outcome

ONE_TOKEN = "[[ttft=0 tokens=1]]"


def own_name(server: Server, key: str = "chat") -> str:
    return f"api_key:{server.key_ids[key]}"


@pytest.fixture
def deletes(astrbot: Server) -> Server:
    if not astrbot.fastapi:
        pytest.skip("no session API before 4.26.0")
    return astrbot


def test_before_4_26_no_key_can_delete_a_session(astrbot: Server) -> None:
    path = ep.SESSION_DELETE.path.format(session_id="some-session")
    answer = astrbot.raw("DELETE", path, headers=astrbot.auth("chat"))
    assert answer.status_code == (200 if astrbot.fastapi else 405)


def test_from_4_29_a_key_learns_its_own_id(deletes: Server) -> None:
    made = deletes.call(ep.SESSION_NEW, key="chat").json()["data"]
    detail = deletes.call(ep.SESSION_GET, key="chat", path={"session_id": made["session_id"]}).json()["data"]
    if deletes.version >= (4, 29, 0):
        assert detail["session"]["creator"] == own_name(deletes)
    else:
        assert "session" not in detail
    deletes.call(ep.SESSION_DELETE, key="chat", path={"session_id": made["session_id"]})


def test_a_session_made_as_the_keys_own_user_can_be_deleted(deletes: Server) -> None:
    session_id = new_name("session")
    chat(deletes, ONE_TOKEN, username=own_name(deletes), session_id=session_id)
    before = deletes.call(ep.SESSIONS, params={"username": own_name(deletes)}).json()["data"]
    assert session_id in [row["session_id"] for row in before["sessions"]]
    deleted = deletes.call(ep.SESSION_DELETE, key="chat", path={"session_id": session_id})
    assert (deleted.status_code, deleted.json()["status"]) == (200, "ok")
    after = deletes.call(ep.SESSIONS, params={"username": own_name(deletes)}).json()["data"]
    assert session_id not in [row["session_id"] for row in after["sessions"]]
    again = deletes.call(ep.SESSION_DELETE, key="chat", path={"session_id": session_id})
    assert again.json()["message"] == f"Session {session_id} not found"


@pytest.mark.parametrize("endpoint", [ep.SESSION_GET, ep.SESSION_DELETE, ep.SESSION_STOP])
def test_a_session_of_any_other_user_is_out_of_reach(deletes: Server, endpoint: ep.Endpoint) -> None:
    session_id = new_name("session")
    chat(deletes, ONE_TOKEN, username=new_name("somebody"), session_id=session_id)
    answer = deletes.call(endpoint, key="chat", path={"session_id": session_id})
    if deletes.version == (4, 26, 0) and endpoint is ep.SESSION_GET:
        assert answer.json()["status"] == "ok"  # 4.26.0 lets any chat key read any session
    else:
        assert (answer.status_code, answer.json()["message"]) == (200, "Permission denied")


def test_batch_delete_says_ok_and_tells_the_failures_inside(deletes: Server) -> None:
    mine, others = new_name("session"), new_name("session")
    chat(deletes, ONE_TOKEN, username=own_name(deletes), session_id=mine)
    chat(deletes, ONE_TOKEN, username=new_name("somebody"), session_id=others)
    answer = deletes.raw(
        "POST",
        f"{ep.API}/chat/sessions/batch-delete",
        headers=deletes.auth("chat"),
        json={"session_ids": [mine, others, "none"]},
    )
    data = answer.json()["data"]
    assert (answer.json()["status"], data["deleted_count"]) == ("ok", 1)
    reasons = {item["session_id"]: item["reason"] for item in data["failed_items"]}
    assert reasons == {others: "permission denied", "none": "not found"}


def test_deleting_a_session_deletes_the_uploads_in_it(deletes: Server) -> None:
    file = {"file": (f"{new_name()}.txt", b"hello", "text/plain")}
    attachment_id = deletes.call(ep.UPLOAD, key="file", files=file).json()["data"]["attachment_id"]
    session_id = new_name("session")
    message = [Plain(text=ONE_TOKEN), Attachment(kind="file", attachment_id=attachment_id)]
    chat(deletes, message, username=own_name(deletes), session_id=session_id)
    deletes.raw("DELETE", f"{ep.API}/files/{attachment_id}", headers=deletes.auth("file"))
    kept = deletes.call(ep.DOWNLOAD, key="file", params={"attachment_id": attachment_id})
    assert kept.content == b"hello"  # deleting the upload itself says ok and does nothing
    deletes.call(ep.SESSION_DELETE, key="chat", path={"session_id": session_id})
    gone = deletes.call(ep.DOWNLOAD, key="file", params={"attachment_id": attachment_id})
    assert gone.json()["message"] == "Attachment not found"


def test_a_running_turn_can_be_stopped_by_its_owner(deletes: Server) -> None:
    session_id = new_name("session")
    body = chat_body(
        username=own_name(deletes), message="[[ttft=0.1 gap=0.1 tokens=200]]", session_id=session_id
    )
    started = time.perf_counter()
    with streaming_chat(deletes, body, "chat") as (response, exchange):
        stopped = None
        for chunk in response.iter_raw():
            exchange.feed(time.perf_counter(), chunk)
            if stopped is None and b'"plain"' in chunk:
                stopped = deletes.call(ep.SESSION_STOP, key="chat", path={"session_id": session_id}).json()
        exchange.eof(time.perf_counter())
    assert stopped is not None
    assert stopped["data"] == {"stopped_count": 1}
    assert time.perf_counter() - started < 10
    assert exchange.result().outcome in (Outcome.OK, Outcome.NOT_ASKED)
    deletes.call(ep.SESSION_DELETE, key="chat", path={"session_id": session_id})
