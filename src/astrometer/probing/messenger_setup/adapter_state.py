"""What an AstrBot knows of an adapter: the adapter itself, its profile, and the routes of all adapters."""

import fnmatch
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from astrometer.api import management_endpoints as manage
from astrometer.api.outcome import Outcome
from astrometer.config.secret import Secret
from astrometer.probing.messenger_setup.adapter_plan import MARK, is_ours, profile_name_of, route_of
from astrometer.probing.messenger_setup.management import Management
from astrometer.probing.verdict import ProbeFailed

DEFAULT_PROFILE = "default"
SOMEBODY = "9100000001"


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundAdapter:
    """One adapter in the server's configuration. `token` is never part of a repr."""

    adapter_id: str
    type: str
    port: int | None
    ports: frozenset[int]  # all that its settings name
    listen: str
    enabled: bool
    token: Secret
    is_ours: bool
    made_at: str

    @classmethod
    def read(cls, item: Mapping[str, Any]) -> "FoundAdapter":
        ports = {
            name: int(value)
            for name, value in item.items()
            if name.endswith("port") and str(value).isdecimal()
        }
        return cls(
            adapter_id=str(item.get("id", "")),
            type=str(item.get("type", "")),
            port=ports.get("ws_reverse_port"),
            ports=frozenset(ports.values()),
            listen=str(item.get("ws_reverse_host", "")),
            enabled=bool(item.get("enable")),
            token=Secret(str(item.get("ws_reverse_token") or "")),
            is_ours=is_ours(item),
            made_at=str(item.get(MARK, "")),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterState:
    """`ports`: of the server's other adapters, with their names. `routes`: in the order of AstrBot."""

    adapter_id: str
    adapter: FoundAdapter | None
    profile_ids: tuple[str, ...]  # those of our name
    known_profiles: frozenset[str]
    routes: Mapping[str, str]
    ports: Mapping[int, str] = field(default_factory=dict)

    @property
    def route_target(self) -> str | None:
        """The profile that our route leads to."""
        return self.routes.get(route_of(self.adapter_id))

    @property
    def has_route(self) -> bool:
        return self.route_target in self.profile_ids

    @property
    def foreign_route(self) -> bool:
        """Whether a route of this adapter's leads to a profile that somebody else made."""
        target = self.route_target
        return target is not None and not self.has_route and target in self.known_profiles

    @property
    def in_force(self) -> tuple[str, str | None]:
        """The profile that a question gets, and the route to it: AstrBot takes the first that fits."""
        return profile_in_force(self.routes, self.adapter_id)

    @property
    def is_empty(self) -> bool:
        return self.adapter is None and not self.profile_ids and self.route_target is None

    @property
    def is_whole(self) -> bool:
        adapter = self.adapter
        return adapter is not None and adapter.enabled and self.in_force[0] in self.profile_ids


def profile_in_force(routes: Mapping[str, str], adapter_id: str) -> tuple[str, str | None]:
    question = (adapter_id, "FriendMessage", SOMEBODY)
    for route, profile in routes.items():
        parts = route.split(":", 2)
        if len(parts) == 3 and all(
            not pattern or fnmatch.fnmatchcase(part, pattern)
            for pattern, part in zip(parts, question, strict=True)
        ):
            return profile, route
    return DEFAULT_PROFILE, None


async def adapters_of(management: Management) -> list[FoundAdapter]:
    """Raises ProbeFailed."""
    return [FoundAdapter.read(item) for item in _items(await management.ask(manage.BOTS), "bots")]


async def routes_of(management: Management) -> dict[str, str]:
    """In AstrBot's order. Raises ProbeFailed."""
    payload = await management.ask(manage.ROUTES)
    routing = payload.get("routing") if isinstance(payload, Mapping) else None
    return {str(route): str(to) for route, to in routing.items()} if isinstance(routing, Mapping) else {}


async def state_of(management: Management, adapter_id: str) -> AdapterState:
    """Raises ProbeFailed."""
    profiles = _items(await management.ask(manage.PROFILES), "info_list")
    routes = await routes_of(management)
    adapters = await adapters_of(management)
    name = profile_name_of(adapter_id)
    return AdapterState(
        adapter_id=adapter_id,
        adapter=next((one for one in adapters if one.adapter_id == adapter_id), None),
        profile_ids=tuple(str(item.get("id")) for item in profiles if item.get("name") == name),
        known_profiles=frozenset(str(item.get("id")) for item in profiles),
        routes=routes,
        ports={
            port: one.adapter_id for one in adapters if one.adapter_id != adapter_id for port in one.ports
        },
    )


async def profile_of(management: Management, profile_id: str) -> dict[str, Any]:
    """A whole configuration, with secrets in it. Raises ProbeFailed."""
    payload = await management.ask(manage.PROFILE_GET, path={"profile_id": profile_id})
    config = payload.get("config") if isinstance(payload, Mapping) else None
    if not isinstance(config, dict) or "platform_settings" not in config:
        raise ProbeFailed(Outcome.MALFORMED, f"the profile {profile_id} is not a configuration of AstrBot's")
    return config


async def status_of(management: Management, adapter_id: str) -> tuple[str, str]:
    """As `bots/stats` has it, and its last error: `running` only says that it listens. Raises ProbeFailed."""
    for item in _items(await management.ask(manage.BOT_STATS), "platforms"):
        if item.get("id") == adapter_id:
            error = item.get("last_error")
            said = error.get("message", "") if isinstance(error, Mapping) else ""
            return str(item.get("status", "")), str(said)
    return "", ""


def _items(payload: Any, name: str) -> list[Mapping[str, Any]]:
    found = payload.get(name) if isinstance(payload, Mapping) else None
    return [item for item in found if isinstance(item, Mapping)] if isinstance(found, list) else []
