"""Keys x endpoints -> what each key may do, read off answers that cost no token and send nothing.

A key with the scope is let in and is refused by the endpoint itself (a chat without `username`, an
upload without a file, a push to a platform that does not exist); a key without it is answered 403, a bad one
401. Whatever is neither (5xx, a timeout, a page of a proxy) proves nothing and is never a pass.
"""

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from astrometer.api import endpoints as ep
from astrometer.api.call_exchange import CallResult
from astrometer.api.chat.messages import im_body
from astrometer.api.endpoints import CHAT, CONFIGS, IM_BOTS, IM_MESSAGE, SESSIONS, UPLOAD, Endpoint
from astrometer.api.outcome import Outcome
from astrometer.config.settings import ALL_SCOPES, Key
from astrometer.probing.cleanup.identity import absent
from astrometer.probing.context import Context
from astrometer.probing.verdict import (
    NotApplicable,
    ProbeFailed,
    ProbeReason,
    ScopeCheck,
    Verdict,
)

# A scope opens what it includes. Up to 4.25 there is nothing to include.
INCLUDES: Mapping[str, frozenset[str]] = {"config": frozenset({"bot", "provider"})}
# Cells tried at a time: a busy server takes a second for each of some 80, and a run has a minute. Not more,
# because each key costs the server's event loop some 40 ms, in which nobody else is answered.
AT_A_TIME = 4


class Admission(StrEnum):
    """Whether the key was let in, whatever the endpoint thought of the request."""

    ALLOWED = "allowed"
    DENIED = "denied"  # 403
    UNKNOWN_KEY = "unknown_key"  # 401: bad, revoked and expired look alike
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScopeRow:
    """One endpoint and a request to it that does nothing."""

    endpoint: Endpoint
    request: Mapping[str, Any] = field(default_factory=dict)
    # Beside 2xx: how the endpoint refuses the request once the key is through.
    refusals: frozenset[int] = frozenset()


MATRIX = (
    ScopeRow(endpoint=CHAT, request={"json": {}}),
    ScopeRow(endpoint=SESSIONS, request={"params": {"username": "astrometer-probe", "page_size": "1"}}),
    ScopeRow(endpoint=CONFIGS),
    ScopeRow(endpoint=UPLOAD, refusals=frozenset({422})),
    ScopeRow(
        endpoint=IM_MESSAGE,
        request={"json": im_body(umo="astrometer-nowhere:FriendMessage:probe", message="probe")},
        refusals=frozenset({400}),
    ),
    ScopeRow(endpoint=IM_BOTS),
    *(ScopeRow(endpoint=endpoint, refusals=frozenset({422})) for endpoint in ep.MANAGED),
)


ROWS_BEFORE_4_26 = tuple(row for row in MATRIX if row.endpoint not in ep.MANAGED)


async def rows_of(ctx: Context) -> tuple[ScopeRow, ...]:
    """The rows that this server has. Raises ProbeFailed as `has_management` does."""
    return MATRIX if await has_management(ctx) else ROWS_BEFORE_4_26


async def has_management(ctx: Context) -> bool:
    """Whether keys open the dashboard's API, too: 4.26 and later, which have an openapi.json without a key.

    Raises ProbeFailed when the server answers neither like the one nor like the other.
    """
    document = await ctx.call(ep.OPENAPI, None, raw=True)
    if document.outcome.is_ok:
        return True
    # Up to 4.25 every path under /api/v1 wants a key first.
    if document.outcome is Outcome.UNAUTHORIZED or absent(document):
        return False
    raise ProbeFailed(
        document.outcome, f"inconclusive: openapi.json, which tells the version: {document.detail}"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ScopeCell:
    """One key at one endpoint. `expected` None: the config states no scopes for the key."""

    key: str
    endpoint: str
    expected: bool | None
    actual: Admission
    outcome: Outcome

    @property
    def violation(self) -> str | None:
        """`leak`: reaches what it must not. `rejected`: kept from what it may do."""
        if self.expected is False and self.actual is Admission.ALLOWED:
            return "leak"
        if self.expected and self.actual in (Admission.DENIED, Admission.UNKNOWN_KEY):
            return "rejected"
        # Nothing is stated, but a key that is in the config is meant to be a good one.
        if self.expected is None and self.actual is Admission.UNKNOWN_KEY:
            return "rejected"
        return None


async def check_scopes(ctx: Context, *, skip_keys: Collection[str] = ()) -> Verdict:
    """May each key of the target, but those named, do what its scopes say, and nothing else?

    Every key, every endpoint; no token is spent and nothing is sent. Raises NotApplicable without keys, and
    ProbeFailed when the server does not tell its version.
    """
    keys = [key for key in ctx.target.keys.values() if key.name not in skip_keys]
    return judge(ctx, await look_at_all(ctx, keys, await rows_of(ctx)))


async def look_at_all(ctx: Context, keys: Collection[Key], rows: Collection[ScopeRow]) -> list[ScopeCell]:
    """Try every cell, a few at a time; in the order of the keys, then of the rows."""
    free = asyncio.Semaphore(AT_A_TIME)

    async def cell(key: Key, row: ScopeRow) -> ScopeCell:
        async with free:
            return await look(ctx, key, row)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(cell(key, row)) for key in keys for row in rows]
    return [task.result() for task in tasks]


async def look(ctx: Context, key: Key, row: ScopeRow) -> ScopeCell:
    result = await ctx.call(row.endpoint, key, **row.request)
    expected = None if key.scopes is None else allows(key.scopes, row.endpoint)
    cell = ScopeCell(
        key=key.name,
        endpoint=row.endpoint.name,
        expected=expected,
        actual=read(result, row, may_pass=expected is not False),
        outcome=result.outcome,
    )
    if cell.expected is not None and cell.actual is not Admission.INCONCLUSIVE:
        stated = "allowed" if cell.expected else "denied"
        check = ScopeCheck(key=cell.key, endpoint=cell.endpoint, expected=stated, violation=cell.violation)
        ctx.record.scope_checks.append(check)
    return cell


def allows(scopes: frozenset[str], endpoint: Endpoint) -> bool:
    """Whether a key with `scopes` may use `endpoint`, with what its scopes include."""
    if endpoint.scope is None or ALL_SCOPES in scopes or endpoint.scope in scopes:
        return True
    return any(endpoint.scope in INCLUDES.get(scope, ()) for scope in scopes)


def read(result: CallResult, row: ScopeRow, *, may_pass: bool) -> Admission:
    """Whether the key was let in. A 2xx that is not AstrBot's may be a proxy's page: it proves no pass,
    but raises the alarm where nobody may pass.
    """
    if result.outcome is Outcome.UNAUTHORIZED:
        return Admission.UNKNOWN_KEY
    if result.outcome is Outcome.FORBIDDEN:
        return Admission.DENIED
    if may_pass and result.outcome is Outcome.MALFORMED:
        return Admission.INCONCLUSIVE
    if result.status is not None and (200 <= result.status < 300 or result.status in row.refusals):
        # `status: error` in HTTP 200 is the endpoint speaking: the key was let in.
        return Admission.ALLOWED
    return Admission.INCONCLUSIVE


def judge(ctx: Context, cells: list[ScopeCell]) -> Verdict:
    """A leak outweighs a rejection, a rejection what could not be found out. Raises NotApplicable."""
    if not cells:
        raise NotApplicable(f"target {ctx.target.name} has no keys")
    leaks = [cell for cell in cells if cell.violation == "leak"]
    if leaks:
        return Verdict.failed(ProbeReason.LEAK, f"allowed, but not in its scopes: {_list(leaks)}")
    rejected = [cell for cell in cells if cell.violation == "rejected"]
    if rejected:
        return Verdict.failed(rejected[0].outcome, f"rejected: {_list(rejected)}")
    unclear = [cell for cell in cells if cell.actual is Admission.INCONCLUSIVE]
    if unclear:
        bad = unclear[0].outcome
        outcome = Outcome.MALFORMED if bad.is_ok else bad
        return Verdict.failed(outcome, f"inconclusive: {_list(unclear)}")
    stated = sum(cell.expected is not None for cell in cells)
    if stated:
        return Verdict.passed(f"{stated} of {len(cells)} cells as stated")
    allowed = sorted({cell.endpoint for cell in cells if cell.actual is Admission.ALLOWED})
    return Verdict.passed(f"no scopes stated; allowed: {', '.join(allowed) or 'nothing'}")


def _list(cells: list[ScopeCell]) -> str:
    shown = ", ".join(f"{cell.key} -> {cell.endpoint} ({cell.outcome.value})" for cell in cells[:6])
    return shown if len(cells) <= 6 else f"{shown} and {len(cells) - 6} more"
