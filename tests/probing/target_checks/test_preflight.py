"""What is asked before a run trusts no server: bytes, time and depth are bounded, nothing is decompressed."""

import itertools
import json
import resource
import time
import zlib
from contextlib import contextmanager

import pytest
from click.testing import CliRunner
from hostile import JSON, Hostile

from astrometer.cli import main
from astrometer.config.secret import Secret
from astrometer.config.settings import Key, Target
from astrometer.probing.target_checks.preflight import (
    NotAstrBot,
    Unreachable,
    check_key,
    check_reachable,
    server_kind,
)
from astrometer.probing.target_checks.server_info import ask_server_info

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"


def bomb(megabytes):
    """That many million "[", compressed: one piece again and again, which takes no time. It has no end."""
    packer = zlib.compressobj(wbits=31)  # gzip
    first, other = (
        packer.compress(b"[" * 1_000_000) + packer.flush(zlib.Z_FULL_FLUSH)
        for _ in ("with a head", "without")
    )
    return first + (megabytes - 1) * other


BOMB = bomb(200)


def drip(start):
    yield start
    for _ in itertools.repeat(None):
        time.sleep(0.05)
        yield b" "


def endless(start, piece):
    yield start
    for _ in itertools.repeat(None):
        yield piece


ANSWERS = {
    "endless body": lambda _: endless(HEAD + b"\r\n", b"[" * 65536),
    "endless head": lambda _: endless(HEAD, b"X: y\r\n" * 1000),
    "bomb": lambda _: iter(
        [HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(BOMB), BOMB]
    ),
    "deep": lambda _: iter([JSON % (b"200 OK", 100_000, b"[" * 100_000)]),
    "drip": lambda _: drip(HEAD + b"\r\n"),
    "drip in the head": lambda _: drip(b"HTTP/1.1 200 OK\r\nX: "),
    "not HTTP": lambda _: iter([b"SSH-2.0-OpenSSH_9.2\r\n"]),
    "escapes": lambda _: iter([b"HTTP/1.1 200 OK\r\nContent-Type: a\x1b[31mb\r\nContent-Length: 0\r\n\r\n"]),
}


@contextmanager
def hostile_target(answer):
    server = Hostile(answer)
    try:
        yield Target(name="t", url=server.url, keys={"k": Key(name="k", secret=Secret("abk_x"))})
    finally:
        server.close()


@pytest.mark.parametrize("name", ANSWERS)
def test_every_question_ends_in_time_and_within_memory(name):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with hostile_target(ANSWERS[name]) as target:
        began = time.perf_counter()
        for ask in (check_reachable, check_key, server_kind):
            try:
                said = ask(target, timeout_s=0.5)
            except (Unreachable, NotAstrBot) as exc:
                said = str(exc)
            assert not set(str(said)) & set("\x1b\r\n\0")
        took_s = time.perf_counter() - began
    assert took_s < 3
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024 < 60


def test_an_answer_of_something_else_is_named_with_its_type(monkeypatch):
    with hostile_target(ANSWERS["escapes"]) as target, pytest.raises(NotAstrBot) as error:
        check_key(target)
    assert str(error.value).endswith(r"not like an AstrBot (HTTP 200, a\x1b[31mb)")


@pytest.mark.parametrize(
    ("version", "creator"),
    [
        ("4.29.3\0", "api_key:\0"),
        ("4." + "9" * 5000 + ".1", "api_key:" + "x" * 5000),
        ("4.29.3\x1b[2J", "api_key:a b"),
        ("4.29.3 --html /etc/x", "api_key:\ud800"),
    ],
)
def test_versions_and_creators_are_checked_before_they_become_arguments(version, creator):
    def answer(head):
        if b"POST /api/v1/chat " in head:
            events = [
                {"type": "session_id", "session_id": "s"},
                {"type": "plain", "data": f"AstrBot v{version}", "streaming": False},
                {"type": "end", "data": ""},
            ]
            body = b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)
            yield b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n" + body
            return
        data = {"session_id": "s"} if b"/sessions/new" in head else {"session": {"creator": creator}}
        body = json.dumps({"status": "ok", "data": data}).encode()
        yield JSON % (b"200 OK", len(body), body)

    import asyncio

    with hostile_target(answer) as target:
        info = asyncio.run(ask_server_info(target, 5.0))
    assert info.version in (None, "4.29.3")
    assert not info.identity.can_delete


@pytest.mark.process
def test_load_says_what_is_wrong_and_ends(tmp_path):
    server = Hostile(ANSWERS["drip in the head"])
    began = time.perf_counter()
    command = ["load", "chat", "--host", server.url, "--no-check", "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(main, command, env={"ASTRBOT_API_KEY": "abk_x"})
    server.close()
    assert done.exit_code == 4
    assert "does not answer" in done.output
    assert time.perf_counter() - began < 15
