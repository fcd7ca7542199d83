"""Keys, scopes, and the ways to show a key."""

import pytest
from contract_driver import Server

from astrometer.api import endpoints as ep
from astrometer.api.server_versions import QUESTIONS

SIX = (ep.CHAT, ep.SESSIONS, ep.CONFIGS, ep.UPLOAD, ep.IM_MESSAGE, ep.IM_BOTS)
CONFIGS = ep.CONFIGS.path


def test_a_request_without_a_key_is_401(astrbot: Server) -> None:
    answer = astrbot.raw("GET", CONFIGS)
    assert (answer.status_code, answer.json()["message"]) == (401, "Missing API key")


@pytest.mark.parametrize("name", ["revoked", "expired"])
def test_a_revoked_or_expired_key_looks_like_an_unknown_one(astrbot: Server, name: str) -> None:
    unknown = astrbot.raw("GET", CONFIGS, headers={"Authorization": "Bearer abk_never_issued"})
    answer = astrbot.call(ep.CONFIGS, key=name)
    assert (answer.status_code, answer.json()) == (unknown.status_code, unknown.json())
    assert (answer.status_code, answer.json()["message"]) == (401, "Invalid API key")


@pytest.mark.parametrize("style", ["Bearer", "ApiKey", "X-API-Key"])
def test_a_key_may_be_shown_in_three_header_styles(astrbot: Server, style: str) -> None:
    key = astrbot.keys["config"]
    headers = {"X-API-Key": key} if style == "X-API-Key" else {"Authorization": f"{style} {key}"}
    assert astrbot.raw("GET", CONFIGS, headers=headers).status_code == 200


def test_the_scheme_is_case_sensitive(astrbot: Server) -> None:
    answer = astrbot.raw("GET", CONFIGS, headers={"Authorization": f"bearer {astrbot.keys['config']}"})
    assert answer.status_code == 401


def test_a_key_in_the_query_works_from_4_19_2(astrbot: Server) -> None:
    answer = astrbot.raw("GET", CONFIGS, params={"api_key": astrbot.keys["config"]})
    assert answer.status_code == (200 if astrbot.version >= (4, 19, 2) else 401)


def test_a_stray_bearer_token_beats_a_good_x_api_key_in_the_f_family_only(astrbot: Server) -> None:
    headers = {"Authorization": "Bearer stray", "X-API-Key": astrbot.keys["config"]}
    assert astrbot.raw("GET", CONFIGS, headers=headers).status_code == (401 if astrbot.fastapi else 200)


@pytest.mark.parametrize("name", ["chat", "config", "file", "im", "all"])
def test_each_key_reaches_the_endpoints_of_its_scope_and_no_other(astrbot: Server, name: str) -> None:
    for endpoint in SIX:
        body = {"json": {}} if endpoint in (ep.CHAT, ep.IM_MESSAGE) else {}
        answer = astrbot.call(endpoint, key=name, **body)
        if name in (endpoint.scope, "all"):
            assert answer.status_code not in (401, 403), endpoint.name
        else:
            assert answer.status_code == 403, endpoint.name
            assert answer.json()["message"] == "Insufficient API key scope"


def test_a_chat_without_username_probes_the_scope_for_free(astrbot: Server) -> None:
    answer = astrbot.call(ep.CHAT, key="chat", json={})
    assert (answer.status_code, answer.json()["message"]) == (200, "Missing key: username")


def test_the_start_time_needs_no_key(astrbot: Server) -> None:
    answer = astrbot.raw("GET", ep.START_TIME.path)
    assert answer.json()["data"]["start_time"] > 1_700_000_000


@pytest.mark.parametrize("endpoint", QUESTIONS, ids=lambda endpoint: endpoint.path)
def test_the_version_needs_no_key_from_4_26_on(astrbot: Server, endpoint: ep.Endpoint) -> None:
    answer = astrbot.raw("GET", endpoint.path)
    if astrbot.fastapi:
        told = answer.json()["data"]
        running = ".".join(map(str, astrbot.version))
        assert set(told) == {"webui_version", "astrbot_version", "astrbot_code_version"}
        assert (answer.status_code, told["astrbot_version"]) == (200, running)
        assert told["astrbot_code_version"] == running
    else:
        message = "未授权" if endpoint is ep.VERSIONS else "Missing API key"
        assert (answer.status_code, answer.json()) == (
            401,
            {"status": "error", "message": message, "data": None},
        )
