"""Endpoints that change an AstrBot (4.26 and later): adapters, profiles, routes, conversations. Data.

The scope `config` includes `bot`. An answer of BOTS holds the token of every adapter: never show it.
"""

from typing import Any

from astrometer.api.endpoints import API, Endpoint

SINCE = (4, 26, 0)
ADAPTER_TYPE = "aiocqhttp"  # waits for a OneBot client

BOTS = Endpoint("bots", "GET", f"{API}/bots", "bot", SINCE)
BOT_STATS = Endpoint("bot_stats", "GET", f"{API}/bots/stats", "bot", SINCE)
BOT_CREATE = Endpoint("bot_create", "POST", f"{API}/bots", "bot", SINCE)
BOT_ENABLE = Endpoint("bot_enable", "PATCH", f"{API}/bots/enabled", "bot", SINCE)
BOT_DELETE = Endpoint("bot_delete", "DELETE", f"{API}/bots/by-id", "bot", SINCE)
PROFILES = Endpoint("profiles", "GET", f"{API}/config-profiles", "config", SINCE)
PROFILE_CREATE = Endpoint("profile_create", "POST", f"{API}/config-profiles", "config", SINCE)
PROFILE_GET = Endpoint("profile_get", "GET", f"{API}/config-profiles/{{profile_id}}", "config", SINCE)
PROFILE_DELETE = Endpoint(
    "profile_delete", "DELETE", f"{API}/config-profiles/{{profile_id}}", "config", SINCE
)
ROUTES = Endpoint("routes", "GET", f"{API}/config-routes", "config", SINCE)
ROUTES_REPLACE = Endpoint("routes_replace", "PUT", f"{API}/config-routes", "config", SINCE)
ROUTE_SET = Endpoint("route_set", "PUT", f"{API}/config-routes/{{route}}", "config", SINCE)
ROUTE_DELETE = Endpoint("route_delete", "DELETE", f"{API}/config-routes/{{route}}", "config", SINCE)
CONVERSATIONS = Endpoint("conversations", "GET", f"{API}/conversations", "data", SINCE)
CONVERSATIONS_DELETE = Endpoint(
    "conversations_delete", "POST", f"{API}/conversations/batch-delete", "data", SINCE
)

MANAGEMENT = tuple(value for value in [*globals().values()] if isinstance(value, Endpoint))  # all of these


def adapter_settings(adapter_id: str, port: int, listen: str, token: str) -> dict[str, Any]:
    """An adapter that waits for a OneBot client."""
    return {
        "id": adapter_id,
        "type": ADAPTER_TYPE,
        "enable": True,
        "ws_reverse_host": listen,
        "ws_reverse_port": port,
        "ws_reverse_token": token,
    }
