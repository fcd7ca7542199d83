"""Simulated users -> AstrBot's usernames and sessions, noted so that `clean` finds them again."""

import heapq
import uuid
from collections.abc import Sequence

from astrometer.load.options import Settings
from astrometer.measure.results.run_info import Usernames

USERS_PER_WORKER = 100_000


class UserNames:
    """Those of one process, and on a master those of all. Each worker (`index`) has a range of its own."""

    def __init__(self, run_id: str, settings: Settings, index: int) -> None:
        self.run_id = run_id
        self._prefix = settings.user_prefix
        self._common = settings.username
        self._first = self._used = index * USERS_PER_WORKER
        self._free: list[int] = []
        self._next_user = self._first
        self._reported: dict[str, tuple[int, int]] = {}
        self._reported_users: dict[str, int] = {}
        self._reported_sessions: dict[str, int] = {}
        self.sessions = 0  # that this process has made
        self._named: set[str] = set()  # of these, those that a locustfile named

    def next_user(self) -> int:
        """A number that no other simulated user of the run has, in whatever process."""
        self._next_user += 1
        return self._next_user

    @property
    def users(self) -> int:
        """How many simulated users ever began in this process."""
        return self._next_user - self._first

    def take(self) -> int:
        """The number of a username that nobody has now; of somebody who left before a new one is made."""
        if self._free:
            return heapq.heappop(self._free)
        self._used += 1
        return self._used

    def give_back(self, number: int) -> None:
        heapq.heappush(self._free, number)

    def username(self, number: int) -> str:
        """`astrometer-<run>-<number>`, never an administrator's; or the one of all (`--run-username`)."""
        return self._common or f"{self._prefix}-{self.run_id}-{number}"

    def session_id(self) -> str:
        """A new one that says whose it is: `clean` deletes no session of another name."""
        return f"{self._prefix}-{self.run_id}-{uuid.uuid4()}"

    def note_session(self, session_id: str, *, is_new: bool) -> None:
        """The server has answered in this session. `is_new`: made for this chat alone."""
        if is_new or session_id not in self._named:
            self.sessions += 1
        if not is_new:
            self._named.add(session_id)

    def used(self) -> tuple[int, int]:
        """How many usernames this process has used, and the number before the first."""
        return self._used - self._first, self._first

    def note(self, process: str, used: Sequence[int], users: int, sessions: int) -> None:
        """What a worker has used and made."""
        self._reported_sessions[process] = sessions
        self._reported[process] = (used[0], used[1])
        self._reported_users[process] = users

    @property
    def all_users(self) -> int:
        """How many simulated users ever began, in all processes."""
        return self.users + sum(self._reported_users.values())

    def all(self) -> Usernames:
        own = self.used()
        users = [*self._reported.values(), *([own] if own[0] else [])]
        return Usernames(
            run_id=self.run_id,
            prefix=self._prefix,
            username=self._common,
            users=users,
            sessions=self.sessions + sum(self._reported_sessions.values()),
        )
