"""HTTP -> a protocol-faithful AstrBot of a chosen version, with known timing and faults on demand (ASGI).

`Simulator(SimulatorConfig(version="4.18.0"))` is an ASGI app: `serving.serve` runs it in a thread,
`astrometer sim` in the foreground. Whatever it does that the real AstrBot does not is a bug of it; the
contract suite runs against both. `/sim/stats`, `/sim/faults` and (with `im_sink`) `/onebot` are for tests and
need no key.
"""

import json
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from astrometer.api import endpoints as ep
from astrometer.api.management_endpoints import MANAGEMENT
from astrometer.targets.messenger.sink import Sink, SinkFaults, answer_sink
from astrometer.targets.simulator.admin import answer_admin
from astrometer.targets.simulator.bodies import (
    BatchDeleteBody,
    BodyRefused,
    ChatBody,
    ImBody,
    checked,
    missing,
)
from astrometer.targets.simulator.chats.chat import Pipeline
from astrometer.targets.simulator.chats.chat_socket import SimulatedChatSocket
from astrometer.targets.simulator.chats.event_stream import remember_transport
from astrometer.targets.simulator.key_check import authenticate
from astrometer.targets.simulator.management.management_routes import WITH_BODY, SimulatedManagement
from astrometer.targets.simulator.management.simulated_bots import SimulatedBots
from astrometer.targets.simulator.management.simulated_profiles import SimulatedProfiles
from astrometer.targets.simulator.onebot_adapter.simulated_adapter import SimulatedAdapter
from astrometer.targets.simulator.routes import FORMS, Api
from astrometer.targets.simulator.simulated_faults import STATUS, Fault, FaultError, FaultPlan
from astrometer.targets.simulator.simulator_config import SimulatorConfig
from astrometer.targets.simulator.store import SimKey, Store
from astrometer.targets.simulator.version_traits import Wire

# Not in the endpoint table, because no part of astrometer calls them.
BATCH_DELETE = ep.Endpoint(
    "session_batch_delete", "POST", f"{ep.API}/chat/sessions/batch-delete", "chat", (4, 26, 0)
)
FILE_DELETE = ep.Endpoint("file_delete", "DELETE", f"{ep.API}/files/{{file_id}}", "file", (4, 26, 0))
NO_KEY: SimKey = SimKey(secret="", scopes=frozenset())


@dataclass(frozen=True, slots=True)
class BadJson:
    """A body that is no JSON: what the parser said, and where."""

    msg: str
    position: int


@dataclass(frozen=True, slots=True)
class Call:
    request: Request
    key: SimKey
    params: dict[str, str]
    body: Any
    fault: Fault | None


class Simulator:
    """The ASGI app. `store` is what the simulated server knows, for tests that look inside."""

    def __init__(self, config: SimulatorConfig | None = None) -> None:
        self.config = config or SimulatorConfig()
        self.wire = Wire.of(self.config.version)
        self.store = Store(self.wire, dict(self.config.keys))
        self.plan = FaultPlan()
        for planned in self.config.faults:
            self.plan.add(planned)
        self.pipeline = Pipeline(self.store, self.config)
        self.sink = Sink() if self.config.im_sink else None
        if self.sink is not None:
            self.sink.connected = True
            self.sink.set_faults(SinkFaults(delivery_delay_s=self.config.im_delay_s))
        self.messenger = (
            SimulatedAdapter(self.pipeline, self.plan, self.config.messenger)
            if self.config.messenger is not None
            else None
        )
        self.profiles = SimulatedProfiles()
        self.bots = SimulatedBots(self.pipeline, self.plan, self.profiles, self.messenger)
        self.management = SimulatedManagement(self.store, self.bots, self.profiles)
        self.api = Api(
            self.store,
            self.pipeline,
            heartbeat_s=self.config.heartbeat_s,
            stamp=self.config.stamp,
            sink=self.sink,
            bots=self.bots,
        )
        known = [*ep.ENDPOINTS, *ep.MANAGED, *MANAGEMENT, BATCH_DELETE, FILE_DELETE]
        # Fixed paths before `{session_id}`, which would match them too.
        self._routes = [
            (re.compile(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(endpoint.path))), endpoint)
            for endpoint in sorted(known, key=lambda endpoint: "{" in endpoint.path)
            if endpoint.exists_in(self.wire.version)
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        if scope["type"] == "websocket":
            cost = self.config.auth_cost_s
            await SimulatedChatSocket(
                self.api, self.plan, auth_cost_s=cost, connection=(scope, receive, send)
            ).serve()
            return
        remember_transport(scope, send)
        request = Request(scope, receive)
        if scope["path"].startswith("/sim/"):
            response = await answer_admin(request, self.store, self.plan, self.pipeline, self.messenger)
        elif self.sink is not None and scope["path"].startswith("/onebot"):
            response = await answer_sink(request, self.sink)
        else:
            response = await self._answer(request)
        await response(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        """The messenger listens from the server's start to its end, which comes without a close frame."""
        await receive()
        try:
            if self.messenger is not None:
                await self.messenger.open()
        except OSError as exc:
            await send({"type": "lifespan.startup.failed", "message": str(exc)})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        if self.messenger is not None:
            self.messenger.kill()
        self.bots.kill()
        await send({"type": "lifespan.shutdown.complete"})

    # --- from the path to the endpoint: the two families check in a different order

    async def _answer(self, request: Request) -> Response:
        try:
            return await (self._answer_f(request) if self.wire.fastapi else self._answer_q(request))
        except BodyRefused as refused:
            return refused.response
        except FaultError as exc:
            return self.wire.error(str(exc), 400)

    async def _answer_q(self, request: Request) -> Response:
        """Quart: the key before everything, the scope by the path alone, then the route."""
        key = NO_KEY
        if request.url.path.startswith(ep.API):
            scopes = {endpoint.scope for _, endpoint in self._matching(request.url.path)}
            key = self._authenticated(request, next(iter(scopes), None))
        elif request.url.path.startswith("/api/") and not self._matching(request.url.path):
            return self.wire.no_dashboard_token()
        for params, endpoint in self._matching(request.url.path):
            if endpoint.method == request.method:
                body = await self._json(request)
                if body and not isinstance(body, dict | BadJson) and endpoint in (ep.CHAT, ep.IM_MESSAGE):
                    return self.wire.crash()
                if isinstance(body, BadJson) and endpoint is ep.IM_MESSAGE:
                    return self.wire.bad_request()
                return await self._run(endpoint, request, key, params, body if isinstance(body, dict) else {})
        return self._lost(request)

    async def _answer_f(self, request: Request) -> Response:
        """FastAPI: the route, then the body's syntax, then the key, then the body's fields."""
        for params, endpoint in self._matching(request.url.path):
            if endpoint.method == request.method:
                body = await self._json(request)
                model = BODIES.get(endpoint)
                if isinstance(body, BadJson) and model is not None:
                    return self.wire.validation([_json_problem(body)])
                key = NO_KEY if endpoint.scope is None else self._authenticated(request, endpoint.scope)
                fields = {} if model is None else checked(model, body)
                return await self._run(endpoint, request, key, params, fields)
        return self._lost(request)

    def _matching(self, path: str) -> list[tuple[dict[str, str], ep.Endpoint]]:
        """The endpoints of a path, of any method; a fixed path hides one with parameters."""
        found = [
            (match.groupdict(), endpoint)
            for pattern, endpoint in self._routes
            if (match := pattern.fullmatch(path)) is not None
        ]
        fixed = [entry for entry in found if not entry[0]]
        return fixed or found

    def _lost(self, request: Request) -> Response:
        """No endpoint: the dashboard's page server owns every other GET, and refuses the other methods."""
        self.store.counters["requests_lost"] += 1
        return self.wire.not_found() if request.method in ("GET", "HEAD") else self.wire.wrong_method()

    def _authenticated(self, request: Request, scope: str | None) -> SimKey:
        key = authenticate(self.store, request, scope, self.config.auth_cost_s)
        if isinstance(key, Response):
            self.store.counters["requests_refused"] += 1
            raise BodyRefused(key)
        return key

    async def _json(self, request: Request) -> Any:
        if request.headers.get("content-type", "").startswith(FORMS):
            return None
        raw = await request.body()
        if not raw:
            return None
        if "json" not in request.headers.get("content-type", ""):
            return raw.decode("utf-8", "replace") if self.wire.fastapi else None
        try:
            return json.loads(raw)
        except json.JSONDecodeError as exc:
            return BadJson(exc.msg, exc.pos)

    # --- the endpoint

    async def _run(
        self, endpoint: ep.Endpoint, request: Request, key: SimKey, params: dict[str, str], body: Any
    ) -> Response:
        self.store.counters[f"requests_{endpoint.name}"] += 1
        prompt = str(body.get("message", "")) if endpoint is ep.CHAT else ""
        if fault := self.plan.strike(endpoint.name, prompt, whole_request=True):
            if fault.kind in STATUS:
                return self.wire.error(f"simulated {fault.kind}", STATUS[fault.kind])
            time.sleep(fault.value)  # noqa: ASYNC251 (a freeze is meant to stop everybody)
        stream_fault = self.plan.strike(endpoint.name, prompt, whole_request=False)
        if endpoint in MANAGEMENT:
            return await self.management.answer(endpoint, request, params, body)
        return await HANDLERS[endpoint](self, Call(request, key, params, body, stream_fault))

    async def start_time(self, _call: Call) -> Response:
        return self.wire.ok({"start_time": self.store.started_at})

    def versions(self) -> Response:
        running = str(self.wire)
        on_disk = self.config.code_version or running
        told = {"astrbot_version": running, "astrbot_code_version": on_disk}
        return self.wire.ok({"webui_version": f"v{running}", **told})

    async def openapi(self, _call: Call) -> Response:
        paths: dict[str, dict[str, Any]] = {}
        for _, endpoint in self._routes:
            if endpoint in (ep.CONFIGS, ep.IM_MESSAGE, ep.OPENAPI, ep.START_TIME, ep.VERSIONS):
                continue  # hidden from the document
            operation: dict[str, Any] = {"operationId": endpoint.name, "responses": {"200": {}}}
            if endpoint.scope and (self.wire.openapi_scopes or endpoint in (ep.UPLOAD, ep.DOWNLOAD)):
                operation["x-astrbot-scope"] = endpoint.scope
            paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = operation
        info = {"title": "AstrBot OpenAPI", "version": "1.0.0"}
        return JSONResponse({"openapi": "3.1.0", "info": info, "paths": paths})


def _json_problem(bad: BadJson) -> dict[str, Any]:
    problem = {"type": "json_invalid", "loc": ["body", bad.position], "msg": "JSON decode error"}
    return {**problem, "input": {}, "ctx": {"error": bad.msg}}


BODIES: dict[ep.Endpoint, type[BaseModel]] = {
    ep.CHAT: ChatBody,
    ep.IM_MESSAGE: ImBody,
    BATCH_DELETE: BatchDeleteBody,
    **WITH_BODY,
}

Handler = Callable[[Simulator, Call], Awaitable[Response]]


def _sync(answer: Callable[[Simulator, Call], Response]) -> Handler:
    async def handler(simulator: Simulator, call: Call) -> Response:
        return answer(simulator, call)

    return handler


HANDLERS: dict[ep.Endpoint, Handler] = {
    ep.CHAT: lambda sim, call: sim.api.chat(call.body, call.fault),
    ep.UPLOAD: lambda sim, call: sim.api.upload(call.request),
    ep.START_TIME: Simulator.start_time,
    **dict.fromkeys((ep.VERSIONS, ep.VERSIONS_V1), _sync(lambda sim, _call: sim.versions())),
    ep.OPENAPI: Simulator.openapi,
    ep.SESSIONS: _sync(lambda sim, call: sim.api.sessions(call.request)),
    ep.CONFIGS: _sync(lambda sim, _call: sim.api.configs()),
    ep.IM_MESSAGE: lambda sim, call: sim.api.im_message(call.body),
    ep.IM_BOTS: _sync(lambda sim, _call: sim.api.im_bots()),
    ep.DOWNLOAD: _sync(lambda sim, call: sim.api.download(call.request)),
    ep.SESSION_NEW: _sync(lambda sim, call: sim.api.session_new(call.request, call.key)),
    ep.SESSION_GET: _sync(lambda sim, call: sim.api.session_get(call.params["session_id"], call.key)),
    ep.SESSION_DELETE: _sync(lambda sim, call: sim.api.session_delete(call.params["session_id"], call.key)),
    ep.SESSION_STOP: _sync(lambda sim, call: sim.api.session_stop(call.params["session_id"], call.key)),
    BATCH_DELETE: _sync(lambda sim, call: sim.api.batch_delete(call.body, call.key)),
    # A no-op that says ok for any id; the file is still served afterwards.
    # Asked without the parameter that they need, as a check of a key's scopes does.
    **dict.fromkeys(
        (endpoint for endpoint in ep.MANAGED if endpoint is not ep.MCP),
        _sync(lambda sim, _call: sim.wire.validation([missing("query", "id")])),
    ),
    ep.MCP: _sync(lambda sim, _call: sim.wire.ok({"servers": []})),
    FILE_DELETE: _sync(lambda sim, call: sim.wire.ok({"attachment_id": call.params["file_id"]})),
}
