"""A request's headers and query -> the key it shows, and whether that key may do this. No sockets."""

import time
from collections.abc import Mapping

from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse

from astrometer.targets.simulator.store import SimKey, Store
from astrometer.targets.simulator.version_traits import Wire


def shown_secret(wire: Wire, headers: Mapping[str, str], query: Mapping[str, str]) -> str | None:
    """The key that this version would look at, among those shown."""
    authorization = headers.get("authorization", "").strip()
    in_query = (query.get("api_key") or query.get("key") or "") if wire.query_keys else ""
    in_header = headers.get("x-api-key", "")
    bearer = authorization.removeprefix("Bearer ") if authorization.startswith("Bearer ") else ""
    api_key = authorization.removeprefix("ApiKey ") if authorization.startswith("ApiKey ") else ""
    if wire.fastapi:
        # A stray bearer token makes a good X-API-Key fail.
        candidates = [bearer, api_key, in_query, in_header]
    else:
        candidates = [in_query, in_header, bearer, api_key]
    return next((candidate.strip() for candidate in candidates if candidate.strip()), None)


def authenticate(
    store: Store, request: HTTPConnection, scope: str | None, auth_cost_s: float
) -> SimKey | JSONResponse:
    """Return the key, or the refusal to send. `scope` None: any good key will do.

    `auth_cost_s` blocks the whole server, as AstrBot's key hash does (PBKDF2 on its event loop).
    """
    wire = store.wire
    secret = shown_secret(wire, request.headers, request.query_params)
    if secret is None:
        return wire.error("Missing API key", 401)
    if auth_cost_s > 0:
        time.sleep(auth_cost_s)
    key = store.by_secret.get(secret)
    if key is None or not key.active:
        return wire.error("Invalid API key", 401)
    if scope is not None and not key.allows(scope):
        return wire.error("Insufficient API key scope", 403)
    return key
