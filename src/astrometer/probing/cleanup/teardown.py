"""What a run made on the server -> gone, and seen to be gone; what it abandoned -> asked to stop.

Which of the two works depends on AstrBot's version: nothing here raises for a server that cannot.
"""

import asyncio
import hashlib
import secrets
from collections.abc import Awaitable, Callable
from time import perf_counter

from astrometer.api import endpoints as ep
from astrometer.api.call_exchange import CallResult
from astrometer.api.chat.messages import Attachment, Message, Plain
from astrometer.api.outcome import Outcome
from astrometer.api.server_versions import ServerVersions, version_in_help
from astrometer.config.settings import Key
from astrometer.probing.cleanup.identity import Identity, Memory, Version, absent, learn, server_of
from astrometer.probing.cleanup.leak_journal import LeakEntry, LeakJournal
from astrometer.probing.cleanup.messenger_conversations import CannotDelete, MessengerConversations
from astrometer.probing.exchanges import Exchanges
from astrometer.probing.run_record import Cleanup
from astrometer.probing.verdict import ProbeFailed

STOP_MESSAGE_SINCE = (4, 20, 1)  # "/stop" is a command from here on; before, the model would be asked it
MOST_SWEPT = 3  # leftovers of earlier runs that one run takes along


class Teardown:
    """Everything that one run made. `items`: what is to be removed, the last one first."""

    def __init__(self, asks: Exchanges, probe: str, memory: Memory, journal: LeakJournal) -> None:
        self.asks = asks
        self.probe = probe
        self.memory = memory
        self.journal = journal
        self.items: list[Cleanup] = []

    # --- who may delete

    async def identity(self, key: Key) -> Identity:
        """Whom this key may chat as. Learnt once and remembered. Raises ProbeFailed."""
        place = (server_of(self.asks.target), key.name)
        known = self.memory.identities.get(place)
        if known is not None and known.is_fresh(perf_counter()):
            return known

        async def ask(endpoint: ep.Endpoint, path: dict[str, str]) -> CallResult:
            return await self.asks.call(endpoint, key, path=path)

        began = perf_counter()
        with self.asks.record.preparing():
            who = await learn(key, ask, lambda session_id: self.own(key, session_id), began)
        self.memory.identities[place] = who
        return who

    # --- what is made

    def session_for(self, who: Identity, key: Key) -> str:
        """A session of the run's own, or on versions that delete nothing the probe's fixed one."""
        if not who.can_delete:
            return self.memory.fixed_session(self.asks.target.name, self.probe)
        session = f"astrometer-am-{secrets.token_hex(8)}"
        self.own(key, session)
        return session

    def own(self, key: Key, session: str) -> Callable[[], Awaitable[None]]:
        """A session that is made now, or will be: in the journal first, removed after the run, or by calling
        what is returned, if that works.
        """
        entry = self.journal.note("session", self.asks.target, key, self.probe, session)
        item = Cleanup(resource="session", delete=lambda: self.delete_session(key, session), entry=entry)
        self.items.append(item)

        async def remove() -> None:
            if await self.undo(item):
                self.items.remove(item)

        return remove

    def own_upload(self, key: Key, attachment: str) -> None:
        """An upload that was made: removed after the run."""
        entry = self.journal.note("upload", self.asks.target, key, self.probe, attachment)
        # Last registered goes first: the session, made later, takes the attachment along.
        self.items.append(
            Cleanup(resource="upload", delete=lambda: self.remove_upload(attachment), entry=entry)
        )

    def own_conversation(self, user_id: int, mark: str) -> None:
        """What AstrBot will keep of a question in the messenger, with `mark` in it: removed after the run."""
        key = self.asks.target.key_for("data")
        if key is None:
            target = self.asks.target.name
            self._conversation_stays(str(user_id), f"no key of target {target} has the scope data (4.26 on)")
            return
        entry = self.journal.note("conversation", self.asks.target, key, self.probe, str(user_id), mark=mark)
        # Asked again within the run: what is known last.
        others = [item for item in self.items if item.entry is None or item.entry.id != entry.id]
        self.items = [*others, self.cleanup_of(entry, key)]

    def keeps_conversation(self, user_id: int) -> bool:
        """Whether this user's is not deleted after each run, as far as is known."""
        place = (self.asks.target.name, f"conversation {user_id}")
        return self.asks.target.key_for("data") is None or place in self.memory.kept

    def stays(self, resource: str, why: str) -> None:
        """Something was made that this version cannot delete."""
        self.asks.record.stays.append(resource)
        self.asks.record.note(f"{resource} stays: {why}")

    def session_stays(self, session: str, why: str) -> None:
        """A fixed session stays: counted once, told every time."""
        self._fixed_stays("session", session, why)

    def _conversation_stays(self, user_id: str, why: str) -> None:
        self._fixed_stays(
            "conversation", f"conversation {user_id}", f"{why}; delete it in AstrBot's dashboard"
        )

    def _fixed_stays(self, resource: str, item: str, why: str) -> None:
        place = (self.asks.target.name, item)
        if place in self.memory.kept:
            self.asks.record.note(f"{resource} stays: {why}")
        else:
            self.memory.kept.add(place)
            self.stays(resource, why)

    def nothing_made_since(self, registered: int) -> None:
        """The server never took the chat: what was registered for it since then is not there."""
        for item in self.items[registered:]:
            if item.entry is not None:
                self.journal.done(item.entry)
        del self.items[registered:]

    # --- what is removed

    async def undo(self, item: Cleanup) -> bool:
        """Run one cleanup; the journal forgets what is surely gone."""
        try:
            async with asyncio.timeout(self.asks.left_s):
                gone = await item.delete()
        except Exception as exc:  # noqa: BLE001 (one cleanup must not keep the others from running)
            self.asks.record.say(f"cleanup of {item.resource}: {type(exc).__name__}")
            gone = False
        if gone and item.entry is not None:
            self.journal.done(item.entry)
        return gone

    def cleanup_of(self, entry: LeakEntry, key: Key) -> Cleanup:
        """How to remove what an earlier run, or an earlier process, left."""
        if entry.resource == "upload":
            return Cleanup(resource="upload", delete=lambda: self.remove_upload(entry.item), entry=entry)
        if entry.resource == "conversation":
            return Cleanup(
                resource="conversation",
                delete=lambda: self.delete_conversation(key, entry.item, entry.mark),
                entry=entry,
            )
        return Cleanup(resource="session", delete=lambda: self.delete_session(key, entry.item), entry=entry)

    async def delete_session(self, key: Key, session_id: str) -> bool:
        """Delete it with its history and attachments. True: the server does not know it any more."""
        path = {"session_id": session_id}
        await self.asks.call(ep.SESSION_DELETE, key, path=path)
        seen = await self.asks.call(ep.SESSION_GET, key, path=path)
        # "Session ... not found", whatever the deletion answered: a chat that never began made none.
        return (
            seen.outcome in (Outcome.API_ERROR, Outcome.CLIENT_ERROR) and "not found" in seen.detail.lower()
        )

    async def delete_conversation(self, key: Key, user_id: str, mark: str) -> bool:
        """True: it is gone, or this server cannot delete any, which is told and counted."""
        try:
            return await MessengerConversations(self.asks, self.memory).delete(key, user_id, mark)
        except CannotDelete as exc:
            self._conversation_stays(user_id, str(exc))
            return True

    async def remove_upload(self, attachment_id: str) -> bool:
        """True when it is gone, usually because the session that mentioned it is.

        A chat that never came leaves it without a session. AstrBot deletes an attachment only with one, so it
        is sent along with a command, which costs no token, and that session is deleted.
        """
        if await self._is_gone(attachment_id):
            return True
        key = self.asks.key("chat")
        # The same one however often it is tried: a server that deletes nothing would collect them.
        session = f"astrometer-am-{hashlib.sha256(attachment_id.encode()).hexdigest()[:16]}"
        who = await self.identity(key)
        remove = self.own(key, session)
        message: Message = [Attachment(kind="file", attachment_id=attachment_id), Plain(text="/reset")]
        await self.asks.command(message, key, who.username, session, self.asks.left_s / 2)
        await remove()
        return await self._is_gone(attachment_id)

    async def _is_gone(self, attachment_id: str) -> bool:
        asked = await self.asks.call(
            ep.DOWNLOAD, self.asks.key("file"), params={"attachment_id": attachment_id}, raw=True
        )
        return asked.detail == "Attachment not found"

    # --- what is stopped

    def abandon(self, key: Key, who: Identity, session: str) -> None:
        """An answer that nobody waits for any more: the server is asked to end it after the run."""

        async def stop() -> bool:
            await self._stop(key, who, session)
            return True  # nothing stays; not being able to stop is told, not counted as a leak

        self.items.append(Cleanup(resource="run", delete=stop))

    async def _stop(self, key: Key, who: Identity, session: str) -> None:
        asks, record = self.asks, self.asks.record
        told = await asks.call(
            ep.SESSION_STOP, key, path={"session_id": session}, json={}, timeout_s=asks.left_s / 3
        )
        if told.outcome.is_ok:
            record.say("the server was asked to stop the run")
            return
        if not absent(told):
            record.note("an abandoned answer may go on: the server could not be asked to stop it")
            return
        # An answer that goes on blocks its fixed session, and AstrBot looks at a request to stop only when
        # its model says something: the next run takes another session.
        self.memory.abandoned[(asks.target.name, self.probe)] += 1
        version = await self._version(key, who, session)
        if version is not None and version >= STOP_MESSAGE_SINCE:
            turn = await asks.command("/stop", key, who.username, session, asks.left_s / 2)
            record.say(f"/stop: {turn.outcome.value} {turn.text.strip()[:100]}")
            if "stop" in turn.text.lower() or "停止" in turn.text:
                return
        record.note("an abandoned answer goes on spending tokens: this version cannot be asked to stop it")

    # --- which version this is

    async def learn_version(self, *, may_chat: bool) -> None:
        """Ask for the server's version, if it is time to. Costs no token. `may_chat`: with /help, too."""
        target = self.asks.target
        if not self.memory.wants_version(server_of(target), perf_counter(), may_chat=may_chat):
            return
        versions, key = await self.asks.versions_without_key(), target.key_for("chat")
        if versions is None and may_chat and key is not None:
            try:
                who = await self.identity(key)
            except ProbeFailed:
                return  # the run was fine a moment ago: the next one will say
            versions = await self._version_by_command(key, who, self.session_for(who, key))
        self._remember(versions, chatted=may_chat)

    async def _version(self, key: Key, who: Identity, session: str) -> Version | None:
        server = server_of(self.asks.target)
        if server not in self.memory.versions:
            versions = await self.asks.versions_without_key()
            self._remember(versions or await self._version_by_command(key, who, session), chatted=True)
        known = self.memory.versions.get(server)
        return None if known is None else ep.parse_version(known.running)

    async def _version_by_command(self, key: Key, who: Identity, session: str) -> ServerVersions | None:
        """The model is not asked."""
        answer = await self.asks.command("/help", key, who.username, session, self.asks.left_s / 3)
        return version_in_help(answer.text)

    def _remember(self, versions: ServerVersions | None, *, chatted: bool) -> None:
        self.memory.take_versions(server_of(self.asks.target), versions, perf_counter(), chatted=chatted)
