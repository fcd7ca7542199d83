"""A question's answer -> actions for the messenger: whole, in parts, late, twice, or to somebody else."""

import asyncio
import random
from collections import Counter
from typing import Any

from astrometer.targets.messenger.messenger_profile import MessengerProfile, pause_range
from astrometer.targets.simulator.onebot_adapter.action_calls import ActionCalls
from astrometer.targets.simulator.onebot_adapter.im_run import ImRun
from astrometer.targets.simulator.onebot_adapter.incoming_question import IncomingQuestion
from astrometer.targets.simulator.onebot_adapter.question_reader import account_of
from astrometer.targets.simulator.onebot_adapter.reply_chain import (
    OutgoingMessage,
    bare,
    decorated,
    sentences,
)
from astrometer.targets.simulator.simulated_faults import Fault, FaultKind
from astrometer.targets.simulator.version_traits import Wire

AFTER_SENTENCE_S = 1.5  # a streamed answer goes out sentence by sentence, so far apart


class AnswerSender:
    """The way out, by the profile in force."""

    def __init__(
        self, calls: ActionCalls, wire: Wire, counters: Counter[str], profile: MessengerProfile
    ) -> None:
        self.profile = profile
        self._calls = calls
        self._wire = wire
        self._counters = counters
        self._order = ReplyOrder()
        self._random = random.Random(3)  # noqa: S311 (reproducible, no secret)

    async def tell(self, question: IncomingQuestion, text: str) -> None:
        """A sentence past all decoration."""
        await self._send(question, bare(text))

    async def say(self, question: IncomingQuestion, text: str) -> None:
        """A sentence of AstrBot's own."""
        await self._send(question, decorated(text, question, self.profile, self._wire, from_model=False))

    async def reply(self, question: IncomingQuestion, text: str, fault: Fault | None) -> None:
        kind = fault.kind if fault is not None else None
        value = fault.value if fault is not None else 0.0
        if kind is FaultKind.SILENCE:
            return
        messages = decorated(
            text,
            question,
            self.profile,
            self._wire,
            from_model=True,
            parts=int(value) if kind is FaultKind.PARTS else 0,
        )
        if kind is FaultKind.SHUFFLED:
            await self._order.wait_for_another(value)
        elif kind is FaultKind.MISROUTED:
            messages = await self._order.swap(messages, value)
        await self._send(question, messages * 2 if kind is FaultKind.DUPLICATE else messages)
        self._order.sent()
        if kind is FaultKind.LATE_ACK:
            await asyncio.sleep(value)

    async def _send(self, question: IncomingQuestion, messages: list[OutgoingMessage]) -> None:
        for message in messages:
            if message.after_pause:
                await asyncio.sleep(self._random.uniform(*pause_range(self.profile.segment_pause)))
            client = self._calls.client(question.account if self._wire.names_account else None)
            self._counters["im_replies"] += 1
            if not await self._calls.attempt(client, *self._action(question, message)):
                self._counters["im_undelivered"] += 1

    def _action(self, question: IncomingQuestion, message: OutgoingMessage) -> tuple[str, dict[str, Any]]:
        group = question.group is not None
        kind, key = ("group", "group_id") if group else ("private", "user_id")
        account = account_of(question, self._wire)
        if message.forwarded:
            node = {
                "user_id": str(question.account),
                "nickname": "AstrBot",
                "content": list(message.segments),
            }
            nodes = {"messages": [{"type": "node", "data": node}]}
            return f"send_{kind}_forward_msg", {**nodes, key: question.session, **account}
        segments = {"message": list(message.segments)}
        if not question.session.isdigit():
            return "send_msg", {key: question.session, "message_type": kind, **segments}
        return f"send_{kind}_msg", {key: int(question.session), **segments, **account}

    async def stream(self, question: IncomingQuestion, run: ImRun) -> None:
        """Sentence by sentence, undecorated: AstrBot cuts only at 。？！~… and pauses after each."""
        buffer = ""
        while (delta := await run.deltas.get()) is not None:
            done, buffer = sentences(buffer + delta)
            for sentence in done:
                await self._send(question, bare(sentence))
                await asyncio.sleep(AFTER_SENTENCE_S)
        await self._send(question, bare(buffer.strip()))


class ReplyOrder:
    """The replies that wait for one of somebody else."""

    def __init__(self) -> None:
        self._held: set[asyncio.Event] = set()
        self._lone: tuple[list[OutgoingMessage], asyncio.Future[list[OutgoingMessage]]] | None = None

    def sent(self) -> None:
        """A reply went out: those held back follow it."""
        for held in self._held:
            held.set()

    async def wait_for_another(self, patience_s: float) -> None:
        held = asyncio.Event()
        self._held.add(held)
        try:
            await asyncio.wait_for(held.wait(), patience_s)
        except TimeoutError:
            return
        finally:
            self._held.discard(held)

    async def swap(self, messages: list[OutgoingMessage], patience_s: float) -> list[OutgoingMessage]:
        """Somebody else's messages for these; these again when nobody came in time."""
        if self._lone is not None:
            others, waiting = self._lone
            self._lone = None
            waiting.set_result(messages)
            return others
        mine: asyncio.Future[list[OutgoingMessage]] = asyncio.get_running_loop().create_future()
        self._lone = (messages, mine)
        try:
            return await asyncio.wait_for(mine, patience_s)
        except TimeoutError:
            self._lone = None
            return messages
