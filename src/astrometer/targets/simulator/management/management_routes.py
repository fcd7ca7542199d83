"""Requests of the management API -> answers in AstrBot's envelope. The key was looked at before."""

from collections.abc import Awaitable, Callable
from typing import Any

from pydantic import BaseModel, ConfigDict
from starlette.requests import Request
from starlette.responses import Response

from astrometer.api import management_endpoints as ep
from astrometer.api.endpoints import Endpoint
from astrometer.targets.simulator.bodies import ConversationsDeleteBody
from astrometer.targets.simulator.management.simulated_bots import BotRefused, SimulatedBots
from astrometer.targets.simulator.management.simulated_profiles import (
    AdminsRefused,
    ProfileRefused,
    SimulatedProfiles,
)
from astrometer.targets.simulator.store import Store


class OpenBody(BaseModel):
    """An object with anything in it."""

    model_config = ConfigDict(extra="allow")


class SimulatedManagement:
    """All of it."""

    def __init__(self, store: Store, bots: SimulatedBots, profiles: SimulatedProfiles) -> None:
        self.wire = store.wire
        self.store = store
        self.bots = bots
        self.profiles = profiles

    async def answer(
        self, endpoint: Endpoint, request: Request, params: dict[str, str], body: dict[str, Any]
    ) -> Response:
        try:
            return await HANDLERS[endpoint](self, request, params, body)
        except AdminsRefused as exc:
            return self.wire.error(str(exc), 403)
        except (BotRefused, ProfileRefused) as exc:
            return self.wire.error(str(exc), 400)
        finally:
            self.bots.apply_profiles()

    async def list_bots(self, _request: Request, _params: Any, _body: Any) -> Response:
        return self.wire.ok({"bots": self.bots.listed()})

    async def bot_stats(self, _request: Request, _params: Any, _body: Any) -> Response:
        rows = self.bots.stats()
        running = sum(row["status"] == "running" for row in rows)
        summary = {"total": len(rows), "running": running, "error": len(rows) - running}
        return self.wire.ok({"platforms": rows, "summary": summary})

    async def create_bot(self, _request: Request, _params: Any, body: dict[str, Any]) -> Response:
        await self.bots.create(dict(body.get("config") or body))
        return self.wire.ok(message="新增平台配置成功~")

    async def enable_bot(self, _request: Request, _params: Any, body: dict[str, Any]) -> Response:
        await self.bots.enable(str(body.get("bot_id", "")), enabled=bool(body.get("enabled")))
        return self.wire.ok(message="更新平台配置成功~")

    async def delete_bot(self, request: Request, _params: Any, _body: Any) -> Response:
        self.bots.delete(request.query_params.get("bot_id", ""))
        return self.wire.ok(message="删除平台配置成功~")

    async def list_profiles(self, _request: Request, _params: Any, _body: Any) -> Response:
        return self.wire.ok({"info_list": self.profiles.listed()})

    async def create_profile(self, _request: Request, _params: Any, body: dict[str, Any]) -> Response:
        config = body.get("config") or self.profiles.configs["default"]
        profile_id, is_usable = self.profiles.create(
            str(body.get("name")), config, checks_admins=self.wire.guards_admins
        )
        if not is_usable:
            return self.wire.error("Internal server error", 500)
        return self.wire.ok({"conf_id": profile_id}, "创建成功")

    async def get_profile(self, _request: Request, params: dict[str, str], _body: Any) -> Response:
        return self.wire.ok({"config": self.profiles.get(params["profile_id"]), "metadata": {}})

    async def delete_profile(self, _request: Request, params: dict[str, str], _body: Any) -> Response:
        self.profiles.delete(params["profile_id"])
        return self.wire.ok(message="删除成功")

    async def list_routes(self, _request: Request, _params: Any, _body: Any) -> Response:
        return self.wire.ok({"routing": self.profiles.routes})

    async def replace_routes(self, _request: Request, _params: Any, body: dict[str, Any]) -> Response:
        self.profiles.routes = dict(body["routing"])
        return self.wire.ok(message="更新成功")

    async def set_route(self, _request: Request, params: dict[str, str], body: dict[str, Any]) -> Response:
        self.profiles.routes[params["route"]] = str(body["config_id"])
        return self.wire.ok(message="更新成功")

    async def delete_route(self, _request: Request, params: dict[str, str], _body: Any) -> Response:
        self.profiles.routes.pop(params["route"], None)
        return self.wire.ok(message="删除成功")

    async def conversations(self, request: Request, _params: Any, _body: Any) -> Response:
        return self.wire.ok(self.store.conversations.listed(request.query_params))

    async def delete_conversations(self, _request: Request, _params: Any, body: dict[str, Any]) -> Response:
        """Whatever is named counts as deleted, also what is not there."""
        named = body["conversations"]
        if not named:
            return self.wire.error("批量删除时conversations参数不能为空", 400)
        for conversation in named:
            self.store.conversations.delete(conversation["cid"])
        told = {"message": f"成功删除 {len(named)} 个对话", "deleted_count": len(named)}
        return self.wire.ok({**told, "failed_count": 0, "failed_items": []})


_Handler = Callable[[SimulatedManagement, Request, dict[str, str], dict[str, Any]], Awaitable[Response]]
HANDLERS: dict[Endpoint, _Handler] = {
    ep.BOTS: SimulatedManagement.list_bots,
    ep.BOT_STATS: SimulatedManagement.bot_stats,
    ep.BOT_CREATE: SimulatedManagement.create_bot,
    ep.BOT_ENABLE: SimulatedManagement.enable_bot,
    ep.BOT_DELETE: SimulatedManagement.delete_bot,
    ep.PROFILES: SimulatedManagement.list_profiles,
    ep.PROFILE_CREATE: SimulatedManagement.create_profile,
    ep.PROFILE_GET: SimulatedManagement.get_profile,
    ep.PROFILE_DELETE: SimulatedManagement.delete_profile,
    ep.ROUTES: SimulatedManagement.list_routes,
    ep.ROUTES_REPLACE: SimulatedManagement.replace_routes,
    ep.ROUTE_SET: SimulatedManagement.set_route,
    ep.ROUTE_DELETE: SimulatedManagement.delete_route,
    ep.CONVERSATIONS: SimulatedManagement.conversations,
    ep.CONVERSATIONS_DELETE: SimulatedManagement.delete_conversations,
}
# Of requests that have a body: most take anything.
WITH_BODY: dict[Endpoint, type[BaseModel]] = {
    **{endpoint: OpenBody for endpoint in ep.MANAGEMENT if endpoint.method in ("POST", "PUT", "PATCH")},
    ep.CONVERSATIONS_DELETE: ConversationsDeleteBody,
}
