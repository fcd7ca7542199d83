"""The endpoint table: method, path, scope, and the AstrBot versions that have it. Data, not code."""

import re
from dataclasses import dataclass
from typing import Literal, get_args
from urllib.parse import quote

from astrometer.outside_text import shown

# 4.18 to 4.25 know the first four; from 4.26 on the same keys open the dashboard's own API as well.
Scope = Literal[
    "chat", "config", "file", "im", "bot", "provider", "persona", "data", "plugin", "mcp", "skill"
]
SCOPES: tuple[Scope, ...] = get_args(Scope)
# From 4.27 on; they widen the scope before the colon and open no endpoint of their own.
SUB_SCOPES = ("chat:admin", "config:edit_admin")
Version = tuple[int, int, int]
API = "/api/v1"
# With what may follow, such as "-beta.1": it becomes an argument, a label and a part of sentences.
VERSION = re.compile(r"v?([0-9]{1,5})\.([0-9]{1,5})\.([0-9]{1,5})(?:[-+][0-9A-Za-z.+-]{0,40})?")


def parse_version(text: str) -> Version:
    """`"4.29.3"` or `"v4.29.3-beta.1"` -> `(4, 29, 3)`. Raises ValueError."""
    found = VERSION.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{shown(text, 40)!r} is not an AstrBot version (like 4.29.3)")
    major, minor, patch = found.groups()
    return int(major), int(minor), int(patch)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One operation of the API. `scope` None: asks for no key."""

    name: str
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    path: str
    scope: Scope | None
    since: Version = (4, 18, 0)

    def url(self, base: str, **path_params: str) -> str:
        """Return the absolute URL under `base`, path parameters quoted."""
        path = self.path.format(**{name: quote(value, safe="") for name, value in path_params.items()})
        return base.rstrip("/") + path

    def exists_in(self, version: Version) -> bool:
        return version >= self.since


CHAT = Endpoint("chat", "POST", f"{API}/chat", "chat")
SESSIONS = Endpoint("sessions", "GET", f"{API}/chat/sessions", "chat")
CONFIGS = Endpoint("configs", "GET", f"{API}/configs", "config")
UPLOAD = Endpoint("upload", "POST", f"{API}/file", "file")
IM_MESSAGE = Endpoint("im_message", "POST", f"{API}/im/message", "im")
IM_BOTS = Endpoint("im_bots", "GET", f"{API}/im/bots", "im")
# The six of the public document end here; the rest is what a tester needs besides.
DOWNLOAD = Endpoint("download", "GET", f"{API}/file", "file", (4, 22, 1))
SESSION_NEW = Endpoint("session_new", "GET", f"{API}/chat/sessions/new", "chat", (4, 26, 0))
SESSION_GET = Endpoint("session_get", "GET", f"{API}/chat/sessions/{{session_id}}", "chat", (4, 26, 0))
SESSION_DELETE = Endpoint(
    "session_delete", "DELETE", f"{API}/chat/sessions/{{session_id}}", "chat", (4, 26, 0)
)
SESSION_STOP = Endpoint(
    "session_stop", "POST", f"{API}/chat/sessions/{{session_id}}/stop", "chat", (4, 26, 0)
)
OPENAPI = Endpoint("openapi", "GET", f"{API}/openapi.json", None, (4, 26, 0))
START_TIME = Endpoint("start_time", "GET", "/api/stat/start-time", None)
VERSIONS = Endpoint("versions", "GET", "/api/stat/versions", None, (4, 26, 0))
VERSIONS_V1 = Endpoint("versions_v1", "GET", f"{API}/stats/versions", None, (4, 26, 0))

ENDPOINTS = tuple(value for value in [*globals().values()] if isinstance(value, Endpoint))  # those above


def _managed(name: str, path: str, scope: Scope) -> Endpoint:
    return Endpoint(name, "GET", f"{API}/{path}", scope, (4, 26, 0))


# One of the dashboard's API for each of its scopes: asked without the parameter that they need (422), they
# read nothing. Not for users of the HTTP API, so not in ENDPOINTS.
BOT = _managed("bot", "bots/by-id", "bot")
PROVIDER = _managed("provider", "providers/by-id", "provider")
PERSONA = _managed("persona", "personas/by-id", "persona")
DATA = _managed("data", "conversations/astrometer-nowhere", "data")
PLUGIN = _managed("plugin", "plugins/by-id", "plugin")
SKILL = _managed("skill", "skills/files", "skill")
MCP = _managed("mcp", "mcp/servers", "mcp")
MANAGED = (BOT, PROVIDER, PERSONA, DATA, PLUGIN, SKILL, MCP)
