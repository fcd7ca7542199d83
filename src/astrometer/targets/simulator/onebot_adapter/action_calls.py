"""An action -> the client that gets it, and its answer; with the zombie trap, as aiocqhttp has it."""

import asyncio
from itertools import count
from typing import Any

from astrometer.targets.simulator.onebot_adapter.onebot_connection import OneBotConnection


class NoClient(Exception):
    """Nobody is there to take the action. Its text is empty, as AstrBot's."""


class ActionFailed(Exception):
    """The client refused the action."""


class ActionUnanswered(Exception):
    """The client did not answer in time."""


NOT_DELIVERED = (NoClient, ActionFailed, ActionUnanswered)


class ActionCalls:
    """The registry of clients, and the actions that wait for their answers.

    A client is known by its account: a second connection of one account takes the first one's place, and
    when the first one ends, the entry goes with it. The second one still sends events, and gets no action.
    """

    def __init__(self, timeout_s: float) -> None:
        self.by_account: dict[str, OneBotConnection] = {}
        self.event_clients: set[OneBotConnection] = set()
        self.timeout_s = timeout_s
        self.sent = 0
        self._numbers = count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}

    def join(self, connection: OneBotConnection) -> None:
        if connection.takes_actions:
            self.by_account[connection.self_id] = connection
        if connection.sends_events:
            self.event_clients.add(connection)

    def leave(self, connection: OneBotConnection) -> None:
        if connection.takes_actions:
            self.by_account.pop(connection.self_id, None)  # whoever stands there now
        self.event_clients.discard(connection)

    @property
    def connections(self) -> set[OneBotConnection]:
        return {*self.by_account.values(), *self.event_clients}

    def client(self, account: str | None, asker: OneBotConnection | None = None) -> OneBotConnection | None:
        """By the account that the action names, else by who asked, else the only one there is."""
        if account:
            return self.by_account.get(account)
        if asker is not None and asker in self.event_clients:
            return self.by_account.get(asker.self_id)
        return next(iter(self.by_account.values())) if len(self.by_account) == 1 else None

    async def call(self, client: OneBotConnection | None, action: str, params: dict[str, Any]) -> Any:
        """The `data` of the client's answer. Raises NoClient, ActionFailed, ActionUnanswered."""
        if client is None:
            raise NoClient
        number = next(self._numbers)
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        client.send({"action": action, "params": params, "echo": {"seq": number}})
        self.sent += 1
        try:
            result = await asyncio.wait_for(answer, self.timeout_s)
        except TimeoutError as exc:
            raise ActionUnanswered("WebSocket API call timeout") from exc
        finally:
            del self._waiting[number]
        if result.get("status", "failed") == "failed":  # without a status AstrBot fails, too
            shown = ", ".join(f"{name}={value!r}" for name, value in result.items())
            raise ActionFailed(f"<ActionFailed {shown}>")
        return result.get("data")

    async def attempt(self, client: OneBotConnection | None, action: str, params: dict[str, Any]) -> bool:
        """Whether a client took it; AstrBot writes a line into its log when not, and goes on."""
        try:
            await self.call(client, action, params)
        except NOT_DELIVERED:
            return False
        return True

    def answered(self, payload: dict[str, Any]) -> None:
        echo = payload.get("echo")
        number = echo.get("seq") if isinstance(echo, dict) else None
        waiting = self._waiting.get(number) if isinstance(number, int) else None
        if waiting is not None and not waiting.done():
            waiting.set_result(payload)
