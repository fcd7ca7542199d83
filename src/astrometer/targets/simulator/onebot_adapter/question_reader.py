"""A OneBot `message` event -> its text, and whether it means the bot. Who it names is asked for first."""

from typing import Any

from astrometer.targets.simulator.onebot_adapter.action_calls import (
    NOT_DELIVERED,
    ActionCalls,
    ActionFailed,
)
from astrometer.targets.simulator.onebot_adapter.incoming_question import IncomingQuestion, words
from astrometer.targets.simulator.onebot_adapter.onebot_connection import OneBotConnection
from astrometer.targets.simulator.version_traits import Wire


class QuestionReader:
    """What AstrBot asks the messenger before it looks at a question."""

    def __init__(self, calls: ActionCalls, wire: Wire) -> None:
        self._calls = calls
        self._wire = wire

    async def look_up(self, question: IncomingQuestion, asker: OneBotConnection) -> tuple[str, bool]:
        """The question's text, and whether the bot was named. Each person named is looked up first.

        Raises BadEvent.
        """
        text, named, in_text = "", question.group is None, False
        for kind, data in question.runs():
            if kind == "text":
                text += words(data)
            for part in data if kind == "at" else ():
                person = str(part.get("qq"))
                if person == "all":
                    continue
                try:
                    nickname = await self._nickname(question, person, asker)
                except NOT_DELIVERED:
                    continue
                if person == question.account:
                    named = True
                if nickname is not None:
                    if person == question.account and not in_text:
                        in_text = True
                    else:
                        text += f" @{nickname}({person}) "
            for part in data if kind == "reply" else ():
                wanted = {"message_id": number(part.get("id")), **account_of(question, self._wire)}
                await self._calls.attempt(self._asked(question, asker), "get_msg", wanted)
        return text.strip(), named

    async def _nickname(self, question: IncomingQuestion, person: str, asker: OneBotConnection) -> str | None:
        """Raises NoClient, ActionFailed, ActionUnanswered."""
        more = {"user_id": number(person), "no_cache": False, **account_of(question, self._wire)}
        group = None if question.group is None else number(question.group)
        client = self._asked(question, asker)
        known = await self._calls.call(client, "get_group_member_info", {"group_id": group, **more})
        if not known or not isinstance(known, dict):
            return None
        if card := known.get("card", ""):
            return str(card)
        known = await self._calls.call(self._asked(question, asker), "get_stranger_info", more)
        if not isinstance(known, dict):
            raise ActionFailed("no stranger")
        return str(known.get("nick", "") or known.get("nickname", ""))

    def _asked(self, question: IncomingQuestion, asker: OneBotConnection) -> OneBotConnection | None:
        return self._calls.client(question.account if self._wire.names_account else None, asker)


def account_of(question: IncomingQuestion, wire: Wire) -> dict[str, Any]:
    """The `self_id` that this version puts into an action."""
    return {"self_id": number(question.account)} if wire.names_account and question.account else {}


def number(text: Any) -> Any:
    """Digits as a number, anything else as it is."""
    return int(text) if str(text).isdigit() else text
