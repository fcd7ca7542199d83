"""Adapters, profiles and routes over the API, with a key of the scope config: 4.26 and later."""

import copy
import socket
from contextlib import contextmanager

import pytest
from contract_driver import new_name
from waiting import until

from astrometer.api import management_endpoints as ep


@pytest.fixture
def server(astrbot):
    if not astrbot.fastapi:
        pytest.skip("before 4.26 a key makes nothing")
    return astrbot


def ask(server, endpoint, key="config", **more):
    answer = server.call(endpoint, key=key, **more)
    return answer.status_code, answer.json()


def adapter(port, **more):
    name = new_name("bot")
    settings = {"ws_reverse_host": "127.0.0.1", "ws_reverse_port": port, "ws_reverse_token": "T" * 12}
    return {"id": name, "type": "aiocqhttp", "enable": True, **settings, **more}


@contextmanager
def made(server, config):
    status, body = ask(server, ep.BOT_CREATE, json={"config": config})
    assert (status, body["status"]) == (200, "ok"), body
    try:
        yield config["id"]
    finally:
        ask(server, ep.BOT_DELETE, params={"bot_id": config["id"]})


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return listening.getsockname()[1]


def listed(server, name):
    _, body = ask(server, ep.BOTS)
    return next((bot for bot in body["data"]["bots"] if bot["id"] == name), None)


def status_of(server, name):
    _, body = ask(server, ep.BOT_STATS)
    return next((row for row in body["data"]["platforms"] if row["id"] == name), None)


def settled(server, name):
    def row():
        found = status_of(server, name)
        return found if found and found["status"] in ("running", "error") else None

    return until(row)


def test_an_adapter_keeps_settings_that_astrbot_does_not_know_and_listens(server):
    config = adapter(free_port(), made_by_astrometer="2026-11-30")
    with made(server, config) as name:
        assert listed(server, name) == config  # its token in clear
        assert settled(server, name)["status"] == "running"
        socket.create_connection(("127.0.0.1", config["ws_reverse_port"]), 5).close()
        assert ask(server, ep.BOT_CREATE, json={"config": config}) == (
            400,
            {"status": "error", "message": f"Bot {name} already exists"},
        )
        assert ask(server, ep.BOT_ENABLE, json={"bot_id": name, "enabled": False})[0] == 200
        assert (listed(server, name)["enable"], status_of(server, name)) == (False, None)
        assert ask(server, ep.BOT_ENABLE, json={"bot_id": name, "enabled": True})[0] == 200
        assert settled(server, name)["status"] == "running"
    assert listed(server, name) is None
    status, body = ask(server, ep.BOT_DELETE, params={"bot_id": name})
    assert (status, body["message"]) == (400, f"Bot {name} not found")


def test_a_port_that_is_taken_is_said_by_the_status_alone(server):
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        made(server, adapter(taken.getsockname()[1])) as name,
    ):
        row = settled(server, name)
    assert row["status"] == "error"
    assert "address already in use" in row["last_error"]["message"].lower()


def test_a_whole_profile_can_be_made_and_a_part_of_one_cannot_be_used(server):
    _, body = ask(server, ep.PROFILE_GET, path={"profile_id": "default"})
    config = body["data"]["config"]
    assert {"admins_id", "platform_settings", "provider_settings"} <= set(config)
    name = new_name("profile")
    status, body = ask(server, ep.PROFILE_CREATE, json={"name": name, "config": config})
    assert status == 200, body
    profile_id = body["data"]["conf_id"]
    assert [one["id"] for one in profiles(server) if one["name"] == name] == [profile_id]
    part = new_name("part")
    status, _ = ask(server, ep.PROFILE_CREATE, json={"name": part, "config": {"wake_prefix": ["/"]}})
    assert status == 500
    # Yet it is stored, and can be deleted.
    for one in profiles(server):
        if one["name"] in (name, part):
            assert ask(server, ep.PROFILE_DELETE, path={"profile_id": one["id"]})[0] == 200
    assert not [one for one in profiles(server) if one["name"] in (name, part)]
    assert ask(server, ep.PROFILE_DELETE, path={"profile_id": profile_id})[0] == 400


def profiles(server):
    return ask(server, ep.PROFILES)[1]["data"]["info_list"]


def test_other_administrators_need_a_scope_of_their_own_in_newer_versions(server):
    _, body = ask(server, ep.PROFILE_GET, path={"profile_id": "default"})
    config = copy.deepcopy(body["data"]["config"]) | {"admins_id": ["astrbot", "1"]}
    name = new_name("admins")
    status, _ = ask(server, ep.PROFILE_CREATE, json={"name": name, "config": config})
    assert status == (403 if server.version >= (4, 27, 0) else 200)
    for one in profiles(server):
        if one["name"] == name:
            ask(server, ep.PROFILE_DELETE, path={"profile_id": one["id"]})


def routes(server):
    return list(ask(server, ep.ROUTES)[1]["data"]["routing"].items())


def test_routes_keep_their_order_which_is_the_one_they_are_tried_in(server):
    before = routes(server)
    first, second = f"{new_name('a')}::", f"{new_name('b')}:FriendMessage:*"
    for route in (first, second):
        assert ask(server, ep.ROUTE_SET, path={"route": route}, json={"config_id": "some-profile"})[0] == 200
    assert routes(server) == [*before, (first, "some-profile"), (second, "some-profile")]
    turned = dict([(second, "some-profile"), *before, (first, "some-profile")])
    assert ask(server, ep.ROUTES_REPLACE, json={"routing": turned})[0] == 200
    assert routes(server) == list(turned.items())
    for route in (first, second, second):  # one that is not there is fine, too
        assert ask(server, ep.ROUTE_DELETE, path={"route": route})[0] == 200
    assert routes(server) == before


@pytest.mark.parametrize(
    "endpoint", [ep.BOTS, ep.PROFILES, ep.ROUTES, ep.CONVERSATIONS], ids=lambda e: e.name
)
def test_a_key_without_the_scope_is_refused(server, endpoint):
    status, body = ask(server, endpoint, key="chat")
    assert (status, body["message"]) == (403, "Insufficient API key scope")
