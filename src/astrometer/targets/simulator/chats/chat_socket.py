"""`/api/v1/chat/ws`: turns of chats over one WebSocket, one after the other, as a version does it."""

import asyncio
import json
import time
from time import perf_counter_ns
from typing import Any

from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from astrometer.api import endpoints as ep
from astrometer.api.chat.socket_turn import CHAT_SOCKET
from astrometer.targets.simulator.bodies import BodyRefused
from astrometer.targets.simulator.chats.chat_run import Item, Payload, SimulatedRun
from astrometer.targets.simulator.key_check import authenticate
from astrometer.targets.simulator.routes import Api
from astrometer.targets.simulator.simulated_faults import STATUS, Fault, FaultError, FaultKind, FaultPlan

NO_KEY = 1008
FOREVER_S = 3600.0
_DATA = len(b"data: ")


class SocketRun(SimulatedRun):
    """What a turn publishes over a WebSocket: no row of the user's, no pauses, rows named by session."""

    def run_started(self) -> None:
        super().run_started()
        if self.wire.stats_before_plain:
            self._save(always=True)  # an empty row

    def _put(self, payload: Payload, *, paced: bool) -> None:  # noqa: ARG002 (no pacing on this way)
        match payload["type"]:
            case "user_message_saved":
                return
            case "session_id":
                payload = {**payload, "message_id": self.message_id}
            case "message_saved":
                data = {key: payload["data"][key] for key in ("id", "created_at")}
                payload = {"type": "message_saved", "data": data, "session_id": self.session_id}
        super()._put(payload, paced=False)


class SimulatedChatSocket:
    def __init__(
        self,
        api: Api,
        plan: FaultPlan,
        *,
        auth_cost_s: float,
        connection: tuple[Scope, Receive, Send],
    ) -> None:
        self._api = api
        self._plan = plan
        self._auth_cost_s = auth_cost_s
        self._scope, self._receive, self._send = connection
        self._transport: asyncio.Transport | None = getattr(
            getattr(self._send, "__self__", None), "transport", None
        )

    async def serve(self) -> None:
        await self._receive()
        wire = self._api.wire
        if self._scope["path"] != CHAT_SOCKET.path or not wire.chat_socket:
            await self._refuse(wire.no_socket())
            return
        if fault := self._plan.strike(ep.CHAT.name, whole_request=True):
            if fault.kind in STATUS:
                await self._refuse(wire.error(f"simulated {fault.kind}", STATUS[fault.kind]))
                return
            time.sleep(fault.value)  # noqa: ASYNC251 (a freeze is meant to stop everybody)
        await self._send({"type": "websocket.accept"})
        try:
            await self._converse()
        except OSError:  # uvicorn's word for a client that is gone
            return

    async def _refuse(self, response: Response) -> None:
        head = {"status": response.status_code, "headers": response.raw_headers}
        await self._send({"type": "websocket.http.response.start", **head})
        await self._send({"type": "websocket.http.response.body", "body": bytes(response.body)})

    async def _converse(self) -> None:
        key = authenticate(self._api.store, HTTPConnection(self._scope), ep.CHAT.scope, self._auth_cost_s)
        if isinstance(key, Response):
            said = _message_of(key)
            await self._error("UNAUTHORIZED", said)
            await self._send({"type": "websocket.close", "code": NO_KEY, "reason": said})
            return
        while (message := await self._receive())["type"] == "websocket.receive":
            try:
                frame = json.loads(message.get("text") or message.get("bytes") or "")
            except ValueError:
                await self._send({"type": "websocket.close", "code": self._api.wire.bad_json_close})
                return
            if not await self._answer(frame):
                return

    async def _answer(self, frame: Any) -> bool:
        """Whether the connection goes on."""
        if not isinstance(frame, dict):
            await self._error("INVALID_MESSAGE", "message must be an object")
            return True
        match frame.get("t", "send"):
            case "ping":
                await self._json({"type": "pong"})
            case "send":
                return await self._turn(frame)
            case other:
                await self._error("INVALID_MESSAGE", f"Unsupported message type: {other}")
        return True

    async def _turn(self, frame: Payload) -> bool:
        if frame.get("message") is None:
            await self._error("INVALID_MESSAGE", "Missing key: message")
            return True
        try:
            fault = self._plan.strike(ep.CHAT.name, str(frame["message"]), whole_request=False)
            if fault is not None and fault.kind is FaultKind.NOT_SSE:
                fault = None  # a frame has no content type
            run = self._api.start_run(frame, fault, SocketRun)
        except BodyRefused as refused:
            said = _message_of(refused.response)
            await self._error(_code_of(said), said)
            return True
        except FaultError as exc:
            await self._error("PROCESSING_ERROR", str(exc))
            return True
        self._api.store.counters[f"requests_{ep.CHAT.name}"] += 1
        try:
            return await self._write(run, fault)
        except OSError:
            run.channel.abandon()
            raise

    async def _write(self, run: SimulatedRun, fault: Fault | None) -> bool:
        """Everything that the run publishes; whether the connection goes on."""
        contents = 0
        kind = fault.kind if fault is not None else None
        while True:
            try:
                item = await run.channel.get(FOREVER_S)
            except EOFError:
                return True
            if item is None:
                continue
            if kind is FaultKind.SILENCE and item.type != "session_id":
                run.channel.abandon()
                await self._gone()
                return False
            if kind is FaultKind.NO_END and item.type == "end":
                continue
            due = fault is not None and item.is_content and contents == fault.after_tokens
            if fault is not None and due and not await self._strike(run, fault.kind):
                return fault.kind is FaultKind.STREAM_ERROR
            contents += item.is_content
            await self._item(item)

    async def _strike(self, run: SimulatedRun, kind: FaultKind) -> bool:
        """Let the fault of a stream happen; whether the turn goes on."""
        match kind:
            case FaultKind.CUT | FaultKind.HANGUP if self._transport is not None:
                self._transport.abort()
            case FaultKind.TRUNCATED:
                await self._send({"type": "websocket.close", "code": 1000})
            case FaultKind.STREAM_ERROR:
                await self._error("PROCESSING_ERROR", "WebChat run failed")
            case FaultKind.MALFORMED:
                await self._text('{"type": "plain", "data": "w')
                return True
            case _:
                return True
        run.channel.abandon()
        return False

    async def _gone(self) -> None:
        while (await self._receive())["type"] != "websocket.disconnect":
            pass

    async def _item(self, item: Item) -> None:
        tail = f', "_sent_ns": {perf_counter_ns()}}}' if self._api.stamp else "}"
        await self._text(item.head[_DATA:].decode() + tail)

    async def _error(self, code: str, said: str) -> None:
        await self._json({"type": "error", "code": code, "data": said})

    async def _json(self, payload: Payload) -> None:
        await self._text(json.dumps(payload, ensure_ascii=False))

    async def _text(self, text: str) -> None:
        await self._send({"type": "websocket.send", "text": text})


def _message_of(response: Response) -> str:
    return str(json.loads(bytes(response.body))["message"])


def _code_of(said: str) -> str:
    """AstrBot's code for a turn that it does not begin."""
    if said in ("Missing key: username", "username is empty"):
        return "BAD_USER"
    if said.startswith(("config_id", "config_name")):
        return "CONFIG_ERROR"
    return "SESSION_ERROR" if said.startswith("session_id") else "INVALID_MESSAGE"
