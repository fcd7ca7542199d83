"""What a probe may do in the messenger: `ctx.messenger`. It asks as one of a few users, always the same.

The link is made when it is first used, and left when the run is over.
"""

import itertools
import secrets
from collections.abc import Sequence
from time import perf_counter

from astrometer.api.outcome import Outcome
from astrometer.config.settings import Target
from astrometer.im.im_exchange import IM_DEADLINES, ImDeadlines, ImQuestion
from astrometer.im.im_sentences import is_command_answer
from astrometer.im.im_turn import ImTurn
from astrometer.im.link.link_address import LinkAddress
from astrometer.im.onebot_events import TextSegment
from astrometer.probing.cleanup.teardown import Teardown
from astrometer.probing.run_record import Limits, Record
from astrometer.probing.transport.messenger_link import MessengerLink
from astrometer.probing.verdict import NotApplicable, ProbeFailed

RESET_S = 5.0
_NAME = "astrometer-probe"
_runs = itertools.count()


class MessengerAccount:
    """One run's. A new account each time: one whose last link still lives would never be answered."""

    def __init__(self, target: Target, limits: Limits, record: Record, made: Teardown) -> None:
        self._made = made
        self._target = target
        self._limits = limits
        self._record = record
        self._until = record.started + limits.total_s
        self._turn = next(_runs)
        self._link: MessengerLink | None = None

    def user_of(self, user_ids: Sequence[int]) -> int:
        """Whose turn it is: in turn, since a question that hangs blocks the chat of its user for minutes."""
        return user_ids[self._turn % len(user_ids)]

    async def reset(self, user_id: int) -> None:
        """Say `/reset`, where the conversation cannot be deleted: or it and its cost would grow.

        No part of the run's duration.
        """
        if not self._made.keeps_conversation(user_id):
            return
        with self._record.preparing():
            link = await self._linked()
            self._made.own_conversation(user_id, "")
            question = ImQuestion(
                user_id=user_id, segments=(TextSegment(text="/reset"),), nickname=_NAME, is_command=True
            )
            done = await link.command(question, min(RESET_S, self._left_s))
        self._record.say(f"/reset of user {user_id}: {done.outcome.value} {done.detail}".rstrip())
        if done.outcome.is_ok and not is_command_answer(done.text):
            self._record.note("/reset went to the model: the adapter's profile has the commands switched off")

    async def ask(
        self, user_id: int, text: str, *, canary: str | None = None, quiet_s: float = IM_DEADLINES.quiet_s
    ) -> ImTurn:
        """Write to the bot alone, and wait for its whole answer. Never raises for a question that failed.

        Raises NotApplicable without a messenger, and ProbeFailed when there is no link to it.
        """
        link = await self._linked()
        self._made.own_conversation(user_id, canary if canary is not None and canary in text else "")
        left_s = self._left_s
        deadlines = ImDeadlines(
            reply_s=min(self._limits.first_token_s, left_s), total_s=left_s, quiet_s=quiet_s
        )
        question = ImQuestion(
            user_id=user_id, segments=(TextSegment(text=text),), nickname=_NAME, canary=canary
        )
        turn = await link.ask(question, deadlines)
        self._record.im_turns.append(turn)
        if turn.t_last is not None:  # waiting for more does not count in the answer's time
            self._record.aside_s += max(0.0, turn.t_close - turn.t_last)
        first_s = "-" if turn.reply_first_s is None else f"{turn.reply_first_s:.4f} s"
        self._record.say(
            f"messenger, user {user_id}: {turn.outcome.value}; first reply {first_s}; "
            f"{turn.messages} messages; {turn.detail}"
        )
        return turn

    async def aclose(self) -> None:
        if self._link is not None:
            await self._link.aclose()
            self._link = None

    @property
    def _left_s(self) -> float:
        return max(0.001, self._until - perf_counter())

    async def _linked(self) -> MessengerLink:
        """Raises NotApplicable, ProbeFailed."""
        if self._link is None:
            access = self._target.messenger
            if access is None:
                raise NotApplicable(f"target {self._target.name} has no messenger")
            address = LinkAddress.parse(
                access.url, self_id=10**12 + secrets.randbelow(10**12), token=access.token.reveal()
            )
            self._link = MessengerLink(address, tls=self._target.tls)
            await self._link.open(min(self._limits.connect_s, self._left_s * 0.9))
            self._record.phases = dict(self._link.phases.seconds)
            self._record.say(f"messenger {address.netloc}{address.target}: {self._how_linked(self._link)}")
        end = self._link.session.end
        if end is not None and not self._record.im_turns:
            outcome = Outcome.LOST_LINK if end.outcome is Outcome.OK else end.outcome
            raise ProbeFailed(outcome, f"messenger: {end.detail}")
        return self._link

    def _how_linked(self, link: MessengerLink) -> str:
        return "linked" if link.session.end is None else link.session.end.detail
