"""Answers of servers and of what stands before them -> the version that runs, and the one on disk."""

import json

import pytest

from astrometer.api.call_exchange import CallExchange
from astrometer.api.server_versions import (
    ServerVersions,
    is_before_4_26,
    version_in_help,
    versions_in,
)


def answer(body, status=200, content_type="application/json"):
    exchange = CallExchange(timeout_s=1.0)
    exchange.sent(0.0)
    exchange.headers(0.1, status, content_type)
    exchange.feed(0.1, body.encode())
    exchange.eof(0.2)
    return exchange.result()


def told(**data):
    return versions_in(answer(json.dumps({"status": "ok", "data": data})))


def test_the_version_that_runs_and_the_one_on_disk():
    assert told(astrbot_version="4.29.3", astrbot_code_version="4.30.0") == ServerVersions(
        running="4.29.3", on_disk="4.30.0"
    )
    assert told(astrbot_version="v4.29.3-beta.1").running == "4.29.3-beta.1"


@pytest.mark.parametrize(
    ("on_disk", "is_outdated"),
    [("4.29.3", False), ("v4.29.3", False), ("4.30.0", True), ("4.29.2", True), (None, False), ("x", False)],
)
def test_it_is_outdated_when_other_code_is_known_to_be_on_disk(on_disk, is_outdated):
    assert told(astrbot_version="4.29.3", astrbot_code_version=on_disk).is_outdated is is_outdated


@pytest.mark.parametrize(
    "version", ["", "4.29", "4.29.3\0", "4.29.3 x", "4.29.3\x1b[31m", 4, None, ["4.29.3"]]
)
def test_what_is_no_version_is_not_taken_for_one(version):
    assert told(astrbot_version=version) is None


@pytest.mark.parametrize(
    ("status", "content_type", "body"),
    [
        (200, "text/html", "<html>"),
        (200, "application/json", "[]"),
        (200, "application/json", '{"data": null}'),
        (200, "application/json", '{"status": "error", "data": {"astrbot_version": "4.29.3"}}'),
        (401, "application/json", '{"status": "error", "message": "Missing API key", "data": null}'),
        (404, "application/json", '{"status": "error", "message": "Not Found"}'),
    ],
)
def test_other_answers_tell_no_version(status, content_type, body):
    assert versions_in(answer(body, status, content_type)) is None


@pytest.mark.parametrize(
    ("status", "content_type", "body", "is_old"),
    [
        (401, "application/json", '{"status": "error", "message": "Missing API key", "data": null}', True),
        (401, "text/html", "<h1>401 Authorization Required</h1>", False),  # a proxy before any version
        (403, "text/html", "<h1>403 Forbidden</h1>", False),
        (404, "text/html", "<h1>404 Not Found</h1>", False),
        (200, "text/html", "<html>", False),
    ],
)
def test_only_astrbots_own_wish_for_a_key_tells_that_it_is_old(status, content_type, body, is_old):
    assert is_before_4_26(answer(body, status, content_type)) is is_old


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("AstrBot v4.18.0(WebUI: None)\n/help - 查看帮助", "4.18.0"),
        ("AstrBot v4.26.0-beta.2(WebUI: v4.26.0)", "4.26.0-beta.2"),
        ("I am AstrBot, version four", None),
        ("", None),
    ],
)
def test_the_version_in_the_answer_to_help(text, version):
    found = version_in_help(text)
    assert (found.running if found else None) == version
