"""Sessions that earlier runs left on a server -> which of them are ours, which can go, and gone.

Ours by name alone: sessions of the key's own identity whose id begins as ours do, and sessions of users named
PREFIX-RUN-NUMBER. AstrBot lets a key delete the first kind only; the second is counted and explained.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from astrometer.api import endpoints as ep
from astrometer.config.settings import Key
from astrometer.probing.cleanup.identity import GUEST, Identity
from astrometer.probing.context import Context
from astrometer.probing.verdict import ProbeFailed

PAGE_SIZE = 100  # AstrBot's most
MAX_PAGES = 200
MAX_NAMES = 200  # each costs the server a key check of some 40 ms on its only event loop
FEW_NAMES = 20  # so many names in a row without a session: a run whose names were not noted has ended
_UUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunNames:
    """The users of one earlier run. `users`: (how many, the number before the first); empty: not noted."""

    run_id: str
    prefix: str
    users: Sequence[tuple[int, int]] = ()

    def name(self, number: int) -> str:
        return f"{self.prefix}-{self.run_id}-{number}"


@dataclass(slots=True, kw_only=True)
class OldSessions:
    """What was found. `ours` can be deleted; `stuck` (user name -> sessions) cannot."""

    identity: Identity
    ours: list[str] = field(default_factory=list)
    others: int = 0  # sessions of the same key that are not ours by name: not touched
    stuck: dict[str, int] = field(default_factory=dict)
    names_left_out: int = 0  # of users that were not asked for


@dataclass(frozen=True, slots=True, kw_only=True)
class Deletion:
    """What became of `Leftovers.ours`. `failed`: the server still has them."""

    gone: int
    failed: tuple[str, ...]


def is_ours(session_id: str, prefixes: Iterable[str]) -> bool:
    """`astrometer-<run>-<uuid>` of a load run with --deletable, `astrometer-am-<nonce>` of a probe."""
    return any(
        re.fullmatch(
            rf"{re.escape(prefix)}-(?:[0-9a-f]{{6}}-{_UUID}|am-[0-9a-f]{{16}}(-[0-9a-f]+)?)", session_id
        )
        for prefix in prefixes
    )


async def survey(ctx: Context, runs: Sequence[RunNames], prefixes: Iterable[str]) -> OldSessions:
    """Look, and change nothing. Raises ProbeFailed when the server does not answer."""
    key = ctx.key("chat")
    found = OldSessions(identity=await ctx.identity(key))
    known = tuple(prefixes)
    if found.identity.can_delete:
        for session_id in await _sessions(ctx, key, found.identity.username):
            if is_ours(session_id, known):
                found.ours.append(session_id)
            else:
                found.others += 1
    elif guests := len(await _sessions(ctx, key, GUEST)):
        found.stuck[GUEST] = guests  # of look-ups and probes
    asked = 0
    for run in runs:
        names = list(_names(run))
        empty = 0
        for index, name in enumerate(names):
            if asked >= MAX_NAMES:
                found.names_left_out += len(names) - index if run.users else 0
                break
            asked += 1
            count = len(await _sessions(ctx, key, name))
            empty = 0 if count else empty + 1
            if count:
                found.stuck[name] = count
            elif not run.users and empty >= FEW_NAMES:
                break
    return found


async def delete(ctx: Context, found: OldSessions, tell: Callable[[int], None]) -> Deletion:
    """Delete what is ours, one after the other, each seen to be gone. `tell(number)` after each."""
    key = ctx.key("chat")
    failed = []
    for number, session_id in enumerate(found.ours, 1):
        if not await ctx.made.delete_session(key, session_id):
            failed.append(session_id)
        tell(number)
    return Deletion(gone=len(found.ours) - len(failed), failed=tuple(failed))


def _names(run: RunNames) -> Iterable[str]:
    """All that were used; of a run that did not note them, as many as anyone would look for."""
    for count, first in run.users or ((MAX_NAMES, 0),):
        for number in range(first + 1, first + count + 1):
            yield run.name(number)


async def _sessions(ctx: Context, key: Key, username: str) -> list[str]:
    """The ids of all sessions of a user. Raises ProbeFailed."""
    ids: list[str] = []
    for page in range(1, MAX_PAGES + 1):
        params = {"username": username, "page": str(page), "page_size": str(PAGE_SIZE)}
        answer = await ctx.get(ep.SESSIONS, key, **params)
        if not answer.outcome.is_ok:
            raise ProbeFailed(answer.outcome, answer.detail)
        payload = answer.payload if isinstance(answer.payload, dict) else {}
        listed = payload.get("sessions")
        rows = listed if isinstance(listed, list) else []
        # Whatever the server lists for a name: only the sessions of exactly that user.
        ids += [
            str(row["session_id"])
            for row in rows
            if isinstance(row, dict) and row.get("session_id") and row.get("creator", username) == username
        ]
        if len(rows) < PAGE_SIZE:
            break
    return ids
