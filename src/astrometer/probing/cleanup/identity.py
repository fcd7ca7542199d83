"""A key -> the username whose sessions that key may delete, learnt from the server or its config.

AstrBot lets a key delete a session only if the session's creator is `api_key:<id of that key>` (4.26 on).
4.29 tells a key its own id; 4.26 to 4.28 do not (the config must); 4.18 to 4.25 delete nothing.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from astrometer.api.call_exchange import CallResult
from astrometer.api.chat.usage_evidence import UsageEvidence
from astrometer.api.endpoints import SESSION_GET, SESSION_NEW, START_TIME, Endpoint
from astrometer.api.outcome import Outcome
from astrometer.api.server_versions import ServerVersions
from astrometer.config.settings import Key, Target
from astrometer.probing.verdict import ProbeFailed

GUEST = "astrometer-probe"
FIXED_SESSIONS = 8
# What a server may call a key or a session: it goes into arguments, paths and journals.
_NAME = re.compile(r"[!-~]{1,200}")
RELEARN_AFTER_S = 3600.0  # a server may be updated under a running exporter
VERSION_AGAIN_S = 300.0  # one that tells its versions without a key is asked this often
Version: TypeAlias = tuple[int, int, int]
Server: TypeAlias = tuple[str, str]  # a target's name and its URL, which a reload may change

Ask = Callable[[Endpoint, dict[str, str]], Awaitable[CallResult]]
Remove = Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Whom to chat as. `can_delete` False: sessions stay, so one fixed session is used again and again."""

    username: str
    can_delete: bool
    why: str
    learnt_at: float = 0.0  # perf_counter seconds

    def is_fresh(self, now: float) -> bool:
        return now - self.learnt_at < RELEARN_AFTER_S


@dataclass(slots=True, kw_only=True)
class Memory:
    """What is worth knowing from one run to the next."""

    instance: str = ""  # which of several exporters this is; part of the names of fixed sessions
    identities: dict[tuple[Server, str], Identity] = field(
        default_factory=dict
    )  # the other is the key's name
    abandoned: Counter[tuple[str, str]] = field(default_factory=Counter)  # by target and probe
    kept: set[tuple[str, str]] = field(default_factory=set)  # target and session that nobody can delete
    versions: dict[Server, ServerVersions] = field(default_factory=dict)
    started: dict[Server, float] = field(default_factory=dict)  # since when it runs, by its own clock
    usage: dict[Server, UsageEvidence] = field(default_factory=lambda: defaultdict(UsageEvidence))
    # When it was asked for its versions, perf_counter seconds; and whether a chat could have been asked.
    asked_version: dict[tuple[Server, bool], float] = field(default_factory=dict)
    # What AstrBot calls the adapter that listens at a messenger's URL.
    adapters: dict[tuple[Server, str], str] = field(default_factory=dict)

    def wants_version(self, server: Server, now: float, *, may_chat: bool) -> bool:
        """Whether to ask (again): a server may be updated under a running exporter."""
        asked, versions = self.asked_version.get((server, may_chat)), self.versions.get(server)
        again_s = RELEARN_AFTER_S if versions is None or versions.on_disk is None else VERSION_AGAIN_S
        return asked is None or now - asked >= again_s

    def take_versions(
        self, server: Server, versions: ServerVersions | None, now: float, *, chatted: bool
    ) -> None:
        """What it answered; `chatted`: also to a chat, which every version does."""
        self.asked_version[(server, False)] = now
        if versions is not None or chatted:
            self.asked_version[(server, True)] = now
        if versions is not None:
            self.versions[server] = versions
        elif chatted or (server in self.versions and self.versions[server].on_disk is not None):
            self.versions.pop(server, None)

    def saw_start(self, server: Server, at: float) -> None:
        """Since when it runs. After a restart its version is asked again at once."""
        if self.started.get(server) != at:
            self.started[server] = at
            self.forget_asking(server)

    def forget_asking(self, server: Server) -> None:
        for may_chat in (False, True):
            self.asked_version.pop((server, may_chat), None)

    def fixed_session(self, target: str, probe: str) -> str:
        """The session for a version that deletes nothing: always the same, or a few in turn.

        An abandoned answer blocks its session until AstrBot's own timeout, minutes later.
        """
        number = self.abandoned[(target, probe)] % FIXED_SESSIONS
        own = f"-{self.instance}" if self.instance else ""
        return f"astrometer-probe-{probe}{own}" + (f"-{number}" if number else "")


def server_of(target: Target) -> Server:
    return target.name, target.url


def absent(result: CallResult) -> bool:
    """Whether the server has not got the endpoint: 404, 405, or up to 4.25 a page with status 200."""
    if result.outcome is Outcome.CLIENT_ERROR:
        return result.status in (404, 405)
    return result.outcome is Outcome.MALFORMED and result.status == 200


async def learn(key: Key, ask: Ask, own: Callable[[str], Remove], now: float) -> Identity:
    """Find out, at no token cost, and remove what finding out made. Raises ProbeFailed when it cannot.

    `own(session_id)` answers for a session that was made, and says how to remove it.
    """
    made = await ask(SESSION_NEW, {})
    if absent(made):
        # A proxy's page looks the same: only AstrBot itself answers this.
        if not (proof := await ask(START_TIME, {})).outcome.is_ok:
            raise ProbeFailed(proof.outcome, f"is this AstrBot? {proof.detail}")
        why = "AstrBot before 4.26 deletes nothing through an API key"
        return Identity(username=GUEST, can_delete=False, why=why, learnt_at=now)
    if not made.outcome.is_ok:
        raise ProbeFailed(made.outcome, made.detail)
    session_id = _text(made.payload, "session_id")
    if session_id is None:
        raise ProbeFailed(Outcome.MALFORMED, "a new session without a session_id")
    remove = own(session_id)
    configured = f"api_key:{key.id}" if key.id else None
    creator = await _creator(ask, session_id) or configured
    await remove()
    if creator is None:
        where = f'keys.{key.name}.id = "..." in the configuration, or ASTRBOT_API_KEY_ID beside --host'
        why = f"AstrBot 4.26 to 4.28 needs the id of the key to delete: set {where}"
        return Identity(username=GUEST, can_delete=False, why=why, learnt_at=now)
    return Identity(username=creator, can_delete=True, why="", learnt_at=now)


async def _creator(ask: Ask, session_id: str) -> str | None:
    detail = await ask(SESSION_GET, {"session_id": session_id})
    session = detail.payload.get("session") if isinstance(detail.payload, dict) else None
    creator = _text(session, "creator")
    return creator if creator and creator.startswith("api_key:") else None


def _text(payload: object, name: str) -> str | None:
    value = payload.get(name) if isinstance(payload, dict) else None
    return value if isinstance(value, str) and _NAME.fullmatch(value) else None
