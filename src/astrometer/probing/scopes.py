"""Keys x endpoints -> what each key may do, read off answers that cost no token and send nothing.

A key with the scope gets past the door and is refused by the endpoint itself (a chat without `username`, an
upload without a file, a push to a platform that does not exist); a key without it is answered 403, a bad one
401. Whatever is neither (5xx, a timeout, a page of a proxy) proves nothing and is never a pass.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from astrometer.api.endpoints import CHAT, CONFIGS, IM_BOTS, IM_MESSAGE, SESSIONS, UPLOAD, Endpoint
from astrometer.api.messages import im_body
from astrometer.api.outcome import Outcome
from astrometer.config import ALL_SCOPES, Key
from astrometer.probing.probe import Context, NotApplicable
from astrometer.probing.verdict import Own, ScopeCheck, Verdict


class Seen(StrEnum):
    """What an answer says of the door, whatever the endpoint thought of the request."""

    ALLOWED = "allowed"
    DENIED = "denied"  # 403
    UNKNOWN_KEY = "unknown_key"  # 401: bad, revoked and expired look alike
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One endpoint and a request to it that does nothing."""

    endpoint: Endpoint
    request: Mapping[str, Any] = field(default_factory=dict)
    # Beside 2xx: how the endpoint refuses the request once the key is through.
    refusals: frozenset[int] = frozenset()


MATRIX = (
    Row(endpoint=CHAT, request={"json": {}}),
    Row(endpoint=SESSIONS, request={"params": {"username": "astrometer-probe", "page_size": "1"}}),
    Row(endpoint=CONFIGS),
    Row(endpoint=UPLOAD, refusals=frozenset({422})),
    Row(
        endpoint=IM_MESSAGE,
        request={"json": im_body(umo="astrometer-nowhere:FriendMessage:probe", message="probe")},
        refusals=frozenset({400}),
    ),
    Row(endpoint=IM_BOTS),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One key at one endpoint. `expected` None: the config states no scopes for the key."""

    key: str
    endpoint: str
    expected: bool | None
    seen: Seen
    outcome: Outcome

    @property
    def violation(self) -> str | None:
        """`leak`: reaches what it must not. `rejected`: kept from what it may do."""
        if self.expected is False and self.seen is Seen.ALLOWED:
            return "leak"
        if self.expected and self.seen in (Seen.DENIED, Seen.UNKNOWN_KEY):
            return "rejected"
        # Nothing is stated, but a key that is in the config is meant to be a good one.
        if self.expected is None and self.seen is Seen.UNKNOWN_KEY:
            return "rejected"
        return None


async def look(ctx: Context, key: Key, row: Row) -> Cell:
    """Try one cell."""
    result = await ctx.call(row.endpoint, key, **row.request)
    cell = Cell(
        key=key.name,
        endpoint=row.endpoint.name,
        expected=None if key.scopes is None else allows(key.scopes, row.endpoint),
        seen=read(result.status, result.outcome, row.refusals),
        outcome=result.outcome,
    )
    if cell.expected is not None and cell.seen is not Seen.INCONCLUSIVE:
        expected = "allowed" if cell.expected else "denied"
        check = ScopeCheck(key=cell.key, endpoint=cell.endpoint, expected=expected, violation=cell.violation)
        ctx.record.scope_checks.append(check)
    return cell


def allows(scopes: frozenset[str], endpoint: Endpoint) -> bool:
    return endpoint.scope is None or endpoint.scope in scopes or ALL_SCOPES in scopes


def read(status: int | None, outcome: Outcome, refusals: frozenset[int]) -> Seen:
    """What the answer says of the door."""
    if outcome is Outcome.UNAUTHORIZED:
        return Seen.UNKNOWN_KEY
    if outcome is Outcome.FORBIDDEN:
        return Seen.DENIED
    if status is not None and (200 <= status < 300 or status in refusals):
        # `status: error` in HTTP 200 is the endpoint speaking: the key was let in.
        return Seen.ALLOWED
    return Seen.INCONCLUSIVE


def judge(ctx: Context, cells: list[Cell]) -> Verdict:
    """A leak outweighs a rejection, a rejection what could not be found out. Raises NotApplicable."""
    if not cells:
        raise NotApplicable(f"target {ctx.target.name} has no keys")
    leaks = [cell for cell in cells if cell.violation == "leak"]
    if leaks:
        return Verdict.failed(Own.LEAK, f"allowed, but not in its scopes: {_list(leaks)}")
    rejected = [cell for cell in cells if cell.violation == "rejected"]
    if rejected:
        return Verdict.failed(rejected[0].outcome, f"rejected: {_list(rejected)}")
    unclear = [cell for cell in cells if cell.seen is Seen.INCONCLUSIVE]
    if unclear:
        bad = unclear[0].outcome
        outcome = Outcome.MALFORMED if bad.is_ok else bad
        return Verdict.failed(outcome, f"inconclusive: {_list(unclear)}")
    stated = sum(cell.expected is not None for cell in cells)
    if stated:
        return Verdict.passed(f"{stated} of {len(cells)} cells as stated")
    allowed = sorted({cell.endpoint for cell in cells if cell.seen is Seen.ALLOWED})
    return Verdict.passed(f"no scopes stated; allowed: {', '.join(allowed) or 'nothing'}")


def _list(cells: list[Cell]) -> str:
    shown = ", ".join(f"{cell.key} -> {cell.endpoint} ({cell.outcome.value})" for cell in cells[:6])
    return shown if len(cells) <= 6 else f"{shown} and {len(cells) - 6} more"
