"""OneBot events -> gates, command, model, and the answer's way out, as one AstrBot version does it.

One adapter, on a port of its own. It shares the model and the places at it with the web chats.
"""

import asyncio
import random
from collections import deque
from time import perf_counter
from typing import Any

from astrometer.targets.messenger.messenger_profile import MESSENGER, MessengerProfile
from astrometer.targets.messenger.sink import GROUP
from astrometer.targets.simulator.chats.chat import AGENT_ERROR, Pipeline, blocked_sentence
from astrometer.targets.simulator.chats.rate_gate import RateGate
from astrometer.targets.simulator.chats.simulated_commands import (
    command_answer,
    command_of,
    group_reset,
    missing_right,
)
from astrometer.targets.simulator.onebot_adapter.action_calls import NOT_DELIVERED, ActionCalls
from astrometer.targets.simulator.onebot_adapter.answer_sender import AnswerSender
from astrometer.targets.simulator.onebot_adapter.im_run import ImRun
from astrometer.targets.simulator.onebot_adapter.incoming_question import (
    BadEvent,
    IncomingQuestion,
    NotSegments,
    read_question,
)
from astrometer.targets.simulator.onebot_adapter.onebot_connection import OneBotConnection
from astrometer.targets.simulator.onebot_adapter.question_reader import QuestionReader
from astrometer.targets.simulator.onebot_adapter.reply_chain import text_segment
from astrometer.targets.simulator.simulated_faults import Fault, FaultError, FaultKind, FaultPlan
from astrometer.targets.simulator.simulator_config import MessengerConfig, SimulatedRateLimit

WAKE_PREFIX = "/"
ADDRESS = ("user_id", "group_id", "message_type")
SHUTDOWN = (1000, "Adapter shutdown")
NO_SEGMENTS = (
    "aiocqhttp: 无法识别的消息类型: {}，此条消息将被忽略。如果您在使用 go-cqhttp，请将其配置文件中的 "
    "message.post-format 更改为 array。"
)
# The two-event-loop bug as measured when N ask in one instant: 7 % at 10, 31 to 44 % at 20, 64 % at 40.
BURST_S = 0.25


class SimulatedAdapter:
    """Everything behind `ws://127.0.0.1:PORT/ws`."""

    def __init__(
        self, pipeline: Pipeline, plan: FaultPlan, config: MessengerConfig, platform: str = MESSENGER
    ) -> None:
        """`platform`: its name, the first part of each session's."""
        self.platform = platform
        self.pipeline = pipeline
        self.wire = pipeline.wire
        self.counters = pipeline.store.counters
        self.plan = plan
        self.token = config.token
        self.port = config.port
        self.calls = ActionCalls(config.ack_timeout_s)
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._outages: set[asyncio.Task[None]] = set()
        self._reader = QuestionReader(self.calls, self.wire)
        self._out = AnswerSender(self.calls, self.wire, self.counters, config.profile)
        self._burst: deque[float] = deque()
        self._random = random.Random(2)  # noqa: S311 (reproducible, no secret)
        self.use(config.profile)

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/ws"

    def use(self, profile: MessengerProfile) -> None:
        """Treat questions by this profile from now on; its rate limit counts from zero."""
        self.profile = self._out.profile = profile
        limited = profile.rate_limit_messages > 0
        self._gate = RateGate(
            SimulatedRateLimit(
                count=profile.rate_limit_messages,
                window_s=profile.rate_limit_seconds,
                strategy=profile.rate_limit_strategy if limited else "off",
            )
        )

    # --- the adapter's life

    @property
    def is_open(self) -> bool:
        return self._server is not None

    async def open(self) -> None:
        """Listen. Raises OSError."""
        if self._server is None:
            loop = asyncio.get_running_loop()
            self._server = await loop.create_server(lambda: OneBotConnection(self), "127.0.0.1", self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    def shut_down(self) -> None:
        """The adapter is switched off; answers under way are made, and find nobody."""
        self._stop_listening()
        for connection in self.calls.connections:
            connection.close(*SHUTDOWN)

    def kill(self) -> None:
        """The server is gone, and what it was doing with it."""
        self._stop_listening()
        for connection in self.calls.connections:
            connection.abort()
        for task in self._tasks:
            task.cancel()

    def _stop_listening(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    async def _outage(self, kind: FaultKind, seconds: float) -> None:
        if kind is FaultKind.KILLED:
            self.kill()
        else:
            self.shut_down()
        await asyncio.sleep(seconds)
        await self.open()

    # --- what the connections say

    def joined(self, connection: OneBotConnection) -> None:
        self.counters["im_connections"] += 1
        self.calls.join(connection)

    def left(self, connection: OneBotConnection) -> None:
        self.calls.leave(connection)

    def received(self, connection: OneBotConnection, payload: dict[str, Any]) -> None:
        if "post_type" not in payload:
            self.calls.answered(payload)
        elif payload["post_type"] == "message":
            self.counters["im_events"] += 1
            task = asyncio.create_task(self._event(connection, payload))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _event(self, connection: OneBotConnection, event: dict[str, Any]) -> None:
        try:
            question = read_question(event)
            text, named = await self._reader.look_up(question, connection)
        except BadEvent:
            return  # AstrBot writes a line into its log
        except NotSegments as exc:
            known: dict[str, Any] = {key: event[key] for key in ADDRESS if key in event}
            params = {**known, "message": [text_segment(NO_SEGMENTS.format(exc))]}
            await self.calls.attempt(self.calls.client(None, connection), "send_msg", params)
            return
        await self._judge(question, text, named=named)

    # --- the gates

    async def _judge(self, question: IncomingQuestion, text: str, *, named: bool) -> None:
        prompt = text
        if text.startswith(WAKE_PREFIX) and not question.starts_with_another:
            prompt = text.removeprefix(WAKE_PREFIX).strip()
        elif not named:
            return
        self.counters["im_questions"] += 1
        rank = self._rank()
        umo = question.umo(self.platform)
        command = None if self.profile.disable_builtin_commands else command_of(self.wire, prompt)
        if command is not None:
            refused = missing_right(self.wire, command, question.sender, in_group=question.group is not None)
            if refused is not None:
                await self._out.tell(question, refused)
                return
        allowed = self.profile.whitelist
        if allowed and umo not in allowed and (question.group or "") not in allowed:
            return
        if not await self._gate.passes(umo):
            return
        try:
            fault = self.plan.strike(MESSENGER, prompt, whole_request=False)
        except FaultError as exc:
            await self._out.tell(question, str(exc))
            return
        blocked = any(word in prompt for word in self.profile.blocked_words)
        if blocked or (fault is not None and fault.kind is FaultKind.BLOCKED):
            await self._out.say(question, blocked_sentence(self.wire))
        elif command is not None:
            await self._command(question, command, umo)
        elif (prompt.strip() or question.has_media) and self.profile.model_enabled:
            async with self.pipeline.turn_of(umo):
                await self._ask(question, prompt, umo, fault, rank)

    def _rank(self) -> int:
        """The how many-th of those who ask in one instant."""
        now = perf_counter()
        while self._burst and self._burst[0] < now - BURST_S:
            self._burst.popleft()
        self._burst.append(now)
        return len(self._burst)

    async def _command(self, question: IncomingQuestion, command: str, umo: str) -> None:
        if command == "reset" and question.group is not None:
            await self._out.say(question, group_reset(self.wire, question.sender))
            return
        if command in ("reset", "new"):
            self.pipeline.forget(umo, begins=command == "new")
        run = ImRun(self.wire, umo, question.sender)
        await self._out.say(question, command_answer(self.wire, command, run, stopped=0))

    # --- the model

    async def _ask(
        self, question: IncomingQuestion, prompt: str, umo: str, fault: Fault | None, rank: int
    ) -> None:
        self.pipeline.store.conversations.current(umo)
        kind = fault.kind if fault is not None else None
        hit = kind is FaultKind.QUEUE_BUG and self._random.random() < queue_bug_chance(rank)
        if hit or kind is FaultKind.AGENT_ERROR:
            await self._out.tell(question, AGENT_ERROR)
            return
        if fault is not None:
            self._break_link(question, fault)
        by_sentence = self.profile.streaming == "segments" and fault is None
        run = ImRun(self.wire, umo, question.sender, streaming=by_sentence)
        if by_sentence:
            asking = asyncio.create_task(self._ask_to_the_end(run, prompt))
            await self._out.stream(question, run)
            await asking
            return
        await self.pipeline.ask_model(run, prompt)
        for text in run.texts:
            await self._out.reply(question, text, fault)

    def _break_link(self, question: IncomingQuestion, fault: Fault) -> None:
        client = self.calls.client(question.account)
        match fault.kind:
            case FaultKind.ZOMBIE if client is not None:
                del self.calls.by_account[client.self_id]
            case FaultKind.LOST_LINK if client is not None:
                client.abort()
            case FaultKind.ADAPTER_SHUTDOWN | FaultKind.KILLED:
                task = asyncio.create_task(self._outage(fault.kind, fault.value))
                self._outages.add(task)
                task.add_done_callback(self._outages.discard)

    async def _ask_to_the_end(self, run: ImRun, prompt: str) -> None:
        try:
            await self.pipeline.ask_model(run, prompt)
        finally:
            run.deltas.put_nowait(None)

    # --- pushes

    async def push(self, message_type: str, session: str, text: str) -> str | None:
        """`POST /im/message` to this adapter: what AstrBot says went wrong, None when a client took it."""
        kind, key = ("group", "group_id") if message_type == GROUP else ("private", "user_id")
        identity = session.rsplit("_", 1)[-1] if message_type == GROUP else session
        if not identity.isdigit():
            return (
                f"Failed to send message: 无法发送消息：缺少有效的数字 session_id({identity}) 或 event(None)"
            )
        params = {key: int(identity), "message": [text_segment(text)]}
        try:
            await self.calls.call(self.calls.client(None), f"send_{kind}_msg", params)
        except NOT_DELIVERED as exc:
            return f"Failed to send message: {exc}"
        return None


def queue_bug_chance(rank: int) -> float:
    """How likely the two-event-loop bug hits the `rank`-th of those who ask in one instant."""
    return min(max((rank - 6) / 14, 0.0), 0.97)
