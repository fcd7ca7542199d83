"""A running sandbox -> one that is frozen, full, blocked, or whose keys are worth less; and back again."""

import json
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import box_control
import httpx
import psutil

from astrometer.api.chat.messages import chat_body
from astrometer.api.endpoints import CHAT
from astrometer.targets.sandbox.box import Box
from astrometer.targets.sandbox.database import opened

BLOCKER = Path(__file__).parent / "astrometer_block"  # an AstrBot plugin; its command has its name
LONG_AGO = "2020-01-01 00:00:00.000000"


@contextmanager
def frozen(box: Box) -> Iterator[None]:
    """The process stands still: the kernel takes connections for it, nothing answers."""
    box_control.kill(box, signal.SIGSTOP)
    try:
        yield
    finally:
        box_control.kill(box, signal.SIGCONT)


@contextmanager
def full_disk(box: Box) -> Iterator[None]:
    """No file of the server may grow: what its database and its uploads meet on a full or read-only disk.

    By a limit of the process (Linux only), which binds the superuser too. Writing fails with EFBIG.
    """
    process = psutil.Process(box.pid)
    before = process.rlimit(psutil.RLIMIT_FSIZE)
    process.rlimit(psutil.RLIMIT_FSIZE, (0, before[1]))
    try:
        yield
    finally:
        process.rlimit(psutil.RLIMIT_FSIZE, before)


@contextmanager
def expired_key(box: Box, name: str) -> Iterator[None]:
    with _changed_key(box, name, expires_at=LONG_AGO):
        yield


@contextmanager
def revoked_key(box: Box, name: str) -> Iterator[None]:
    with _changed_key(box, name, revoked_at=LONG_AGO):
        yield


@contextmanager
def lost_scope(box: Box, name: str, scope: str) -> Iterator[None]:
    """The key keeps its other scopes."""
    kept = [other for other in json.loads(_stored(box, name)["scopes"]) if other != scope]
    with _changed_key(box, name, scopes=json.dumps(kept)):
        yield


@contextmanager
def gained_scope(box: Box, name: str, scope: str) -> Iterator[None]:
    """The key may do more than it was made for."""
    scopes = [*json.loads(_stored(box, name)["scopes"]), scope]
    with _changed_key(box, name, scopes=json.dumps(scopes)):
        yield


@contextmanager
def blocked_loop(box: Box, seconds: int) -> Iterator[None]:
    """The event loop is blocked from now on, for `seconds`. Needs the plugin BLOCKER.

    Leaving waits for the end of it.
    """
    body = chat_body(username="sandbox-blocker", message=f"/{BLOCKER.name} {seconds}", streaming=False)
    headers = {"X-API-Key": box.keys["chat"]}
    asked = threading.Event()

    def ask() -> None:
        with (
            httpx.Client(timeout=seconds + 60, trust_env=False) as client,
            client.stream("POST", CHAT.url(box.url), json=body, headers=headers) as answer,
        ):
            asked.set()  # headers and first events come before the command runs
            answer.read()

    asking = threading.Thread(target=ask, name="block the event loop")
    asking.start()
    asked.wait(30)
    try:
        yield
    finally:
        asking.join(seconds + 60)


# What decides whether a key is let in.
OF_KEY = ("scopes", "expires_at", "revoked_at")


@contextmanager
def _changed_key(box: Box, name: str, **change: str) -> Iterator[None]:
    before = _stored(box, name)
    _store(box, name, {**before, **change})
    try:
        yield
    finally:
        _store(box, name, before)


def _stored(box: Box, name: str) -> dict[str, str | None]:
    with opened(box.data_dir, "ro") as database:
        row = database.execute(
            f"SELECT {', '.join(OF_KEY)} FROM api_keys WHERE key_id = ?", (box.key_ids[name],)
        ).fetchone()
    return dict(zip(OF_KEY, row, strict=True))


def _store(box: Box, name: str, key: dict[str, str | None]) -> None:
    with opened(box.data_dir, "rw") as database, database:
        database.execute(
            f"UPDATE api_keys SET {', '.join(f'{column} = ?' for column in OF_KEY)} WHERE key_id = ?",
            (*(key[column] for column in OF_KEY), box.key_ids[name]),
        )
