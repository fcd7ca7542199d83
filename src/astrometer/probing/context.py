"""What a probe file is made of: `async def probe(ctx: Context) -> Verdict`.

A probe asks through `ctx`, which records every exchange, masks keys, keeps to the run's deadline, and
removes afterwards what was made. Module attributes, all optional: `INTERVAL` (seconds between runs),
`SCOPES` (the target must have a key for each), `NEEDS_MESSENGER` (the target must have one), `COSTS_TOKENS`
(it asks the model), `TURNS` (how often, in one run), `OPTIONS` (names and defaults of its settings),
`PRICED_BY` (those of them that make a run cost something else, such as a message), `MEASURES` (names of what
it hands to `ctx.measure`), and `def check(options)`, which raises ValueError for settings that cannot work.
Dashboards and alerts show a new probe by its name; a panel of its own is a function in `grafana/build/`.
"""

import secrets
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any, TypeAlias

import httpx

from astrometer.api import endpoints as ep
from astrometer.api.call_exchange import CallResult
from astrometer.api.chat.chat_exchange import ChatExchange, Deadlines
from astrometer.api.chat.chat_turn import ChatTurn
from astrometer.api.chat.messages import Message, chat_body
from astrometer.api.outcome import Outcome
from astrometer.config.settings import Key, Target
from astrometer.im.im_turn import ImTurn
from astrometer.probing.budget import Ledger
from astrometer.probing.cleanup.identity import Identity, Memory, server_of
from astrometer.probing.cleanup.leak_journal import LeakJournal
from astrometer.probing.cleanup.teardown import Teardown
from astrometer.probing.exchanges import Exchanges
from astrometer.probing.messenger_account import MessengerAccount
from astrometer.probing.run_record import Cleanup, Limits, Record
from astrometer.probing.transport.probe_client import Upload
from astrometer.probing.verdict import UNREACHABLE, ProbeFailed, ProbeReason, Verdict

# The server goes on spending tokens on these unless it is asked to stop.
ABANDONED = frozenset(
    {Outcome.TIMEOUT_FIRST_TOKEN, Outcome.STALLED, Outcome.TIMEOUT_TOTAL, Outcome.CLIENT_CANCEL}
    | {Outcome.MALFORMED, Outcome.RESET}
)
RESET_S = 5.0  # for clearing a fixed session; a server that takes longer will not answer the question either
# The server made nothing of these.
NEVER_BEGAN = UNREACHABLE | {Outcome.UNAUTHORIZED, Outcome.FORBIDDEN}


class Context:
    """What a probe may use. `asks` and `made` are the runner's: its exchanges, and what it has to remove."""

    def __init__(
        self,
        *,
        target: Target,
        probe: str,
        limits: Limits,
        options: Mapping[str, Any] | None = None,
        measures: Collection[str] = (),
        memory: Memory | None = None,
        journal: LeakJournal | None = None,
        ledger: Ledger | None = None,
        http: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.target = target
        self.probe = probe
        self.limits = limits
        self.options = options or {}
        self._measures = measures
        self.nonce = f"am-{secrets.token_hex(8)}"
        memory = memory or Memory()
        settle = memory.usage[server_of(target)].settle
        self.asks = Exchanges(target, limits, ledger or Ledger(), http, settle=settle)
        self.made = Teardown(self.asks, probe, memory, journal if journal is not None else LeakJournal())
        self._messenger = MessengerAccount(target, limits, self.record, self.made)

    @property
    def record(self) -> Record:
        """Everything that the run did so far."""
        return self.asks.record

    @property
    def messenger(self) -> MessengerAccount:
        """The target's messenger, in which to ask as a user."""
        return self._messenger

    @property
    def left_s(self) -> float:
        """Seconds until the run's deadline, at least a millisecond."""
        return self.asks.left_s

    def log(self, text: str) -> None:
        """A line for the debug page, with its time. Keys are masked."""
        self.record.say(text)

    def note(self, text: str) -> None:
        """What an operator should know of this run, such as what stays on the server. Keys are masked."""
        self.record.note(text)

    def measure(self, name: str, value: float) -> None:
        """A value of the probe's own, for `astrbot_probe_measured`. ValueError: not a name in `MEASURES`."""
        if name not in self._measures:
            raise ValueError(f"MEASURES has no {name!r}")
        self.record.measured[name] = float(value)
        self.log(f"measured {name}: {value:g}")

    def has_key(self, scope: str) -> bool:
        return self.target.key_for(scope) is not None

    def key(self, scope: str) -> Key:
        """The key to use for `scope`. Raises NotApplicable when the target has none."""
        return self.asks.key(scope)

    def cleanup(self, resource: str, delete: Callable[[], Awaitable[bool]]) -> None:
        """Run `delete` when the run is over, however it ends; the last registered goes first."""
        self.made.items.append(Cleanup(resource=resource, delete=delete))

    def stays(self, resource: str, why: str) -> None:
        """Own up to something that was made and cannot be deleted on this version."""
        self.made.stays(resource, why)

    async def identity(self, key: Key) -> Identity:
        """Whom this key may chat as. Learnt once and remembered. Raises ProbeFailed."""
        return await self.made.identity(key)

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
        made, limits = self.made, self.limits
        who = await made.identity(key)
        registered = len(made.items)
        session = session_id or made.session_for(who, key)
        if session_id is None and not who.can_delete:
            await self._clear(session, key, who)
        left_s = self.left_s
        first_token_s = min(first_token_s or limits.first_token_s, left_s)
        deadlines = Deadlines(
            connect_s=self.asks.connect_s(first_token_s),
            first_token_s=first_token_s,
            idle_s=idle_s or limits.idle_s,
            total_s=left_s,
        )
        body = chat_body(username=who.username, message=message, session_id=session, streaming=streaming)
        exchange = ChatExchange(streaming=streaming, deadlines=deadlines, canary=canary)
        self.log(f"POST /chat as {who.username}, session {session}")
        try:
            await self.asks.ask(exchange, key, body, deadlines.connect_s)
        finally:
            if exchange.done:
                outcome = self.record.turns[-1].outcome
                if outcome in NEVER_BEGAN:
                    made.nothing_made_since(registered)
                elif session_id is None and not who.can_delete:
                    made.session_stays(session, who.why)
                if outcome in ABANDONED:
                    made.abandon(key, who, session)
        return self.record.turns[-1]

    def not_slow(self, turn: ChatTurn | ImTurn, after_s: float) -> Verdict:
        """The turn's own verdict; `slow` for a good one that began later than `after_s` (0: never)."""
        if isinstance(turn, ImTurn):
            began_s = turn.reply_first_s or 0.0
            when = detail = f"answered after {began_s:.2f} s"
        else:
            began_s = (turn.timings.ttft_s if turn.streaming else turn.timings.e2e_s) or 0.0
            when, detail = f"first token after {began_s:.2f} s", ""
        if turn.outcome.is_ok and 0 < after_s < began_s:
            return Verdict.failed(ProbeReason.SLOW, f"{when}, later than {after_s:g} s")
        return Verdict.of(turn, detail)

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
            self.made.own_upload(chat_key, attachment)
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
        self, endpoint: ep.Endpoint, key: Key | None, *, timeout_s: float | None = None, **request: Any
    ) -> CallResult:
        """One plain request, within what is left of the run."""
        return await self.asks.call(endpoint, key, timeout_s=timeout_s, **request)

    async def _clear(self, session: str, key: Key, who: Identity) -> None:
        """Clear the model's memory of a session that is used again: or every run would cost more."""
        with self.record.preparing():
            forgot = await self.asks.command("/reset", key, who.username, session, min(RESET_S, self.left_s))
        self.log(f"/reset of session {session}: {forgot.detail or forgot.outcome}")


ProbeFunction: TypeAlias = Callable[[Context], Awaitable[Verdict]]
