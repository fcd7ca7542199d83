"""Chat completion requests -> scripted answers on an absolute timeline, and a record of what was received.

The model that a sandboxed AstrBot talks to: OpenAI-compatible, with timing and faults asked for in the prompt
(`script.py`). Token k leaves at request + ttft + k * gap, so late wake-ups do not add up.

GET /stub/requests and /stub/stats say what arrived and what was answered; times are `perf_counter` seconds,
which processes of one Linux machine share.
"""

import asyncio
from time import perf_counter

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from astrometer.targets.cutting import cut
from astrometer.targets.messenger.sink import Sink, answer_sink
from astrometer.targets.model.call_log import CallEnd, CallLog, ModelCall
from astrometer.targets.model.completions import DONE, Completion, Prompt, error_body, read_prompt, usage_of
from astrometer.targets.script import Fail, ModelScript, script_for

MODEL = "stub-model"
TITLE = ModelScript(ttft_s=0, gap_s=0, say="Stub title")
GARBAGE = b'data: {"choices": [{"delta": {"content": "\xff\xfe\x00}}\n\n'


class ModelAnswer(Response):
    """One completion as it goes out: notices when its client leaves, can cut, can fall silent."""

    def __init__(self, prompt: Prompt, script: ModelScript, entry: ModelCall, journal: CallLog) -> None:
        self.prompt = prompt
        self.script = script
        self.entry = entry
        self.journal = journal
        self.completion = Completion(model=prompt.model or MODEL, number=entry.number)
        self.words = script.words(prompt.text, prompt.before)
        self.thoughts = script.reasoning_words()
        self.background = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        leaving = asyncio.create_task(_left(receive))
        answering = asyncio.create_task(self._answer(send))
        end = CallEnd.ABORTED
        try:
            await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if answering.done():
                end = answering.result()
                if end is CallEnd.DROPPED:
                    await cut(scope, receive)
                elif end is CallEnd.STALLED:
                    await leaving
        finally:
            for task in (answering, leaving):
                task.cancel()
            await asyncio.gather(answering, leaving, return_exceptions=True)
            self.journal.ended(self.entry, end, perf_counter())

    async def _answer(self, send: Send) -> CallEnd:
        fail = self.script.fail
        if fail is Fail.REFUSE:
            return CallEnd.DROPPED
        if fail and fail.status:
            status = self.entry.status = fail.status
            await self._send_json(send, status, error_body(status, f"scripted failure {status}"))
            return CallEnd.FAILED
        self.entry.status = 200
        return await (self._stream(send) if self.prompt.streaming else self._whole(send))

    async def _stream(self, send: Send) -> CallEnd:
        headers = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-cache")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        script = self.script
        for number, delta in enumerate(self._deltas()):
            if script.drop_after == number:
                return CallEnd.DROPPED
            if script.stall_after == number:
                return CallEnd.STALLED
            await self._until_due(number)
            if script.fail is Fail.GARBAGE:
                await _part(send, GARBAGE, more=False)
                return CallEnd.FAILED
            await _part(send, self.completion.chunk(delta))
            self.entry.token(perf_counter())
        if script.drop_after is not None:
            return CallEnd.DROPPED
        if script.stall_after is not None:
            return CallEnd.STALLED
        await _part(send, self._tail() + DONE, more=False)
        return CallEnd.FAILED if script.fail else CallEnd.FINISHED

    def _tail(self) -> bytes:
        if not self.script.report_usage:
            return self.completion.chunk({}, "stop")
        if self.prompt.wants_usage:
            return self.completion.chunk({}, "stop") + self.completion.usage_chunk(self._usage())
        # Unasked, as DeepSeek and others do: AstrBot before 4.20 does not ask, yet counts it.
        return self.completion.chunk({}, "stop", self._usage())

    async def _whole(self, send: Send) -> CallEnd:
        script = self.script
        deltas = self._deltas()
        last = max(len(deltas) - 1, 0)
        for limit, end in ((script.drop_after, CallEnd.DROPPED), (script.stall_after, CallEnd.STALLED)):
            if limit is not None:
                await self._until_due(min(limit, last))
                return end
        await self._until_due(last)
        if script.fail is Fail.GARBAGE:
            await _send_bytes(send, 200, GARBAGE)
            return CallEnd.FAILED
        text = "".join(delta.get("content", "") for delta in deltas)
        usage = self._usage() if script.report_usage else None
        await self._send_json(send, 200, self.completion.whole(text, "".join(self.thoughts), usage))
        if deltas:
            self.entry.token(perf_counter(), len(deltas))
        return CallEnd.FAILED if script.fail else CallEnd.FINISHED

    def _deltas(self) -> list[dict[str, str]]:
        if self.script.fail is Fail.EMPTY:
            return []
        if self.script.fail is Fail.BLANK:
            return [{"content": " "}]
        thoughts = [{"reasoning_content": word} for word in self.thoughts]
        deltas = thoughts + [{"content": word} for word in self.words]
        # The role rides on the first token: a chunk of its own could be taken for one.
        return [{"role": "assistant", **deltas[0]}, *deltas[1:]] if deltas else []

    def _usage(self) -> dict[str, object]:
        deltas = self._deltas()
        thoughts = sum("reasoning_content" in delta for delta in deltas)
        return usage_of(self.prompt, answer_tokens=len(deltas) - thoughts, reasoning_tokens=thoughts)

    async def _until_due(self, number: int) -> None:
        wait_s = self.entry.time + self.script.due_s(number) - perf_counter()
        if wait_s > 0:
            await asyncio.sleep(wait_s)

    async def _send_json(self, send: Send, status: int, body: dict[str, object]) -> None:
        await _send_bytes(send, status, bytes(JSONResponse(body).body))


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _part(send: Send, body: bytes, *, more: bool = True) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": more})


async def _send_bytes(send: Send, status: int, body: bytes) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await _part(send, body, more=False)


def build_app(defaults: ModelScript | None = None, sink: Sink | None = None) -> Starlette:
    """The stub model; `defaults` is what it does with a prompt that carries no directive.

    With a `sink` it also serves what the messenger was given (`im_sink.py`).
    """
    usual = defaults or ModelScript()
    log = CallLog()

    async def complete(request: Request) -> Response:
        arrived_s = perf_counter()
        try:
            prompt = read_prompt(await request.json())
            script = TITLE if prompt.is_title else script_for(prompt.text, usual)
        except ValueError as exc:
            log.rejected()
            return JSONResponse(error_body(400, str(exc)), 400)
        entry = log.received(arrived_s, prompt, script)
        return ModelAnswer(prompt, script, entry, log)

    async def models(_: Request) -> Response:
        return JSONResponse(
            {"object": "list", "data": [{"id": MODEL, "object": "model", "owned_by": "stub"}]}
        )

    async def requests(_: Request) -> Response:
        return JSONResponse(log.requests())

    async def forget(_: Request) -> Response:
        log.clear()
        return JSONResponse(log.stats())

    async def stats(_: Request) -> Response:
        return JSONResponse(log.stats())

    async def delivered(request: Request) -> Response:
        return await answer_sink(request, sink) if sink is not None else Response(status_code=404)

    return Starlette(
        routes=[
            Route("/onebot{rest:path}", delivered, methods=["GET", "POST", "DELETE"]),
            Route("/v1/chat/completions", complete, methods=["POST"]),
            Route("/v1/models", models),
            Route("/stub/requests", requests),
            Route("/stub/requests", forget, methods=["DELETE"]),
            Route("/stub/stats", stats),
        ]
    )
