"""Endpoints that change an AstrBot (4.26 and later): adapters, profiles, routes, conversations. Data.

The scope `config` includes `bot`. An answer of BOTS holds the token of every adapter: never show it.
"""

from astrometer.api.endpoints import API, Endpoint

SINCE = (4, 26, 0)

BOTS = Endpoint(name="bots", method="GET", path=f"{API}/bots", scope="bot", since=SINCE)
BOT_STATS = Endpoint(name="bot_stats", method="GET", path=f"{API}/bots/stats", scope="bot", since=SINCE)
BOT_CREATE = Endpoint(name="bot_create", method="POST", path=f"{API}/bots", scope="bot", since=SINCE)
BOT_ENABLE = Endpoint(name="bot_enable", method="PATCH", path=f"{API}/bots/enabled", scope="bot", since=SINCE)
BOT_DELETE = Endpoint(name="bot_delete", method="DELETE", path=f"{API}/bots/by-id", scope="bot", since=SINCE)
PROFILES = Endpoint(name="profiles", method="GET", path=f"{API}/config-profiles", scope="config", since=SINCE)
PROFILE_CREATE = Endpoint(
    name="profile_create", method="POST", path=f"{API}/config-profiles", scope="config", since=SINCE
)
PROFILE_GET = Endpoint(
    name="profile_get",
    method="GET",
    path=f"{API}/config-profiles/{{profile_id}}",
    scope="config",
    since=SINCE,
)
PROFILE_DELETE = Endpoint(
    name="profile_delete",
    method="DELETE",
    path=f"{API}/config-profiles/{{profile_id}}",
    scope="config",
    since=SINCE,
)
ROUTES = Endpoint(name="routes", method="GET", path=f"{API}/config-routes", scope="config", since=SINCE)
ROUTES_REPLACE = Endpoint(
    name="routes_replace", method="PUT", path=f"{API}/config-routes", scope="config", since=SINCE
)
ROUTE_SET = Endpoint(
    name="route_set", method="PUT", path=f"{API}/config-routes/{{route}}", scope="config", since=SINCE
)
ROUTE_DELETE = Endpoint(
    name="route_delete", method="DELETE", path=f"{API}/config-routes/{{route}}", scope="config", since=SINCE
)
CONVERSATIONS = Endpoint(
    name="conversations", method="GET", path=f"{API}/conversations", scope="data", since=SINCE
)
CONVERSATIONS_DELETE = Endpoint(
    name="conversations_delete",
    method="POST",
    path=f"{API}/conversations/batch-delete",
    scope="data",
    since=SINCE,
)

MANAGEMENT = (
    BOTS,
    BOT_STATS,
    BOT_CREATE,
    BOT_ENABLE,
    BOT_DELETE,
    PROFILES,
    PROFILE_CREATE,
    PROFILE_GET,
    PROFILE_DELETE,
    ROUTES,
    ROUTES_REPLACE,
    ROUTE_SET,
    ROUTE_DELETE,
    CONVERSATIONS,
    CONVERSATIONS_DELETE,
)
