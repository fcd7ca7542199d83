"""Replies held back -> another order, or another's session. For faults; no sockets."""

import asyncio

from astrometer.targets.simulator.onebot_adapter.reply_chain import OutgoingMessage


class ReplyOrder:
    """The replies that wait for one of somebody else."""

    def __init__(self) -> None:
        self._held: set[asyncio.Event] = set()
        self._lone: tuple[list[OutgoingMessage], asyncio.Future[list[OutgoingMessage]]] | None = None

    def sent(self) -> None:
        """A reply went out: those held back follow it."""
        for held in self._held:
            held.set()

    async def wait_for_another(self, patience_s: float) -> None:
        held = asyncio.Event()
        self._held.add(held)
        try:
            await asyncio.wait_for(held.wait(), patience_s)
        except TimeoutError:
            return
        finally:
            self._held.discard(held)

    async def swap(self, messages: list[OutgoingMessage], patience_s: float) -> list[OutgoingMessage]:
        """Somebody else's messages for these; these again when nobody came in time."""
        if self._lone is not None:
            others, waiting = self._lone
            self._lone = None
            waiting.set_result(messages)
            return others
        mine: asyncio.Future[list[OutgoingMessage]] = asyncio.get_running_loop().create_future()
        self._lone = (messages, mine)
        try:
            return await asyncio.wait_for(mine, patience_s)
        except TimeoutError:
            self._lone = None
            return messages
