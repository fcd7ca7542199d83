"""The messenger of a run: as whom each load process connects, who its people are, and what it saw."""

import hashlib
import os
import time
from collections.abc import Callable
from typing import Any

from astrometer.clock import wall_minus_perf_s
from astrometer.config.settings import ConfigError
from astrometer.config.target_access import messenger_token
from astrometer.im.link.link_address import LinkAddress, LinkAddressError
from astrometer.im.messenger_session import MessengerSession
from astrometer.im.onebot_actions import ChatPlace
from astrometer.load.messenger.messenger_client import MessengerClient
from astrometer.load.option_table import OptionError
from astrometer.load.options import Settings

NO_MESSENGER = (
    "people in a messenger need its address: --messenger ws://HOST:PORT/ws (or ASTRBOT_MESSENGER_URL), "
    "and its token in ASTRBOT_MESSENGER_TOKEN"
)
PEOPLE = 100_000_000  # numbers that one run may give away
STRANGERS = 10_000_000  # from here on: people with one conversation
PER_WORKER = 400_000
GROUP = 900_000_000_000_000  # ids of groups begin there, so that none is a person's


class MessengerOfRun:
    """In one load process. Its ids are those of this run: nobody else's link or late answer can be meant."""

    def __init__(self, settings: Settings, run_id: str, worker: int) -> None:
        self._settings = settings
        self._first = 1_000_000_000 + int(hashlib.sha256(run_id.encode()).hexdigest(), 16) % 800_000 * PEOPLE
        self._worker = worker
        self._client: MessengerClient | None = None
        self._shipped: dict[str, Any] = {}
        self._instead: dict[int, int] = {}  # by the number of a person or group: who goes on in its place
        self._left = worker * PER_WORKER
        self._strangers = STRANGERS + worker * PER_WORKER

    @property
    def client(self) -> MessengerClient:
        """Made when it is first used. Raises OptionError."""
        if self._client is None:
            settings = self._settings
            if not settings.messenger:
                raise OptionError(NO_MESSENGER)
            try:
                address = LinkAddress.parse(
                    settings.messenger[self._worker % len(settings.messenger)],
                    self_id=self._first // PEOPLE * 100 + self._worker + 1,
                    token=messenger_token(os.environ).reveal(),
                )
            except LinkAddressError as exc:
                raise OptionError(f"--messenger: {exc}") from exc
            except ConfigError as exc:
                raise OptionError(str(exc)) from exc
            session = MessengerSession(
                address,
                deadlines=settings.im_deadlines,
                wall_minus_perf_s=wall_minus_perf_s(),
                first_message_id=time.time_ns() // 1000,
            )
            self._client = MessengerClient(
                session, tls=settings.tls, connect_timeout_s=settings.deadlines.connect_s
            )
        return self._client

    def new_number(self) -> int:
        """Of somebody who never wrote before, so that no history is behind the question."""
        self._strangers += 1
        return self._strangers

    def person(self, number: int) -> ChatPlace:
        """Where the run's user with this number writes alone with the bot."""
        return self._unmistakable(number, lambda id_: ChatPlace(user_id=id_))

    def group(self, number: int) -> ChatPlace:
        return self._unmistakable(GROUP + number, lambda id_: ChatPlace(group_id=id_))

    def _unmistakable(self, number: int, place_of: Callable[[int], ChatPlace]) -> ChatPlace:
        """A chat in which no late reply to an earlier question may come: it would be taken for the next's.

        After a silence, or an error without a quotation, somebody else goes on in its place, however long ago
        it was: AstrBot may ask a model that hangs again and again.
        """
        place = place_of(self._first + self._instead.get(number, number))
        if self._client is not None and self._client.session.may_mistake(place):
            self._left += 1
            base = GROUP if number >= GROUP else 0
            self._instead[number] = base + PEOPLE // 2 + self._left
            place = place_of(self._first + self._instead[number])
        return place

    def take(self) -> dict[str, Any]:
        """What the link saw since the last call that belongs to no question, for shipping."""
        if self._client is None:
            return {}
        session = self._client.session
        seen = {
            **{f"stray_{kind.value}": count for kind, count in session.strays.items()},
            **{f"refused_{reason.value}": count for reason, count in session.refused.items()},
            "links_lost": session.links_lost,
        }
        new = {name: count - self._shipped.get(name, 0) for name, count in seen.items()}
        self._shipped = seen
        return {name: count for name, count in new.items() if count}

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
