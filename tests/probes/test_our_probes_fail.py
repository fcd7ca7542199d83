"""Our probes when something is wrong: each names the right reason, and settings change what they ask."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import httpx
import pytest

from astrometer import bundled
from astrometer.api.management_endpoints import BOT_CREATE
from astrometer.config.secret import Secret
from astrometer.config.settings import Key, Target
from astrometer.probing.plan import Plan
from astrometer.probing.probe_files import load_folder
from astrometer.probing.runner import Runner
from astrometer.probing.verdict import ProbeRun

OURS = load_folder(bundled.folder("probes")).probes


def run(name: str, target: Target, **options: object) -> ProbeRun:
    return asyncio.run(Runner().run(Plan(target=target, probe=OURS[name], options=options)))


def test_a_session_that_forgets_is_a_canary_mismatch(bench):
    """The second question clears the session's memory before the model sees it."""
    target = bench.target("all")
    assert run("multi_turn", target).ok
    forgetful = run("multi_turn", target, ask="[[canary=wrong]] Which word was it?")
    assert forgetful.reason == "canary_mismatch"
    assert len(forgetful.turns) == 2
    assert bench.sessions() == []


def test_multi_turn_asks_in_one_session_and_the_second_question_does_not_hold_the_word(bench):
    turns = run("multi_turn", bench.target("all")).turns
    assert turns[0].session_id == turns[1].session_id
    assert "{nonce}" not in OURS["multi_turn"].options["ask"]


def test_the_first_turn_of_multi_turn_that_fails_decides(bench):
    failed = run("multi_turn", bench.target("all"), tell="[[fail=401]] {nonce}")
    assert (failed.reason, len(failed.turns)) == ("llm_error", 1)


def test_attachments_are_sent_by_their_ids_and_gone_afterwards(bench):
    assert run("chat_segments", bench.target("all")).ok
    assert bench.store.counters["uploads"] == 2
    assert (list(bench.store.attachments), bench.sessions()) == ([], [])


def test_an_answer_without_the_word_fails_the_probes_with_attachments(bench):
    for name in ("chat_segments", "upload"):
        failed = run(name, bench.target("all"), question="[[canary=wrong]] {nonce}")
        assert (failed.reason, failed.cleanup_failures) == ("canary_mismatch", ()), name
    assert (list(bench.store.attachments), bench.sessions()) == ([], [])


def test_upload_sends_as_many_bytes_as_the_settings_say(bench):
    assert run("upload", bench.target("all"), bytes=50_000).detail.startswith("50000 bytes")


def test_chat_that_is_too_late_is_slow_and_is_in_time_without_the_setting(bench):
    question = "[[ttft=0.6]] {nonce}"
    late = run("chat", bench.target("all"), question=question, slow_after_s=0.1)
    assert (late.reason, late.ttft_s is not None) == ("slow", True)
    assert run("chat", bench.target("all"), question=question).ok


def test_chat_can_ask_for_an_answer_in_one_piece(bench):
    whole = run("chat", bench.target("all"), streaming=False)
    assert whole.ok
    assert not whole.turns[0].streaming


def test_im_pushes_only_where_it_is_told_to(bench):
    assert run("im", bench.target("all")).ok
    assert bench.store.counters["im_messages"] == 0
    pushed = run("im", bench.target("all"), umo="webchat:FriendMessage:someone")
    assert (pushed.reason, bench.store.counters["im_messages"]) == ("ok", 1)
    assert run("im", bench.target("all"), umo="nobody:FriendMessage:x").reason == "client_error"


@pytest.mark.parametrize("which", ["bench", "old_bench"])
def test_auth_makes_six_checks_and_every_header_lets_a_good_key_in(which, request):
    one = request.getfixturevalue(which)
    passed = run("auth", one.target("all", "revoked"), revoked=["revoked"])
    assert (passed.reason, passed.detail) == ("ok", "6 credential checks")
    # What follows asks for the version.
    assert [call.status for call in passed.calls][:6] == [401, 401, 401, 200, 200, 200]
    assert one.store.counters["model_asked"] == 0


def test_auth_with_a_revoked_key_that_still_gets_in_is_a_leak(bench):
    leak = run("auth", bench.target("all", "chat"), revoked=["chat"])
    assert (leak.reason, leak.detail) == ("leak", "let in: key chat in X-API-Key")


def test_auth_with_a_good_key_that_is_refused_names_the_key(bench):
    refused = run("auth", bench.target("expired"))
    assert (refused.reason, refused.detail) == ("unauthorized", "kept out: key expired in X-API-Key")


def test_auth_that_reaches_nobody_does_not_say_that_a_key_is_missing(bench):
    nobody = run("auth", bench.target("all", url="http://127.0.0.1:9"))
    assert (nobody.reason, nobody.detail) == ("connect", "could not ask (with no key)")


def test_auth_does_not_take_a_server_error_for_a_closed_door(bench):
    httpx.post(f"{bench.url}/sim/faults", json={"kind": "http_500", "rate": 1, "endpoint": "chat"})
    broken = run("auth", bench.target("all"))
    assert (broken.reason, broken.detail) == (
        "server_error",
        "inconclusive (with key all in X-API-Key)",
    )


PAGE = (200, "text/html", b"<h1>Welcome</h1>")
FINE = (200, "application/json", b'{"status": "ok", "data": {}}')
Canned = tuple[int, str, bytes]


def ask_canned(name: str, answer: Callable[[httpx.Request], Canned], stated: str | None = None) -> ProbeRun:
    """A probe with one key, against a server of canned answers."""

    async def respond(request: httpx.Request) -> httpx.Response:
        async def pieces() -> AsyncIterator[bytes]:
            yield body

        status, content_type, body = answer(request)
        return httpx.Response(status, headers={"Content-Type": content_type}, content=pieces())

    scopes = None if stated is None else frozenset(stated.split())
    key = Key(name="k", secret=Secret("abk_secret"), scopes=scopes)
    plan = Plan(target=Target(name="t", url="http://t", keys={"k": key}), probe=OURS[name])
    return asyncio.run(Runner(http=lambda: httpx.MockTransport(respond)).run(plan))


@pytest.mark.parametrize(
    ("openapi", "reason", "cells"),
    [
        (FINE, "ok", 13),
        ((401, "application/json", b'{"status": "error"}'), "ok", 6),
        ((404, "text/plain", b""), "ok", 6),
        (PAGE, "ok", 6),
        ((503, "text/plain", b""), "server_error", 0),
        ((429, "text/plain", b""), "rate_limited", 0),
        ((302, "text/html", b""), "client_error", 0),
        (httpx.ReadTimeout(""), "reset", 0),
    ],
)
def test_scopes_take_a_server_for_an_old_one_only_where_it_answers_like_one(openapi, reason, cells):
    def answer(request: httpx.Request) -> Canned:
        if not request.url.path.endswith("/openapi.json"):
            return FINE
        if isinstance(openapi, Exception):
            raise openapi
        return openapi

    found = ask_canned("scopes", answer, "*")
    assert (found.reason, len(found.scope_checks)) == (reason, cells)
    assert found.ok or found.detail.startswith("inconclusive: openapi.json")


def test_the_page_of_a_proxy_proves_no_scope_and_is_a_leak_where_nobody_may_pass():
    allowed = ask_canned("scopes", lambda _: PAGE, "chat config file im")
    assert (allowed.reason, allowed.scope_checks) == ("malformed", ())
    assert "inconclusive: k -> chat (malformed)" in allowed.detail
    denied = ask_canned("scopes", lambda _: PAGE, "bot")
    assert (denied.reason, {check.violation for check in denied.scope_checks}) == ("leak", {"leak"})


def test_the_page_of_a_proxy_opens_no_door():
    assert ask_canned("auth", lambda _: PAGE).reason == "leak"
    kept_out = (401, "application/json", b"{}")
    let_in = ask_canned("auth", lambda asked: PAGE if "abk_secret" in str(asked.headers.raw) else kept_out)
    assert (let_in.reason, let_in.detail) == ("malformed", "inconclusive (with key k in X-API-Key)")


def test_scopes_leave_out_the_keys_they_are_told_to(bench):
    target = bench.target(all="chat config file im", revoked="chat")
    assert run("scopes", target).reason == "unauthorized"
    assert run("scopes", target, skip_keys=["revoked"]).ok


@pytest.mark.parametrize(
    ("stated", "reason"),
    [
        ("config", "ok"),
        ("config bot provider", "ok"),
        ("bot provider", "leak"),
        ("config plugin", "forbidden"),
    ],
)
def test_a_scope_includes_what_it_includes(bench, stated, reason):
    target = bench.target(config=stated)
    found = run("scopes", target)
    assert found.reason == reason
    assert len(found.scope_checks) == 13


def test_a_key_with_the_star_may_everything(bench):
    before = bench.store.keys["all"]
    bench.store.by_secret[before.secret] = replace(before, scopes=frozenset({"*"}))
    star = Key(name="star", secret=Secret(before.secret), scopes=frozenset({"*"}))
    assert run("scopes", Target(name="t", url=bench.url, keys={"star": star})).ok


@pytest.mark.parametrize("endpoint", ["sessions", "configs", "im_bots"])
def test_reads_names_the_list_that_does_not_answer(bench, endpoint):
    httpx.post(f"{bench.url}/sim/faults", json={"kind": "http_500", "rate": 1, "endpoint": endpoint})
    failed = run("reads", bench.target("all"))
    assert failed.reason == "server_error"
    assert failed.detail.startswith("/api/v1/")


def test_server_needs_no_key_and_tells_since_when_it_runs(bench):
    seen = run("server", Target(name="t", url=bench.url))
    assert (seen.ok, seen.used_key) == (True, False)
    assert seen.server_started_at == bench.store.started_at


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (PAGE, "malformed"),
        (FINE, "malformed"),  # no start time in it
        ((503, "text/plain", b""), "server_error"),
        ((403, "text/html", b"no"), "skipped"),  # a proxy's: AstrBot lets everybody ask
        ((404, "text/html", b"no"), "skipped"),
    ],
)
def test_server_tells_astrbot_from_what_stands_before_it(answer, reason):
    assert ask_canned("server", lambda _: answer).reason == reason


def test_im_names_an_adapter_that_ended_where_a_key_may_ask(bench):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = {"ws_reverse_host": "127.0.0.1", "ws_reverse_port": taken.getsockname()[1]}
        config = {"id": "qq", "type": "aiocqhttp", "enable": True, "ws_reverse_token": "T" * 12, **settings}
        made = httpx.post(
            f"{bench.url}{BOT_CREATE.path}", json={"config": config},
            headers={"X-API-Key": bench.store.keys["all"].secret},
        )  # fmt: skip
        assert made.is_success
    dead = run("im", bench.target(all="im bot"))
    assert dead.reason == "lost_link"
    assert dead.detail.startswith("qq: ended with ")
    assert run("im", bench.target(all="im")).ok, "a key without the scope is not used to ask"
