"""What setup made -> gone: adapter, route, profile, and the conversations where a key may."""

from dataclasses import dataclass
from typing import Any

from astrometer.api import management_endpoints as manage
from astrometer.api.endpoints import Endpoint
from astrometer.api.outcome import Outcome
from astrometer.probing.messenger_setup.adapter_setup import Say
from astrometer.probing.messenger_setup.adapter_state import AdapterState, state_of
from astrometer.probing.messenger_setup.conversations import (
    Conversation,
    conversations_of,
    delete_conversations,
    since_of,
)
from astrometer.probing.messenger_setup.management import DATA, Management, SetupRefused
from astrometer.probing.verdict import ProbeFailed

ALWAYS_STAYS = (
    "rows of statistics (provider_stats, one an answer) and on 4.29 the users' aliases (umo_aliases)"
)
PREFERENCES = "their preferences"


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterLeftovers:
    """What a removal takes. `conversations` None: no key may list them; `why_not` says why."""

    state: AdapterState
    conversations: tuple[Conversation, ...] | None
    others: int = 0  # conversations of the same name that are somebody else's
    why_not: str = ""

    @property
    def route_goes(self) -> bool:
        """Ours, or one that leads nowhere."""
        return self.state.route_target is not None and not self.state.foreign_route

    @property
    def loose_profiles(self) -> list[str]:
        """Those of our name that no other route leads to."""
        state = self.state
        used = {to for route, to in state.routes.items() if route != f"{state.adapter_id}::"}
        return [profile for profile in state.profile_ids if profile not in used]

    def sentences(self) -> list[str]:
        state, lines = self.state, []
        if state.adapter is not None:
            lines.append(f"the adapter {state.adapter_id} on port {state.adapter.port}")
        if self.route_goes:
            lines.append(f"the route {state.adapter_id}::")
        lines += [f"the profile {profile}" for profile in self.loose_profiles]
        if self.conversations:
            lines.append(f"{counted(len(self.conversations))} of its users, with {PREFERENCES}")
        return lines

    def stays(self) -> list[str]:
        lines = [ALWAYS_STAYS]
        if self.conversations is None:
            lines.insert(0, f"conversations of its users, and {PREFERENCES}: {self.why_not}")
        if self.others:
            lines.append(
                f"{counted(self.others)} of an adapter of the same name that astrometer did not make"
            )
        kept = [one for one in self.state.profile_ids if one not in self.loose_profiles]
        lines += [f"the profile {profile}: another route leads to it" for profile in kept]
        return lines


async def leftovers_of(management: Management, adapter_id: str) -> AdapterLeftovers:
    """Raises ProbeFailed, and SetupRefused for an adapter that is not ours."""
    state = await state_of(management, adapter_id)
    adapter = state.adapter
    if adapter is not None and not adapter.is_ours:
        raise SetupRefused(
            Outcome.API_ERROR,
            f"the adapter {adapter_id} ({adapter.type}) was not made by astrometer: nothing is touched",
        )
    key = management.ctx.target.key_for(DATA)
    if key is None:
        return AdapterLeftovers(state=state, conversations=None, why_not=_no_data_key())
    try:
        found = await conversations_of(Management(management.ctx, key), adapter_id)
    except SetupRefused:
        return AdapterLeftovers(state=state, conversations=None, why_not=_no_data_key(key.name))
    since = since_of(adapter.made_at) if adapter is not None else None
    ours = tuple(one for one in found if one.is_ours(adapter_id, since))
    return AdapterLeftovers(state=state, conversations=ours, others=len(found) - len(ours))


class AdapterRemoval:
    """One removal. What is gone already is fine."""

    def __init__(self, management: Management, found: AdapterLeftovers, say: Say) -> None:
        self._management = management
        self._found = found
        self._say = say

    async def remove(self) -> None:
        """Nobody can write from the beginning; the adapter, which knows when it was made, goes last.

        Raises ProbeFailed.
        """
        found, state = self._found, self._found.state
        if state.adapter is not None and state.adapter.enabled:
            await self._management.ask(manage.BOT_ENABLE, body={"bot_id": state.adapter_id, "enabled": False})
        key = self._management.ctx.target.key_for(DATA)
        if found.conversations and key is not None:
            await delete_conversations(Management(self._management.ctx, key), list(found.conversations))
            self._say(f"removed {counted(len(found.conversations))}")
        if found.route_goes:
            await self._delete(manage.ROUTE_DELETE, path={"route": f"{state.adapter_id}::"})
            self._say(f"removed the route {state.adapter_id}::")
        for profile in found.loose_profiles:
            await self._delete(manage.PROFILE_DELETE, path={"profile_id": profile})
            self._say(f"removed the profile {profile}")
        if state.adapter is not None:
            await self._delete(manage.BOT_DELETE, params={"bot_id": state.adapter_id})
            self._say(f"removed the adapter {state.adapter_id}")
        await self._must_be_gone()

    async def _delete(self, endpoint: Endpoint, **request: Any) -> None:
        """Whether it worked is looked at in the end: somebody else may have been quicker."""
        try:
            await self._management.ask(endpoint, **request)
        except SetupRefused:
            raise
        except ProbeFailed as exc:
            if exc.verdict.reason is not Outcome.CLIENT_ERROR:
                raise

    async def _must_be_gone(self) -> None:
        now = await state_of(self._management, self._found.state.adapter_id)
        left = []
        if now.adapter is not None and now.adapter.is_ours:
            left.append("the adapter")
        if self._found.route_goes and now.route_target is not None:
            left.append("the route")
        left += [f"the profile {one}" for one in now.profile_ids if one in self._found.loose_profiles]
        if left:
            raise ProbeFailed(Outcome.API_ERROR, f"AstrBot says ok, but {', '.join(left)} is still there")


def counted(conversations: int) -> str:
    return f"{conversations} conversation{'' if conversations == 1 else 's'}"


def _no_data_key(name: str = "") -> str:
    has = f"the key {name} has not the scope data" if name else "no key has the scope data"
    return f"{has}, so delete them in AstrBot's dashboard, or run this again with such a key"
