"""What a run made on the server -> gone, and seen to be gone; what it abandoned -> asked to stop.

Which of the two works depends on AstrBot's version: nothing here raises for a server that cannot.
"""

import asyncio
import hashlib
import re
import secrets
from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import Any, Protocol

from astrometer.api import endpoints as ep
from astrometer.api.call_exchange import CallResult
from astrometer.api.chat_exchange import ChatTurn
from astrometer.api.messages import Attachment, Message, Plain
from astrometer.api.outcome import Outcome
from astrometer.config.settings import Key, Target
from astrometer.probing.cleanup.identity import Identity, Memory, Version, absent, server_of
from astrometer.probing.cleanup.leak_journal import LeakEntry, LeakJournal
from astrometer.probing.run_record import Cleanup

STOP_MESSAGE_SINCE = (4, 20, 1)  # "/stop" is a command from here on; before, the model would be asked it
VERSION_LINE = re.compile(r"AstrBot (v[0-9]{1,5}\.[0-9]{1,5}\.[0-9]{1,5})")
MOST_SWEPT = 3  # leftovers of earlier runs that one run takes along


class Caller(Protocol):
    """What cleaning up needs of a run's context."""

    target: Target
    probe: str
    memory: Memory
    journal: LeakJournal

    @property
    def left_s(self) -> float: ...
    def note(self, text: str) -> None: ...
    def log(self, text: str) -> None: ...
    def key(self, scope: str) -> Key: ...
    def call(self, endpoint: ep.Endpoint, key: Key | None, **request: Any) -> Awaitable[CallResult]: ...
    def download(self, attachment_id: str) -> Awaitable[CallResult]: ...
    def own(self, key: Key, session: str) -> Callable[[], Awaitable[None]]: ...
    def identity(self, key: Key) -> Awaitable[Identity]: ...
    def command(
        self, message: Message, key: Key, who: Identity, session: str, limit_s: float
    ) -> Awaitable[ChatTurn]: ...


async def delete_session(ctx: Caller, key: Key, session_id: str) -> bool:
    """Delete it with its history and attachments. True: the server does not know it any more."""
    path = {"session_id": session_id}
    await ctx.call(ep.SESSION_DELETE, key, path=path)
    seen = await ctx.call(ep.SESSION_GET, key, path=path)
    # "Session ... not found", whatever the deletion answered: a chat that never began made none.
    return seen.outcome in (Outcome.API_ERROR, Outcome.CLIENT_ERROR) and "not found" in seen.detail.lower()


async def remove_upload(ctx: Caller, attachment_id: str) -> bool:
    """True when it is gone, usually because the session that mentioned it is.

    A chat that never came leaves it without a session. AstrBot deletes an attachment only with one, so it is
    sent along with a command, which costs no token, and that session is deleted.
    """
    if await _is_gone(ctx, attachment_id):
        return True
    key = ctx.key("chat")
    # The same one however often it is tried: a server that deletes nothing would collect them.
    session = f"astrometer-am-{hashlib.sha256(attachment_id.encode()).hexdigest()[:16]}"
    who = await ctx.identity(key)
    remove = ctx.own(key, session)
    message: Message = [Attachment(kind="file", attachment_id=attachment_id), Plain(text="/reset")]
    await ctx.command(message, key, who, session, ctx.left_s / 2)
    await remove()
    return await _is_gone(ctx, attachment_id)


async def _is_gone(ctx: Caller, attachment_id: str) -> bool:
    return (await ctx.download(attachment_id)).detail == "Attachment not found"


async def stop_run(ctx: Caller, place: tuple[str, str], key: Key, who: Identity, session: str) -> None:
    """Ask the server to end an answer that nobody waits for. `place`: target and probe."""
    told = await ctx.call(
        ep.SESSION_STOP, key, path={"session_id": session}, json={}, timeout_s=ctx.left_s / 3
    )
    if told.outcome.is_ok:
        ctx.log("the server was asked to stop the run")
        return
    if not absent(told):
        ctx.note("an abandoned answer may go on: the server could not be asked to stop it")
        return
    # An answer that goes on blocks its fixed session, and AstrBot looks at a request to stop only when its
    # model says something: the next run takes another session.
    ctx.memory.abandoned[place] += 1
    version = await _version(ctx, key, who, session)
    if version is not None and version >= STOP_MESSAGE_SINCE:
        turn = await ctx.command("/stop", key, who, session, ctx.left_s / 2)
        ctx.log(f"/stop: {turn.outcome.value} {turn.text.strip()[:100]}")
        if "stop" in turn.text.lower() or "停止" in turn.text:
            return
    ctx.note("an abandoned answer goes on spending tokens: this version cannot be asked to stop it")


async def _version(ctx: Caller, key: Key, who: Identity, session: str) -> Version | None:
    server = server_of(ctx.target)
    if server not in ctx.memory.versions:
        await ask_version(ctx, key, who, session)
    return ctx.memory.versions.get(server)


async def ask_version(ctx: Caller, key: Key, who: Identity, session: str) -> None:
    """Remember what /help says; the model is not asked."""
    server = server_of(ctx.target)
    ctx.memory.asked_version[server] = perf_counter()
    found = VERSION_LINE.search((await ctx.command("/help", key, who, session, ctx.left_s / 3)).text)
    if found is None:
        ctx.memory.versions.pop(server, None)
    else:
        ctx.memory.versions[server] = ep.parse_version(found[1])


def new_session() -> str:
    return f"astrometer-am-{secrets.token_hex(8)}"


async def undo(item: Cleanup, ctx: Caller) -> bool:
    """Run one cleanup; the journal forgets what is surely gone."""
    try:
        async with asyncio.timeout(ctx.left_s):
            gone = await item.delete()
    except Exception as exc:  # noqa: BLE001 (one cleanup must not keep the others from running)
        ctx.log(f"cleanup of {item.resource}: {type(exc).__name__}")
        gone = False
    if gone and item.entry is not None:
        ctx.journal.done(item.entry)
    return gone


def cleanup_of(ctx: Caller, entry: LeakEntry, key: Key) -> Cleanup:
    """How to remove what an earlier run, or an earlier process, left."""
    if entry.resource == "upload":
        return Cleanup(resource="upload", delete=lambda: remove_upload(ctx, entry.item), entry=entry)
    return Cleanup(resource="session", delete=lambda: delete_session(ctx, key, entry.item), entry=entry)
