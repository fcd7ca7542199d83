"""Requests that look at an AstrBot's settings or change them -> their answers, or why not, in words of ours.

What AstrBot says is shown only where it cannot repeat what it was sent: a validation error (422) does, and
that would be a token.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from astrometer.api.call_exchange import CallResult
from astrometer.api.endpoints import Endpoint
from astrometer.api.outcome import Outcome
from astrometer.config.settings import Key
from astrometer.probing.context import Context
from astrometer.probing.verdict import ProbeFailed

# 4.29 takes a few changes in one moment for an attack, and lets in one more each second.
PAUSES_S = (1.0, 2.0, 3.0, 5.0)
CONFIG, DATA = "config", "data"
INCLUDED = {CONFIG: " (it includes bot)"}
VALIDATION = 422


class SetupRefused(ProbeFailed):
    """Nothing was changed: the server, the key or a name does not allow it. The text says what to do."""


@dataclass(frozen=True, slots=True)
class Management:
    """One server, asked with one key."""

    ctx: Context
    key: Key

    async def ask(
        self,
        endpoint: Endpoint,
        *,
        path: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        body: Any = None,
    ) -> Any:
        """The answer's data. Raises ProbeFailed, and SetupRefused where the key is the reason."""
        result = await self._asked(endpoint, path=path, params=params, json=body)
        if result.outcome.is_ok:
            return result.payload
        scope = endpoint.scope or ""
        if result.outcome is Outcome.FORBIDDEN:
            wanted = CONFIG if scope in (CONFIG, "bot") else scope
            words = f"the key {self.key.name} has not the scope {wanted}{INCLUDED.get(wanted, '')}"
            if "admin" in result.detail:
                words = f"the key {self.key.name} may not do that: {result.detail}"
            raise SetupRefused(result.outcome, words)
        if result.outcome is Outcome.UNAUTHORIZED:
            words = f"the key {self.key.name} is not valid: bad, revoked or expired"
            raise SetupRefused(result.outcome, words)
        said = "the request does not fit this version" if result.status == VALIDATION else result.detail
        raise ProbeFailed(result.outcome, f"{endpoint.method} {endpoint.path}: {said}")

    async def _asked(self, endpoint: Endpoint, **request: Any) -> CallResult:
        """Asked again, and later each time, while AstrBot says 429: it did nothing then."""
        given = {name: value for name, value in request.items() if value is not None}
        for pause_s in PAUSES_S:
            result = await self.ctx.call(endpoint, self.key, **given)
            if result.outcome is not Outcome.RATE_LIMITED or pause_s >= self.ctx.left_s:
                return result
            await asyncio.sleep(pause_s)
        return await self.ctx.call(endpoint, self.key, **given)
