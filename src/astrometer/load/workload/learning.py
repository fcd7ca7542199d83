"""A file of the operator -> the workload in it. Names of people and chats stop here; numbers go on."""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from astrometer.load.workload import conversation_export, provider_stats
from astrometer.load.workload.traffic import Traffic
from astrometer.load.workload.workload_file import Workload, WorkloadError

OWN = "webchat:*!astrometer-*"  # users of astrometer's own runs
_MAGIC_BYTES = len(provider_stats.MAGIC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Learnt:
    """`counts`: of what was seen, for a person to judge it by. `busiest_s`: when its busiest hour began."""

    workload: Workload
    turns: int
    conversations: int
    left_out: int  # chats
    busiest_s: float


class _People:
    """Chats -> numbers for whom they are with, in the order in which they came."""

    def __init__(self, exclude: Sequence[str]) -> None:
        self._exclude = exclude
        self._numbers: dict[str, int] = {}
        self.left_out: set[str] = set()

    def number(self, umo: str) -> int | None:
        """None: left out."""
        if any(fnmatchcase(umo, pattern) for pattern in self._exclude):
            self.left_out.add(umo)
            return None
        # A web chat: webchat:FriendMessage:webchat!USER!SESSION. Elsewhere a chat is one person, or a group.
        parts = umo.split("!")
        who = parts[1] if umo.startswith("webchat:") and len(parts) > 2 else umo
        return self._numbers.setdefault(who, len(self._numbers))


def learn(path: Path, since_s: float, exclude: Sequence[str]) -> Learnt:
    """`exclude`: patterns of chats (umos) that are no traffic. Raises WorkloadError."""
    source = provider_stats if _is_database(path) else conversation_export
    people, traffic = _People(exclude), Traffic()
    for chat in source.chats(path, since_s, people.number):
        traffic.add(chat)
    try:
        workload, busiest_s = traffic.learn(source.SOURCE)
    except ValueError as exc:
        left = f", and {len(people.left_out):,} chats were left out (--exclude, --with-own)"
        raise WorkloadError(f"{path}: {exc}{left if people.left_out else ''}") from exc
    return Learnt(
        workload=workload,
        turns=len(traffic.asked),
        conversations=len(traffic.begun),
        left_out=len(people.left_out),
        busiest_s=busiest_s,
    )


def _is_database(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(_MAGIC_BYTES) == provider_stats.MAGIC
    except OSError as exc:
        raise WorkloadError(f"{path}: cannot be read ({exc.strerror})") from exc
