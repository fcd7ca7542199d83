"""What a probe file is made of: `async def probe(ctx: Context) -> Verdict`.

A probe asks through `ctx`, which records every exchange, masks keys, keeps to the run's deadline, and
removes afterwards what was made. Module attributes, all optional: `INTERVAL` (seconds between runs),
`SCOPES` (the target must have a key for each), `COSTS_TOKENS` (it asks the model), `TURNS` (how often, in
one run), `OPTIONS` (names and defaults of its settings), `PRICED_BY` (those of them that make a run cost
something else, such as a message), and `def check(options)`, which raises ValueError for settings that
cannot work.
"""

import secrets
from collections.abc import Awaitable, Callable, Mapping
from time import perf_counter
from typing import Any, TypeAlias

import httpx

from astrometer.api import endpoints as ep
from astrometer.api.call_exchange import CallResult
from astrometer.api.chat_exchange import ChatExchange, ChatTurn, Deadlines
from astrometer.api.messages import Message, chat_body
from astrometer.api.outcome import Outcome
from astrometer.config.settings import Key, Target
from astrometer.masking import mask
from astrometer.outside_text import shown
from astrometer.probing.budget import Ledger
from astrometer.probing.cleanup.identity import Identity, Memory, learn, server_of
from astrometer.probing.cleanup.leak_journal import LeakJournal
from astrometer.probing.cleanup.teardown import (
    ask_version,
    delete_session,
    new_session,
    remove_upload,
    stop_run,
    undo,
)
from astrometer.probing.run_record import MAX_LOG_LINES, Cleanup, Limits, Record, question_phases
from astrometer.probing.transport.network_backend import Phases
from astrometer.probing.transport.probe_client import HeaderStyle, Transport, Upload
from astrometer.probing.verdict import (
    UNREACHABLE,
    LogLine,
    NotApplicable,
    ProbeFailed,
    ProbeReason,
    ScopeCheck,
    Verdict,
)

__all__ = [
    "Context",
    "HeaderStyle",
    "Limits",
    "NotApplicable",
    "ProbeFailed",
    "ProbeFunction",
    "ScopeCheck",
    "Upload",
    "Verdict",
]

# The server goes on spending tokens on these unless it is asked to stop.
ABANDONED = frozenset(
    {Outcome.TIMEOUT_FIRST_TOKEN, Outcome.STALLED, Outcome.TIMEOUT_TOTAL, Outcome.CLIENT_CANCEL}
    | {Outcome.MALFORMED, Outcome.RESET}
)
LOG_CHARS = 500
RESET_S = 5.0  # for clearing a fixed session; a server that takes longer will not answer the question either
# The server made nothing of these.
NEVER_BEGAN = UNREACHABLE | {Outcome.UNAUTHORIZED, Outcome.FORBIDDEN}


class Context:
    """One run's way to its target. `left_s` is what remains of the run's deadline."""

    def __init__(
        self,
        *,
        target: Target,
        probe: str,
        limits: Limits,
        options: Mapping[str, Any] | None = None,
        memory: Memory | None = None,
        journal: LeakJournal | None = None,
        ledger: Ledger | None = None,
        http: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.target = target
        self.probe = probe
        self.limits = limits
        self.options = options or {}
        self.nonce = f"am-{secrets.token_hex(8)}"
        self.record = Record()
        self.cleanups: list[Cleanup] = []
        self.memory = memory or Memory()
        self.journal = journal if journal is not None else LeakJournal()
        self.ledger = ledger or Ledger()
        self._transport = Transport(target.url, tls=target.tls, http=http)
        self.aside_s = 0.0  # spent on preparations, which are no part of the probe's duration
        self._started = perf_counter()
        self._end = self._started + limits.total_s

    # --- what a probe may use

    @property
    def left_s(self) -> float:
        """Seconds until the run's deadline, at least a millisecond."""
        return max(0.001, self._end - perf_counter())

    def log(self, text: str, t: float | None = None) -> None:
        """A line for the debug page, with its time (`perf_counter`; now by default). Keys are masked."""
        if len(self.record.log) < MAX_LOG_LINES:
            t_s = (perf_counter() if t is None else t) - self._started
            self.record.log.append(LogLine(t_s=t_s, text=shown(self.mask(text), LOG_CHARS)))

    def note(self, text: str) -> None:
        """What an operator should know of this run, such as what stays on the server."""
        line = shown(self.mask(text), LOG_CHARS)
        if line not in self.record.notes:
            self.record.notes.append(line)

    def mask(self, text: str) -> str:
        """`text` without any key of the target."""
        return mask(text, (key.secret.reveal() for key in self.target.keys.values()))

    def has_key(self, scope: str) -> bool:
        return self.target.key_for(scope) is not None

    def key(self, scope: str) -> Key:
        """The key to use for `scope`. Raises NotApplicable when the target has none."""
        found = self.target.key_for(scope)
        if found is None:
            raise NotApplicable(f"no key of target {self.target.name} has the scope {scope}")
        return found

    def cleanup(self, resource: str, delete: Callable[[], Awaitable[bool]]) -> None:
        """Run `delete` when the run is over, however it ends; the last registered goes first."""
        self.cleanups.append(Cleanup(resource=resource, delete=delete))

    def stays(self, resource: str, why: str) -> None:
        """Own up to something that was made and cannot be deleted on this version."""
        self.record.stays.append(resource)
        self.note(f"{resource} stays: {why}")

    async def chat(
        self,
        message: Message,
        *,
        canary: str | None = None,
        session_id: str | None = None,
        streaming: bool = True,
        first_token_s: float | None = None,
        idle_s: float | None = None,
    ) -> ChatTurn:
        """Ask one question and read the answer to its end. The session is removed after the run.

        Without `session_id` a session of its own, or on versions that delete nothing the probe's fixed one.
        Never raises for a failed chat: the turn says what happened. Raises NotApplicable without a key and
        ProbeFailed when the server cannot even tell who we are.
        """
        key = self.key("chat")
        who = await self.identity(key)
        limits = self.limits
        registered = len(self.cleanups)
        session = session_id or self._new_session(who, key)
        if session_id is None and not who.can_delete:
            # Clear the model's memory of a session that is used again: or every run would cost more.
            began = perf_counter()
            forgot = await self.command("/reset", key, who, session, min(RESET_S, self.left_s))
            self.aside_s += perf_counter() - began
            self.log(f"/reset of session {session}: {forgot.detail or forgot.outcome}")
        left_s = self.left_s
        first_token_s = min(first_token_s or limits.first_token_s, left_s)
        deadlines = Deadlines(
            connect_s=self._connect_s(first_token_s),
            first_token_s=first_token_s,
            idle_s=idle_s or limits.idle_s,
            total_s=left_s,
        )
        body = chat_body(username=who.username, message=message, session_id=session, streaming=streaming)
        exchange = ChatExchange(streaming=streaming, deadlines=deadlines, canary=canary)
        self.log(f"POST /chat as {who.username}, session {session}")
        phases = Phases()
        try:
            turn = await self._transport.chat(
                exchange,
                key,
                body,
                connect_s=deadlines.connect_s,
                phases=phases,
                observe=lambda t, event: self.log(f"  event {event.type} {self.mask(event.text)[:60]!r}", t),
            )
        finally:
            if exchange.done:
                turn = self.memory.usage[server_of(self.target)].settle(exchange.result())
                outcome = turn.outcome
                if outcome in NEVER_BEGAN:
                    self._nothing_made(registered)
                elif session_id is None and not who.can_delete:
                    self._keep(session, who.why)
                if outcome in ABANDONED:
                    self.cleanup("run", lambda: self._stop(key, who, session))
                self._note_turn(turn, phases)
        return turn

    async def command(
        self, message: Message, key: Key, who: Identity, session: str, limit_s: float
    ) -> ChatTurn:
        """Say `message`, which AstrBot takes for a command of its own; no part of what the probe measures."""
        exchange = ChatExchange(streaming=False, deadlines=Deadlines(total_s=limit_s))
        body = chat_body(username=who.username, message=message, session_id=session, streaming=False)
        try:
            return await self._transport.chat(exchange, key, body, connect_s=self._connect_s(limit_s))
        finally:
            if exchange.done:
                turn = exchange.result()  # whose commands are switched off asks the model
                self.record.command_tokens["input"] += turn.input_tokens
                self.record.command_tokens["output"] += turn.output_tokens
                self._book(turn)

    def not_slow(self, turn: ChatTurn, after_s: float) -> Verdict:
        """The turn's own verdict; `slow` for a good one whose first token came after `after_s` (0: any)."""
        ttft_s = (turn.timings.ttft_s if turn.streaming else turn.timings.e2e_s) or 0.0
        if turn.outcome.is_ok and 0 < after_s < ttft_s:
            return Verdict.failed(
                ProbeReason.SLOW, f"first token after {ttft_s:.2f} s, later than {after_s:g} s"
            )
        return Verdict.of(turn)

    async def get(self, endpoint: ep.Endpoint, key: Key | None, **params: str) -> CallResult:
        """`params` are query parameters."""
        return await self.call(endpoint, key, params=params)

    async def post(self, endpoint: ep.Endpoint, key: Key | None, body: Any) -> CallResult:
        return await self.call(endpoint, key, json=body)

    async def delete(self, endpoint: ep.Endpoint, key: Key | None, **path: str) -> CallResult:
        """`path` fills the placeholders of the endpoint's path."""
        return await self.call(endpoint, key, path=path)

    async def upload(self, upload: Upload, key: Key | None = None) -> CallResult:
        """`POST /file`, and nothing else. AstrBot has no way to remove a lone upload: rather `attach`."""
        return await self.call(ep.UPLOAD, key or self.key("file"), upload=upload)

    async def attach(self, upload: Upload, *, kind: str | None = None) -> str:
        """Upload a file to send in a chat, and have it removed after the run. Returns the attachment_id.

        AstrBot deletes an attachment only with the session that mentions it. `kind`: what AstrBot must take
        it for, such as `image`. Raises ProbeFailed.
        """
        chat_key = self.key("chat")
        who = await self.identity(chat_key)
        sent = await self.upload(upload)
        if not sent.outcome.is_ok:
            raise ProbeFailed(sent.outcome, sent.detail)
        attachment = sent.payload.get("attachment_id") if isinstance(sent.payload, dict) else None
        if not isinstance(attachment, str):
            raise ProbeFailed(Outcome.MALFORMED, "the upload was accepted without an attachment_id")
        if who.can_delete:
            entry = self.journal.note("upload", self.target, chat_key, self.probe, attachment)
            # Last registered goes first: the session, made later, takes the attachment along.
            self.cleanups.append(
                Cleanup(resource="upload", delete=lambda: remove_upload(self, attachment), entry=entry)
            )
        else:
            self.stays("upload", who.why)
        if kind is not None and sent.payload.get("type") != kind:
            raise ProbeFailed(Outcome.MALFORMED, f"{upload.name} was taken for {sent.payload.get('type')!r}")
        return attachment

    async def download(self, attachment_id: str, key: Key | None = None) -> CallResult:
        """`GET /file`; the bytes are in `body`. Before 4.22.1 the outcome is `malformed` (a web page)."""
        params = {"attachment_id": attachment_id}
        return await self.call(ep.DOWNLOAD, key or self.key("file"), params=params, raw=True)

    async def call(
        self,
        endpoint: ep.Endpoint,
        key: Key | None,
        *,
        timeout_s: float | None = None,
        **request: Any,
    ) -> CallResult:
        """One plain request, within what is left of the run."""
        limit_s = min(timeout_s or self.left_s, self.left_s)
        result = await self._transport.call(
            endpoint, key, timeout_s=limit_s, connect_s=self._connect_s(limit_s), **request
        )
        self.record.calls.append(result)
        if not self.record.turns:
            self.record.phases = dict(self._transport.phases.seconds)
        used = f" with key {key.name}" if key else ""
        self.log(
            f"{endpoint.method} {endpoint.path}{used}: {result.status or '-'} {result.outcome.value} "
            f"in {result.duration_s:.3f} s {result.detail}".rstrip()
        )
        return result

    async def identity(self, key: Key) -> Identity:
        """Whom this key may chat as. Learnt once and remembered. Raises ProbeFailed."""
        place = (server_of(self.target), key.name)
        known = self.memory.identities.get(place)
        if known is not None and known.is_fresh(perf_counter()):
            return known
        began = perf_counter()

        async def ask(endpoint: ep.Endpoint, path: dict[str, str]) -> CallResult:
            return await self.call(endpoint, key, path=path)

        try:
            who = await learn(key, ask, lambda session_id: self.own(key, session_id), began)
        finally:
            self.aside_s += perf_counter() - began
        self.memory.identities[place] = who
        return who

    async def probe_head(self, endpoint: ep.Endpoint) -> httpx.Response:
        """The head of an answer to a request without a key. Raises httpx.TransportError, TimeoutError."""
        return await self._transport.head_of(endpoint, timeout_s=min(self.limits.connect_s, self.left_s))

    # --- for the runner

    @property
    def cert_expires_at(self) -> float | None:
        """When the first certificate of the target's chain expires (epoch seconds); None without TLS."""
        return self._transport.phases.cert_expires_at

    async def close(self) -> None:
        await self._transport.aclose()

    async def learn_version(self) -> None:
        """Ask for the server's version, if that is not known from the last hour. Costs no token."""
        if self.has_key("chat") and self.memory.wants_version(server_of(self.target), perf_counter()):
            key = self.key("chat")
            try:
                who = await self.identity(key)
            except ProbeFailed:
                return  # the run was fine a moment ago: the next one will say
            await ask_version(self, key, who, self._new_session(who, key))

    def grant_cleanup_time(self) -> None:
        """From here the deadline is the cleanup's own."""
        self._end = perf_counter() + self.limits.cleanup_s

    def own(self, key: Key, session: str) -> Callable[[], Awaitable[None]]:
        """A session that is made now, or will be: in the journal first, removed after the run, or by calling
        what is returned, if that works.
        """
        entry = self.journal.note("session", self.target, key, self.probe, session)
        item = Cleanup(resource="session", delete=lambda: delete_session(self, key, session), entry=entry)
        self.cleanups.append(item)

        async def remove() -> None:
            if await undo(item, self):
                self.cleanups.remove(item)

        return remove

    # --- inside

    def _connect_s(self, limit_s: float) -> float:
        """Sooner than what would end the request: a host that takes no connection is named so."""
        return min(self.limits.connect_s, limit_s * 0.9)

    def _new_session(self, who: Identity, key: Key) -> str:
        if not who.can_delete:
            return self.memory.fixed_session(self.target.name, self.probe)
        session = new_session()
        self.own(key, session)
        return session

    def _nothing_made(self, registered: int) -> None:
        """The server never took the chat: what was registered for it since then is not there."""
        for item in self.cleanups[registered:]:
            if item.entry is not None:
                self.journal.done(item.entry)
        del self.cleanups[registered:]

    async def _stop(self, key: Key, who: Identity, session: str) -> bool:
        await stop_run(self, (self.target.name, self.probe), key, who, session)
        return True  # nothing stays; not being able to stop is told, not counted as a leak

    def _keep(self, session: str, why: str) -> None:
        """A fixed session stays: counted once, told every time."""
        place = (self.target.name, session)
        if place in self.memory.kept:
            self.note(f"session stays: {why}")
        else:
            self.memory.kept.add(place)
            self.stays("session", why)

    def _book(self, turn: ChatTurn) -> None:
        self.ledger.book(self.target, tokens=turn.input_tokens + turn.output_tokens)

    def _note_turn(self, turn: ChatTurn, phases: Phases) -> None:
        self.record.turns.append(turn)
        self._book(turn)
        # The question's phases, and nothing of the calls around it.
        self.record.phases = question_phases(turn.timings, phases.seconds)
        events = " ".join(f"{name}={count}" for name, count in turn.events.items())
        self.log(f"chat: {turn.outcome.value}; {events}; {turn.detail}")
        for name, value in self.record.phases.items():
            self.log(f"  {name} took {value:.4f} s")


ProbeFunction: TypeAlias = Callable[[Context], Awaitable[Verdict]]
