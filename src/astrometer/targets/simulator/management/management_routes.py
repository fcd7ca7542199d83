"""Requests of the management API -> answers in AstrBot's envelope. The key was looked at before."""

from collections.abc import Mapping
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
    def __init__(self, store: Store, bots: SimulatedBots, profiles: SimulatedProfiles) -> None:
        self.wire = store.wire
        self.store = store
        self.bots = bots
        self.profiles = profiles

    async def answer(
        self, endpoint: Endpoint, request: Request, params: dict[str, str], body: dict[str, Any]
    ) -> Response:
        try:
            return await self._answer_bots(endpoint, request.query_params, body) or (
                self._answer_profiles(endpoint, params, body)
                or self._answer_conversations(endpoint, request.query_params, body)
            )
        except AdminsRefused as exc:
            return self.wire.error(str(exc), 403)
        except (BotRefused, ProfileRefused) as exc:
            return self.wire.error(str(exc), 400)
        finally:
            self.bots.apply_profiles()

    async def _answer_bots(
        self, endpoint: Endpoint, query: Mapping[str, str], body: dict[str, Any]
    ) -> Response | None:
        match endpoint:
            case ep.BOTS:
                return self.wire.ok({"bots": self.bots.listed()})
            case ep.BOT_STATS:
                rows = self.bots.stats()
                running = sum(row["status"] == "running" for row in rows)
                summary = {"total": len(rows), "running": running, "error": len(rows) - running}
                return self.wire.ok({"platforms": rows, "summary": summary})
            case ep.BOT_CREATE:
                await self.bots.create(dict(body.get("config") or body))
                return self.wire.ok(message="新增平台配置成功~")
            case ep.BOT_ENABLE:
                await self.bots.enable(str(body.get("bot_id", "")), enabled=bool(body.get("enabled")))
                return self.wire.ok(message="更新平台配置成功~")
            case ep.BOT_DELETE:
                self.bots.delete(query.get("bot_id", ""))
                return self.wire.ok(message="删除平台配置成功~")
        return None

    def _answer_profiles(
        self, endpoint: Endpoint, params: dict[str, str], body: dict[str, Any]
    ) -> Response | None:
        """And the routes from sessions to them."""
        match endpoint:
            case ep.PROFILES:
                return self.wire.ok({"info_list": self.profiles.listed()})
            case ep.PROFILE_CREATE:
                config = body.get("config") or self.profiles.configs["default"]
                profile_id, is_usable = self.profiles.create(
                    str(body.get("name")), config, checks_admins=self.wire.guards_admins
                )
                if not is_usable:
                    return self.wire.error("Internal server error", 500)
                return self.wire.ok({"conf_id": profile_id}, "创建成功")
            case ep.PROFILE_GET:
                return self.wire.ok({"config": self.profiles.get(params["profile_id"]), "metadata": {}})
            case ep.PROFILE_DELETE:
                self.profiles.delete(params["profile_id"])
                return self.wire.ok(message="删除成功")
            case ep.ROUTES:
                return self.wire.ok({"routing": self.profiles.routes})
            case ep.ROUTES_REPLACE:
                self.profiles.routes = dict(body["routing"])
                return self.wire.ok(message="更新成功")
            case ep.ROUTE_SET:
                self.profiles.routes[params["route"]] = str(body["config_id"])
                return self.wire.ok(message="更新成功")
            case ep.ROUTE_DELETE:
                self.profiles.routes.pop(params["route"], None)
                return self.wire.ok(message="删除成功")
        return None

    def _answer_conversations(
        self, endpoint: Endpoint, query: Mapping[str, str], body: dict[str, Any]
    ) -> Response:
        if endpoint == ep.CONVERSATIONS:
            return self.wire.ok(self.store.conversations.listed(query))
        named = body["conversations"]  # to delete; what is not there counts as deleted, too
        if not named:
            return self.wire.error("批量删除时conversations参数不能为空", 400)
        for conversation in named:
            self.store.conversations.delete(conversation["cid"])
        told = {"message": f"成功删除 {len(named)} 个对话", "deleted_count": len(named)}
        return self.wire.ok({**told, "failed_count": 0, "failed_items": []})


# Of requests that have a body: most take anything.
WITH_BODY: dict[Endpoint, type[BaseModel]] = {
    **{endpoint: OpenBody for endpoint in ep.MANAGEMENT if endpoint.method in ("POST", "PUT", "PATCH")},
    ep.CONVERSATIONS_DELETE: ConversationsDeleteBody,
}
