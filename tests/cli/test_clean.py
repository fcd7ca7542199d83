"""`astrometer clean` against simulators of several versions, through the real client."""

import asyncio

import httpx
import pytest
from click.testing import CliRunner

from astrometer.cli import main
from astrometer.config.target_access import target_from_options
from astrometer.load.run import run_journal
from astrometer.probing.target_checks.server_info import ask_server_info
from astrometer.targets.serving import serve
from astrometer.targets.simulator.simulator_app import Simulator
from astrometer.targets.simulator.simulator_config import SimulatorConfig

OURS = "astrometer-a1b2c3-6f1f2c1e-0d35-4a9b-8b6e-3f1f2c1e0d35"


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Where the journal is; no key from outside."""
    for name in ("ASTRBOT_API_KEY_FILE", "ASTRBOT_API_KEY_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ASTROMETER_STATE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return monkeypatch


def server(version="4.29.3"):
    return Simulator(SimulatorConfig(version=version))


def chat(url, key, username, session):
    body = {"username": username, "message": "[t] hi [[ttft=0 gap=0 tokens=1]]", "session_id": session}
    answer = httpx.post(f"{url}/api/v1/chat", json=body, headers={"X-API-Key": key}, timeout=20)
    assert '"end"' in answer.text


def sessions(url, key, username):
    answer = httpx.get(
        f"{url}/api/v1/chat/sessions", params={"username": username}, headers={"X-API-Key": key}
    )
    return {row["session_id"] for row in answer.json()["data"]["sessions"]}


def clean(url, key, place, *more):
    place.setenv("ASTRBOT_API_KEY", key.secret)
    done = CliRunner().invoke(main, ["clean", "--host", url, *more])
    assert key.secret not in done.output
    return done


def test_only_what_is_ours_by_name_is_deleted_and_only_when_asked(place):
    app = server()
    with serve(app) as url:
        key = app.config.keys["all"]
        owner = f"api_key:{key.key_id}"
        for session in (OURS, "astrometer-notes", "somebody-else", "astrometer-am-0123456789abcdef"):
            chat(url, key.secret, owner, session)
        seen = clean(url, key, place)
        assert (seen.exit_code, "can be deleted: 2 session(s)" in seen.output) == (0, True), seen.output
        assert "not touched: 2 other" in seen.output
        assert "Nothing was deleted; --yes deletes the 2." in seen.output
        assert len(sessions(url, key.secret, owner)) == 4
        done = clean(url, key, place, "--yes")
        assert (done.exit_code, "Deleted 2, each seen to be gone." in done.output) == (0, True), done.output
        assert sessions(url, key.secret, owner) == {"astrometer-notes", "somebody-else"}


def test_sessions_of_named_users_are_counted_and_explained(place):
    app = server()
    with serve(app) as url:
        key = app.config.keys["all"]
        for number in (1, 2, 2):
            chat(url, key.secret, f"astrometer-a1b2c3-{number}", None)
        chat(url, key.secret, "astrometer-other-1", None)
        entry = run_journal.Entry(
            url=url, run_id="a1b2c3", prefix="astrometer", username=None, started=1.0, users=[[3, 0]]
        )
        run_journal.append(run_journal.path(), entry)
        done = clean(url, key, place, "--yes")
        assert done.exit_code == 0
        assert "stay: 3 session(s) of 2 user(s) such as astrometer-a1b2c3-1" in done.output
        assert len(sessions(url, key.secret, "astrometer-a1b2c3-2")) == 2


@pytest.mark.parametrize(
    ("version", "reason"),
    [("4.18.0", "before 4.26 deletes nothing"), ("4.28.2", "or ASTRBOT_API_KEY_ID beside --host")],
)
def test_a_version_that_cannot_delete_says_why(place, version, reason):
    app = server(version)
    with serve(app) as url:
        done = clean(url, app.config.keys["all"], place, "--yes")
        assert done.exit_code == 0, done.output
        assert reason in done.output
        assert "--deletable" not in done.output  # which is refused there


@pytest.mark.parametrize("version", ["4.20.0", "4.25.6"])
def test_the_sessions_of_look_ups_stay_too_and_are_listed(place, version):
    app = server(version)
    with serve(app) as url:
        key = app.config.keys["all"]
        place.setenv("ASTRBOT_API_KEY", key.secret)
        target = target_from_options(url, {"ASTRBOT_API_KEY": key.secret})
        asyncio.run(ask_server_info(target, 20.0))
        done = clean(url, key, place)
        assert "stay: 1 session(s) of 1 user(s) such as astrometer-probe." in done.output, done.output
        assert "--deletable" not in done.output


def test_the_id_of_the_key_from_outside_is_enough_for_4_28(place):
    app = server("4.28.2")
    with serve(app) as url:
        key = app.config.keys["all"]
        place.setenv("ASTRBOT_API_KEY_ID", key.key_id)
        chat(url, key.secret, f"api_key:{key.key_id}", OURS)
        assert "Deleted 1" in clean(url, key, place, "--yes").output


def test_a_key_that_is_refused_is_a_usage_error(place):
    with serve(server()) as url:
        place.setenv("ASTRBOT_API_KEY", "abk_wrong")
        done = CliRunner().invoke(main, ["clean", "--host", url])
    assert done.exit_code == 2
    assert f"{url} refuses the key (HTTP 401): it is bad, revoked or expired" in done.output


def test_nobody_there_is_exit_code_4(place):
    app = server()
    with serve(app) as url:
        pass
    assert clean(url, app.config.keys["all"], place).exit_code == 4
