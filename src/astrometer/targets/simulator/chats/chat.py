"""A chat request -> refusal, or a run: gates, command, model, answer, as one AstrBot version does it."""

import asyncio
import random
from collections import deque
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import replace
from time import perf_counter, time
from typing import Any, Protocol

from astrometer.targets.script import DirectiveError, ModelScript, script_for
from astrometer.targets.simulator.chats.chat_run import Payload, SimulatedRun
from astrometer.targets.simulator.chats.model_answers import (
    UpstreamFailed,
    UpstreamSilent,
    connection_error,
    fail_at_once,
    tokens,
)
from astrometer.targets.simulator.chats.rate_gate import RateGate
from astrometer.targets.simulator.chats.simulated_commands import command_answer, command_of
from astrometer.targets.simulator.simulated_faults import Fault, FaultKind
from astrometer.targets.simulator.simulator_config import SimulatorConfig
from astrometer.targets.simulator.store import Store
from astrometer.targets.simulator.version_traits import Wire

REMEMBERED = 20  # messages of a user; the real one remembers all by default
FAILED = "LLM 响应错误: "
BLOCKED = "你的消息或者大模型的响应中包含不适当的内容，已被屏蔽。"
BLOCKED_ENGLISH = "Your message or the model response contains inappropriate content and has been blocked."
NO_PROVIDER = "LLM 请求失败：未找到指定的提供商 `{}`。请检查提供商配置或重新选择可用模型。"
AGENT_ERROR = (
    "Error occurred while processing agent request: <Queue at 0x7f00 maxsize=15> is bound to a different "
    "event loop"
)


def blocked_sentence(wire: Wire) -> str:
    return BLOCKED_ENGLISH if wire.english else BLOCKED


class Pipeline:
    """What happens to a message between its arrival and its `end`."""

    def __init__(self, store: Store, settings: SimulatorConfig) -> None:
        self.store = store
        self.wire = store.wire
        self.settings = settings
        self.running: dict[str, list[SimulatedRun]] = {}
        self._gate = RateGate(settings.rate_limit)
        self._turns: dict[str, asyncio.Lock] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        limit = settings.concurrency
        self._places: AbstractAsyncContextManager[Any] = nullcontext()
        if limit is not None and limit.strategy == "queue":
            self._places = asyncio.Semaphore(limit.limit)
        self._random = random.Random(1)  # noqa: S311 (reproducible, no secret)
        self._said: dict[str, deque[str]] = {}  # what the model would be shown of a conversation

    def start(self, run: SimulatedRun, prompt: str, body: Payload, fault: Fault | None) -> None:
        """Answer `prompt` in the background, whether or not the client stays."""
        self.running.setdefault(run.session_id, []).append(run)
        self.store.counters["chats_started"] += 1
        run.task = asyncio.create_task(self._perform(run, prompt, body, fault))
        self._tasks.add(run.task)
        run.task.add_done_callback(self._tasks.discard)

    @property
    def refuses(self) -> bool:
        """All places are taken, and nobody may wait for one."""
        limit = self.settings.concurrency
        return limit is not None and limit.strategy == "refuse" and len(self._tasks) >= limit.limit

    def stop(self, session_id: str, besides: SimulatedRun | None = None) -> int:
        """End the running turns of a session; how many there were."""
        runs = [run for run in self.running.get(session_id, []) if run is not besides]
        for run in runs:
            run.stop()
        return len(runs)

    async def _perform(self, run: SimulatedRun, prompt: str, body: Payload, fault: Fault | None) -> None:
        try:
            if await self._gate.passes(run.umo):
                await self._process(run, prompt, body, fault)
            run.end()
        except asyncio.CancelledError:
            if not run.stopping:
                raise
            run.end()
        finally:
            run.close()
            siblings = self.running.get(run.session_id, [])
            siblings.remove(run)
            if not siblings:
                self.running.pop(run.session_id, None)
            self.store.counters["chats_finished"] += 1

    async def _process(self, run: SimulatedRun, prompt: str, body: Payload, fault: Fault | None) -> None:
        if not prompt.strip() and not body["_attachments"]:
            return
        kind = fault.kind if fault else None
        if kind is FaultKind.BLOCKED or any(word in prompt for word in self.settings.blocked_words):
            run.whole(blocked_sentence(self.wire))
        elif command := command_of(self.wire, prompt):
            stopped = self.stop(run.session_id, besides=run) if command == "stop" else 0
            if command in ("reset", "new"):
                self.forget(run.umo, begins=command == "new")
            run.whole(command_answer(self.wire, command, run, stopped))
        elif kind is FaultKind.FOLLOW_UP_CAPTURED:
            if self.wire.run_started:
                run.follow_up_captured()
        elif kind is FaultKind.AGENT_ERROR:
            run.whole(AGENT_ERROR)
        else:
            async with self.turn_of(run.umo):
                run.run_started()
                await self._ask_provider(run, prompt, body.get("selected_provider"))

    async def _ask_provider(self, run: SimulatedRun, prompt: str, provider: Any) -> None:
        if not provider or provider in self.settings.providers:
            await self.ask_model(run, prompt)
        elif self.wire.provider_sentence:
            run.whole(NO_PROVIDER.format(provider))

    def turn_of(self, umo: str) -> asyncio.Lock:
        """A session's messages are answered one after the other."""
        return self._turns.setdefault(umo, asyncio.Lock())

    def forget(self, umo: str, *, begins: bool) -> None:
        """Begin the session's conversation anew; `begins`: in a new row."""
        self._said.pop(umo, None)
        (self.store.conversations.begin if begins else self.store.conversations.empty)(umo)

    async def ask_model(self, run: "AnsweredRun", prompt: str) -> None:
        """Give the run the model's answer, or its failure; a full model service lets it wait."""
        async with self._places:
            await self._ask_model(run, prompt)

    async def _ask_model(self, run: "AnsweredRun", prompt: str) -> None:
        self.store.counters["model_asked"] += 1
        said = self._said.setdefault(run.umo, deque(maxlen=REMEMBERED))
        turn = _Turn(run, prompt, self.settings, before="\n".join(said))
        said.append(prompt)
        self.store.conversations.current(run.umo)
        try:
            script = script_for(prompt, self.settings.model)
        except DirectiveError as exc:
            detail = f"All chat models failed: BadRequestError: Error code: 400 - {exc}"
            turn.fail(UpstreamFailed(detail, tried_again=False))
            return
        if self.settings.ttft_exponential and script.ttft_s > 0:
            script = replace(script, ttft_s=self._random.expovariate(1 / script.ttft_s))
        session = self.store.sessions.get(run.session_id)
        if session is not None and session.display_name is None:
            session.display_name = "Stub title"  # a new session costs a second upstream call: its title
            self.store.counters["titles_asked"] += 1
        await (turn.stream(script) if run.streaming else turn.answer_whole(script))
        if not turn.failed:
            self.store.conversations.said(run.umo, prompt, "".join(turn.words), turn.output_tokens)


class AnsweredRun(Protocol):
    """What an answer is given to, as it comes."""

    wire: Wire
    session_id: str
    streaming: bool
    stopping: bool

    @property
    def umo(self) -> str: ...
    @property
    def shows_reasoning(self) -> bool: ...
    def text(self, text: str) -> None: ...
    def reasoning(self, text: str) -> None: ...
    def whole(self, text: str) -> None: ...
    def stats(self, data: Payload) -> None: ...
    def complete(self) -> None: ...


class _Turn:
    """One question to the model and what of its answer, or of its failure, the client gets to see."""

    def __init__(self, run: AnsweredRun, prompt: str, settings: SimulatorConfig, before: str) -> None:
        self.run = run
        self.wire = run.wire
        self.prompt = prompt
        self.before = before
        self.settings = settings
        self.start_s = perf_counter()
        self.started_at = time()
        self.first_token_s: float | None = None
        self.output_tokens = 0
        self.words: list[str] = []
        self.failed = False

    async def stream(self, script: ModelScript) -> None:
        try:
            async for token in tokens(
                script, self.prompt, self.before, yields=not self.wire.bursts_drop_reader
            ):
                if self.first_token_s is None:
                    self.first_token_s = perf_counter() - self.start_s
                self.output_tokens += 1
                if not token.reasoning:
                    self.words.append(token.text)
                (self.run.reasoning if token.reasoning else self.run.text)(token.text)
        except UpstreamFailed as exc:
            await self._retry(exc)
            self.fail(exc)
            return
        except UpstreamSilent:
            self.fail(await self._time_out())
            return
        except asyncio.CancelledError:
            if not self.run.stopping:
                raise
        self.run.stats(self._stats(report=script.report_usage))
        self.run.complete()

    async def answer_whole(self, script: ModelScript) -> None:
        thoughts: list[str] = []
        try:
            await fail_at_once(script, streamed=False, empty_detail=self.wire.empty_detail)
            if script.drop_after is not None:
                raise connection_error(tried_again=True)  # a reply that breaks off does not count
            async for token in tokens(script, self.prompt, self.before, yields=True):
                (thoughts if token.reasoning else self.words).append(token.text)
                self.output_tokens += 1
        except UpstreamFailed as exc:
            await self._retry(exc)
            self.fail(exc)
            return
        except UpstreamSilent:
            self.output_tokens = 0
            self.fail(await self._time_out())
            return
        texts = [text] if (text := "".join(self.words).strip()) else []
        if thoughts and self.run.shows_reasoning:
            texts.insert(0, f"🤔 思考: {''.join(thoughts)}\n\n────\n")
        self._whole(texts, self._stats(report=script.report_usage))

    def fail(self, failure: UpstreamFailed) -> None:
        """Show the failure as this version does: as a sentence, or not at all."""
        self.failed = True
        sentence = f"{FAILED}{failure.detail}"
        stats = self._stats(report=False)
        if not self.run.streaming:
            self._whole([sentence] if failure.detail else [], stats)
            return
        self.run.stats(stats)
        if self.wire.upstream_errors_streamed:
            self.run.text(sentence)
        self.run.complete()

    def _whole(self, texts: list[str], stats: Payload) -> None:
        if self.wire.stats_before_plain:
            self.run.stats(stats)
        for text in texts:
            self.run.whole(text)
        if not self.wire.stats_before_plain:
            self.run.stats(stats)

    async def _retry(self, failure: UpstreamFailed) -> None:
        if failure.tried_again and self.output_tokens == 0:
            asked = self.settings.upstream_retry_s
            await asyncio.sleep(self.wire.upstream_retry_s if asked is None else asked)

    async def _time_out(self) -> UpstreamFailed:
        """A silent model: AstrBot's own timeout, once in mid-answer, else for each call that it makes."""
        calls = 1 if self.output_tokens else self.wire.upstream_calls
        await asyncio.sleep(self.settings.upstream_timeout_s * calls)
        return UpstreamFailed(
            "All chat models failed: APITimeoutError: Request timed out.", tried_again=False
        )

    def _stats(self, *, report: bool) -> Payload:
        counted = self.wire.prompt_tokens + len(self.prompt.split()) if report else 0
        usage = {"input_other": counted, "input_cached": 0, "output": self.output_tokens if report else 0}
        context = {"current_context_tokens": counted} if self.wire.fastapi else {}
        return {
            "token_usage": usage,
            **context,
            "start_time": self.started_at,
            "end_time": time() if self.wire.stats_end_time else 0.0,
            "time_to_first_token": (self.first_token_s or 0.0) if self.run.streaming else 0.0,
        }
