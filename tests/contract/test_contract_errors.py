"""Refusals: what they look like in the two families."""

import pytest
from contract_driver import Server, chat, new_name

from astrometer.api import endpoints as ep
from astrometer.api.outcome import Outcome

BUSINESS_ERRORS = {
    "no username": ({"message": "x"}, "Missing key: username"),
    "blank username": ({"username": " ", "message": "x"}, "username is empty"),
    "no message": ({"username": "u"}, "Missing key: message or files"),
    "only a reply": (
        {"username": "u", "message": [{"type": "reply", "message_id": "1"}]},
        "Message content is empty (reply only is not allowed)",
    ),
    "unknown config": ({"username": "u", "message": "x", "config_id": "none"}, "config_id not found: none"),
}


@pytest.mark.parametrize("case", BUSINESS_ERRORS)
def test_a_refused_chat_is_http_200_and_json(astrbot: Server, case: str) -> None:
    body, message = BUSINESS_ERRORS[case]
    answer = astrbot.call(ep.CHAT, json=body)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    envelope = {"status": "error", "message": message}
    assert answer.json() == (envelope if astrbot.fastapi else {**envelope, "data": None})


def test_an_empty_message_is_refused_in_the_words_of_its_version(astrbot: Server) -> None:
    old = astrbot.version < (4, 20, 1)
    message = "Message are both empty" if old else "Message content is empty (reply only is not allowed)"
    answer = astrbot.call(ep.CHAT, json={"username": "u", "message": ""})
    assert (answer.status_code, answer.json()["message"]) == (200, message)


def test_a_blank_message_is_an_empty_stream_before_4_20_1(astrbot: Server) -> None:
    answer = astrbot.call(ep.CHAT, json={"username": "u", "message": "   "})
    if astrbot.version < (4, 20, 1):
        assert answer.headers["content-type"] == "text/event-stream"
        assert '"type": "end"' in answer.text
    else:
        assert answer.json()["status"] == "error"


def test_a_session_of_another_user_is_refused(astrbot: Server) -> None:
    session_id = new_name("session")
    chat(astrbot, "[[ttft=0 tokens=1]]", username="owner", session_id=session_id)
    refused = chat(astrbot, "[[ttft=0 tokens=1]]", username="stranger", session_id=session_id)
    assert refused.turn.outcome is Outcome.API_ERROR
    assert "session_id belongs to another username" in refused.turn.detail


def test_bad_json_is_422_in_the_f_family_even_without_a_key(astrbot: Server) -> None:
    headers = {"Content-Type": "application/json"}
    keyless = astrbot.raw("POST", ep.CHAT.path, content=b"{bad", headers=headers)
    keyed = astrbot.call(ep.CHAT, content=b"{bad", headers=headers)
    if astrbot.fastapi:
        assert (keyless.status_code, keyed.status_code) == (422, 422)
        assert keyed.json()["detail"][0]["type"] == "json_invalid"
    else:
        assert (keyless.status_code, keyed.status_code) == (401, 200)
        assert keyed.json()["message"] == "Missing key: username"


def test_a_username_that_is_a_number_is_422_in_the_f_family(astrbot: Server) -> None:
    answer = astrbot.call(ep.CHAT, json={"username": 5, "message": ""})
    if astrbot.fastapi:
        assert answer.status_code == 422
        assert answer.json()["detail"] == [
            {
                "type": "string_type",
                "loc": ["body", "username"],
                "msg": "Input should be a valid string",
                "input": 5,
            }
        ]
    else:
        assert answer.status_code == 200


def test_a_json_list_crashes_the_q_family(astrbot: Server) -> None:
    assert astrbot.call(ep.CHAT, json=[1]).status_code == (422 if astrbot.fastapi else 500)


def test_an_unknown_path_is_a_200_page_in_the_q_family(astrbot: Server) -> None:
    answer = astrbot.raw("GET", "/api/v1/no-such-thing", headers=astrbot.auth("all"))
    if astrbot.fastapi:
        assert (answer.status_code, answer.json()["status"]) == (404, "error")
    else:
        assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert answer.text.startswith("404 Not found")


def test_a_wrong_method_is_405(astrbot: Server) -> None:
    answer = astrbot.raw("POST", ep.CONFIGS.path, headers=astrbot.auth("all"))
    assert answer.status_code == 405
    assert answer.headers["content-type"].startswith("application/json" if astrbot.fastapi else "text/html")


def test_an_admins_name_is_reserved_from_4_27(astrbot: Server) -> None:
    answer = astrbot.call(ep.CHAT, json={"username": "astrbot", "message": ""})
    reserved = "username is reserved for an AstrBot administrator"
    assert (answer.json()["message"] == reserved) == (astrbot.version >= (4, 27, 0))
