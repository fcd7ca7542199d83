"""A server and its keys -> does it answer like an AstrBot, and does it take them? One free question a key."""

from collections.abc import Iterable
from typing import Any

import httpx

from astrometer.api import endpoints
from astrometer.outside_text import shown

_QUESTION = {"username": "astrometer", "page_size": "1"}


class KeyRefused(Exception):
    """A load with such a key would be one of refusals."""


class NotAstrBot(Exception):
    """Something else answers there."""


def knock(url: str, keys: Iterable[str], timeout_s: float = 5.0) -> None:
    """Raises KeyRefused or NotAstrBot. A server that is in trouble, or a key without the scope, may pass."""
    for key in dict.fromkeys(keys):
        try:
            answer = httpx.get(
                endpoints.SESSIONS.url(url),
                params=_QUESTION,
                headers={"Authorization": f"Bearer {key}"},
                timeout=timeout_s,
                trust_env=False,
            )
        except httpx.HTTPError:
            continue
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            raise KeyRefused(f"{url} refuses the key (HTTP 401): it is bad, revoked or expired")
        is_busy = answer.is_server_error or answer.status_code == httpx.codes.TOO_MANY_REQUESTS
        if not (is_busy or _is_envelope(answer)):
            kind = shown(answer.headers.get("content-type", "no content type").partition(";")[0], 80)
            raise NotAstrBot(f"{url} answers, but not like an AstrBot (HTTP {answer.status_code}, {kind})")


def _is_envelope(answer: httpx.Response) -> bool:
    try:
        told: Any = answer.json()
    except ValueError:
        return False
    return isinstance(told, dict) and bool({"status", "detail"} & told.keys())
