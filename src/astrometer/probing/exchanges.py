"""Requests of one run -> their results: within the run's deadline, recorded, their tokens booked."""

from collections.abc import Callable, Iterator, Mapping
from time import perf_counter
from typing import Any

import httpx

from astrometer.api.call_exchange import CallResult
from astrometer.api.chat.chat_exchange import ChatExchange, Deadlines
from astrometer.api.chat.chat_turn import ChatTurn
from astrometer.api.chat.messages import Message, chat_body
from astrometer.api.endpoints import Endpoint
from astrometer.api.server_versions import QUESTIONS, ServerVersions, versions_in
from astrometer.config.settings import Key, Target
from astrometer.probing.budget import Ledger
from astrometer.probing.run_record import Limits, Record, question_phases
from astrometer.probing.transport.network_backend import Phases
from astrometer.probing.transport.probe_client import Transport
from astrometer.probing.verdict import NotApplicable
from astrometer.wire.tcp_info import TcpInfo

VERSION_S = 5.0  # telling its version takes milliseconds


class Exchanges:
    def __init__(
        self,
        target: Target,
        limits: Limits,
        ledger: Ledger,
        http: httpx.AsyncBaseTransport | None = None,
        *,
        settle: Callable[[ChatTurn], ChatTurn] = lambda turn: turn,
    ) -> None:
        """`settle`: what only the turns before it tell of a question's turn."""
        self._settle = settle
        self.target = target
        self.limits = limits
        self.record = Record(target)
        self._ledger = ledger
        self._transport = Transport(target.url, tls=target.tls, http=http)
        self._end = self.record.started + limits.total_s
        self._asking = True

    @property
    def left_s(self) -> float:
        """Seconds until the deadline, at least a millisecond."""
        return max(0.001, self._end - perf_counter())

    def extend(self, seconds: float) -> None:
        """The cleanup's own deadline: what comes from now on is not what the probe measures."""
        self._end = perf_counter() + seconds
        self._asking = False

    def connect_s(self, limit_s: float) -> float:
        """Sooner than what would end the request: a host that takes no connection is named so."""
        return min(self.limits.connect_s, limit_s * 0.9)

    @property
    def cert_expires_at(self) -> float | None:
        """When the first certificate of the target's chain expires (epoch seconds); None without TLS."""
        return self._transport.phases.cert_expires_at

    def networks(self) -> tuple[TcpInfo, ...]:
        """What the kernel says of each connection so far."""
        return self._transport.networks()

    def key(self, scope: str) -> Key:
        """The key to use for `scope`. Raises NotApplicable when the target has none."""
        found = self.target.key_for(scope)
        if found is None:
            raise NotApplicable(f"no key of target {self.target.name} has the scope {scope}")
        return found

    async def call(
        self, endpoint: Endpoint, key: Key | None, *, timeout_s: float | None = None, **request: Any
    ) -> CallResult:
        limit_s = min(timeout_s or self.left_s, self.left_s)
        result = await self._transport.call(
            endpoint, key, timeout_s=limit_s, connect_s=self.connect_s(limit_s), **request
        )
        self.record.calls.append(result)
        self.record.used_key = self.record.used_key or key is not None
        if self._asking and not self.record.turns:
            self.record.phases = dict(self._transport.phases.seconds)
        used = f" with key {key.name}" if key else ""
        self.record.say(
            f"{endpoint.method} {endpoint.path}{used}: {result.status or '-'} {result.outcome.value} "
            f"in {result.duration_s:.3f} s {result.detail}".rstrip()
        )
        return result

    async def versions_without_key(self) -> ServerVersions | None:
        """As a server tells everybody (4.26 on): no key, no token, no trace. None: it does not say."""
        for endpoint in QUESTIONS:
            answer = await self.call(endpoint, None, timeout_s=min(VERSION_S, self.left_s / 3))
            told = versions_in(answer)
            if told is not None or answer.status is None:
                return told
        return None

    async def ask(self, exchange: ChatExchange, key: Key, body: Mapping[str, Any], connect_s: float) -> None:
        """A question of the probe. If `exchange` is done afterwards, its turn is the record's last one."""
        phases, record = Phases(), self.record
        record.used_key = True
        try:
            await self._transport.chat(
                exchange,
                key,
                body,
                connect_s=connect_s,
                phases=phases,
                observe=lambda t, event: record.say(
                    f"  event {event.type} {record.mask(event.text)[:60]!r}", t
                ),
            )
        finally:
            if exchange.done:
                self._note_turn(self._settle(exchange.result()).alone, phases)

    async def command(
        self, message: Message, key: Key, username: str, session: str, limit_s: float
    ) -> ChatTurn:
        """Say `message`, which AstrBot takes for a command of its own; no part of what the probe measures."""
        exchange = ChatExchange(streaming=False, deadlines=Deadlines(total_s=limit_s))
        body = chat_body(username=username, message=message, session_id=session, streaming=False)
        try:
            return await self._transport.chat(exchange, key, body, connect_s=self.connect_s(limit_s))
        finally:
            if exchange.done:
                turn = exchange.result()  # whose commands are switched off asks the model
                self.record.command_tokens["input"] += turn.input_tokens
                self.record.command_tokens["output"] += turn.output_tokens
                self._book(turn)

    async def head_of(self, endpoint: Endpoint) -> httpx.Response:
        """The head of an answer to a request without a key. Raises httpx.TransportError, TimeoutError."""
        return await self._transport.head_of(endpoint, timeout_s=min(self.limits.connect_s, self.left_s))

    async def close(self) -> None:
        await self._transport.aclose()

    def _book(self, turn: ChatTurn) -> None:
        self._ledger.book(self.target, tokens=turn.input_tokens + turn.output_tokens)

    def _note_turn(self, turn: ChatTurn, phases: Phases) -> None:
        self.record.turns.append(turn)
        self._book(turn)
        # The question's phases, and nothing of the calls around it.
        self.record.phases = question_phases(turn.timings, phases.seconds)
        events = " ".join(f"{name}={count}" for name, count in turn.events.items())
        self.record.say(f"chat: {turn.outcome.value}; {events}; {turn.detail}")
        for sentence in _odd(turn):
            self.record.say(f"  {sentence}")
        for name, value in self.record.phases.items():
            self.record.say(f"  {name} took {value:.4f} s")
        self.record.say(f"  clock: {phases.clock or 'none'}")
        for ttft in turn.bounds().get("ttft", ()):
            self.record.say(f"  the first token came after {ttft.low:.4f} to {ttft.high:.4f} s: read late")


def _odd(turn: ChatTurn) -> Iterator[str]:
    """What an operator should know who wonders about the times."""
    times = turn.timings
    if turn.blank_lead:
        yield f"blank pieces before the first token, which are none: {turn.blank_lead}"
    if turn.pushed:
        yield f"messages that somebody else pushed into this chat, left out of it: {turn.pushed}"
    if times.is_impossible:
        yield (
            f"impossible: the first token came after {times.ttft_s:.3f} s, and the server says that it had "
            f"it after {times.server_ttft_s:.3f} s"
        )
