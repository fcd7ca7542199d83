"""Prompts that AstrBot would take for commands; the endpoint table."""

import pytest

from astrometer.api import endpoints
from astrometer.api.chat.commands import guard, is_command
from astrometer.api.endpoints import ENDPOINTS, parse_version


@pytest.mark.parametrize(
    "prompt",
    ["help me write a poem", "New ideas, please", " reset my expectations", "/help", "sid", "stats", "set x"],
)
def test_a_prompt_that_might_be_a_command_is_guarded(prompt):
    assert is_command(prompt)
    assert not is_command(guard(prompt))
    assert guard(prompt).endswith(prompt)


@pytest.mark.parametrize("prompt", ["Write a poem", "你好", "helpful hints?", "Please help me", ""])
def test_an_ordinary_prompt_is_sent_as_it_is(prompt):
    assert guard(prompt) == prompt


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("4.18.0", (4, 18, 0)),
        ("v4.29.3", (4, 29, 3)),
        ("4.26.0-beta.2", (4, 26, 0)),
        ("4.26.0+x", (4, 26, 0)),
    ],
)
def test_versions_are_compared_as_numbers(text, version):
    assert parse_version(text) == version


@pytest.mark.parametrize("text", ["", "4.18", "four", "4.x.0"])
def test_what_is_no_version_is_said_to_be_none(text):
    with pytest.raises(ValueError, match="not an AstrBot version"):
        parse_version(text)


def test_path_parameters_cannot_leave_their_place():
    url = endpoints.SESSION_GET.url("http://h:1/", session_id="../a/b?c")
    assert url == "http://h:1/api/v1/chat/sessions/..%2Fa%2Fb%3Fc"


def test_the_table_has_each_operation_once_and_the_six_of_the_document():
    assert len({(e.method, e.path) for e in ENDPOINTS}) == len(ENDPOINTS)
    documented = {(e.method, e.path.removeprefix("/api/v1"), e.scope) for e in ENDPOINTS[:6]}
    assert documented == {
        ("POST", "/chat", "chat"),
        ("GET", "/chat/sessions", "chat"),
        ("GET", "/configs", "config"),
        ("POST", "/file", "file"),
        ("POST", "/im/message", "im"),
        ("GET", "/im/bots", "im"),
    }


def test_downloads_came_with_4_22_1():
    assert not endpoints.DOWNLOAD.exists_in((4, 22, 0))
    assert endpoints.DOWNLOAD.exists_in((4, 22, 1))
