"""A plan and what is there -> profile, route and adapter on the server, checked; or all of it taken back.

The order is profile, route, adapter: no question ever comes through the adapter under another profile.
"""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from time import perf_counter

import httpx

from astrometer.api import management_endpoints as manage
from astrometer.api.endpoints import START_TIME
from astrometer.api.outcome import Outcome
from astrometer.probing.context import Context
from astrometer.probing.messenger_setup.adapter_link import (
    Linked,
    TokenCheck,
    answers,
    check_token,
    look_for_client,
    shake_hands,
)
from astrometer.probing.messenger_setup.adapter_plan import AdapterPlan
from astrometer.probing.messenger_setup.adapter_state import (
    DEFAULT_PROFILE,
    AdapterState,
    profile_in_force,
    profile_of,
    routes_of,
    state_of,
    status_of,
)
from astrometer.probing.messenger_setup.management import Management, SetupRefused
from astrometer.probing.messenger_setup.probe_profile import hindrances, profile_from
from astrometer.probing.verdict import ProbeFailed

Say = Callable[[str], None]
STARTS_S = 10.0
HANDSHAKE_S = 5.0
LOOK_AGAIN_S = 0.25
RUNNING, BROKEN = "running", "error"


def refuse_what_is_not_ours(state: AdapterState) -> None:
    """Before anything is changed. Raises SetupRefused."""
    adapter, name = state.adapter, state.adapter_id
    if adapter is not None and not adapter.is_ours:
        raise SetupRefused(
            Outcome.API_ERROR,
            f"the server has an adapter {name} ({adapter.type}) that astrometer did not make; it is not "
            "touched. A second client would break it: up to AstrBot 4.25 every answer to every user is lost, "
            "later every push fails. Choose another name with --id",
        )
    if state.foreign_route:
        raise SetupRefused(
            Outcome.API_ERROR,
            f"the server has a route {name}:: to a profile that astrometer did not make; it is not touched. "
            "Choose another name with --id",
        )


async def refuse_taken_port(state: AdapterState, plan: AdapterPlan) -> None:
    """Raises SetupRefused."""
    if (other := state.ports.get(plan.port)) is not None:
        raise SetupRefused(
            Outcome.API_ERROR,
            f"port {plan.port} belongs to the server's adapter {other}: choose another --port",
        )
    address = plan.address()
    if state.adapter is None and not address.secure and await answers(address):
        raise SetupRefused(
            Outcome.API_ERROR, f"something answers at {plan.url} already: choose another --port (or --url)"
        )


class AdapterSetup:
    """One setup. `before` is what was there; only what this adds is ever taken back."""

    def __init__(self, management: Management, plan: AdapterPlan, before: AdapterState, say: Say) -> None:
        self._management = management
        self._ctx: Context = management.ctx
        self._plan = plan
        self._before = before
        self._say = say
        self._is_done = False

    async def make(self) -> None:
        """Raises ProbeFailed; what was made is taken back when the run ends, however it ends."""
        plan, before = self._plan, self._before
        self._ctx.cleanup(f"adapter {plan.adapter_id}", self._take_back)
        profile_id = before.profile_ids[0] if before.profile_ids else await self._make_profile()
        if before.in_force[0] not in before.profile_ids:
            await self._make_route(profile_id)
        if before.adapter is None:
            made_at = await _server_time(self._ctx)
            await self._management.ask(manage.BOT_CREATE, body={"config": plan.adapter(made_at)})
            self._say(f"made the adapter {plan.adapter_id}: it listens on {plan.listen}:{plan.port}")
        elif not before.adapter.enabled:
            await self._management.ask(manage.BOT_ENABLE, body={"bot_id": plan.adapter_id, "enabled": True})
            self._say(f"switched the adapter {plan.adapter_id} on")
        await self.check()
        self._is_done = True

    async def check(self) -> None:
        """The adapter runs, takes the token, and is a messenger's. Raises ProbeFailed."""
        await self._wait_for_token()
        await self._wait_for_running()
        self._say(f"it runs, and {self._plan.url} takes the token and no other")
        if self._before.profile_ids:
            await self._say_hindrances(self._before.profile_ids[0])
        if self._before.adapter is not None and (why := await self._may_have_a_client()):
            self._say(why)
            return
        end = await shake_hands(self._plan.address(), self._ctx.target.tls, HANDSHAKE_S)
        if end is not None:
            raise ProbeFailed(Outcome.LOST_LINK, f"no handshake with {self._plan.url}: {end.detail}")
        self._say("a client was let in, and left")

    async def _say_hindrances(self, profile_id: str) -> None:
        """What somebody changed in our profile stays as it is."""
        config = await profile_of(self._management, profile_id)
        for setting in hindrances(config):
            self._say(f"but its profile has {setting.path} = {setting.of(config)!r:.40}: {setting.otherwise}")

    async def _make_profile(self) -> str:
        config = await profile_of(self._management, DEFAULT_PROFILE)
        body = {"name": self._plan.profile_name, "config": profile_from(config)}
        made = await self._management.ask(manage.PROFILE_CREATE, body=body)
        profile_id = made.get("conf_id") if isinstance(made, dict) else None
        if not isinstance(profile_id, str):
            raise ProbeFailed(Outcome.MALFORMED, "a profile was made, and the answer does not name it")
        self._say(
            f"made the profile `{self._plan.profile_name}`: the default one with the settings of a probe"
        )
        return profile_id

    async def _make_route(self, profile_id: str) -> None:
        """AstrBot takes the first route that fits: one for all adapters may stand before a new one."""
        route = self._plan.route
        await self._management.ask(manage.ROUTE_SET, path={"route": route}, body={"config_id": profile_id})
        routes = await routes_of(self._management)
        taken_by = profile_in_force(routes, self._plan.adapter_id)[1]
        if taken_by != route:
            others = {known: to for known, to in routes.items() if known != route}
            await self._management.ask(manage.ROUTES_REPLACE, body={"routing": {route: profile_id, **others}})
            now = await routes_of(self._management)
            if list(now.items()) != [(route, profile_id), *others.items()]:
                raise ProbeFailed(Outcome.API_ERROR, "the routes are not as they were written: look at them")
            self._say(f"made the route {route} to it, before the route {taken_by} which takes all adapters")
            return
        self._say(f"made the route {route} to it")

    async def _wait_for_token(self) -> None:
        until = perf_counter() + self._starts_s
        while True:
            found, why = await check_token(self._plan.address(), self._ctx.target.tls, HANDSHAKE_S)
            if found is TokenCheck.RIGHT:
                return
            if found is not TokenCheck.NO_ADAPTER:
                raise ProbeFailed(
                    Outcome.API_ERROR,
                    f"another adapter answers at {self._plan.url} (our token: {found.value}): choose another "
                    "--port",
                )
            await self._must_not_be_broken()
            if perf_counter() > until:
                raise ProbeFailed(
                    Outcome.LOST_LINK,
                    f"the adapter runs, but {self._plan.url} does not answer from here ({why}). Run this on "
                    "the server's machine, or let it listen elsewhere (--listen) and say how this machine "
                    "reaches it (--url)",
                )
            await asyncio.sleep(LOOK_AGAIN_S)

    async def _wait_for_running(self) -> None:
        until = perf_counter() + self._starts_s
        while (status := await self._must_not_be_broken()) != RUNNING:
            if perf_counter() > until:
                raise ProbeFailed(Outcome.API_ERROR, f"AstrBot says that the adapter is `{status}`")
            await asyncio.sleep(LOOK_AGAIN_S)

    @property
    def _starts_s(self) -> float:
        """Less than what is left: why it does not start is known better than that the time is over."""
        return min(STARTS_S, 0.6 * self._ctx.left_s)

    async def _must_not_be_broken(self) -> str:
        status, said = await status_of(self._management, self._plan.adapter_id)
        if status == BROKEN:
            raise ProbeFailed(
                Outcome.API_ERROR, f"the adapter does not start: {said or 'see the log of AstrBot'}"
            )
        return status

    async def _may_have_a_client(self) -> str:
        """Why nobody else may connect; empty when nobody is connected."""
        key = self._ctx.target.key_for("im")
        if key is None:
            return "whether it has a client now cannot be told without a key with the scope im: left alone"
        linked, said = await look_for_client(self._ctx, key, self._plan.adapter_id)
        if linked is Linked.NOBODY:
            return ""
        if linked is Linked.CLIENT:
            return "a client is connected now, such as your exporter: left alone"
        return f"whether it has a client now cannot be told ({said}): left alone"

    async def _take_back(self) -> bool:
        """Whether everything is again as it was; what a lost answer made is found, too."""
        if self._is_done:
            return True
        plan, before = self._plan, self._before
        now = await state_of(self._management, plan.adapter_id)
        if before.adapter is None and now.adapter is not None and now.adapter.is_ours:
            await self._management.ask(manage.BOT_DELETE, params={"bot_id": plan.adapter_id})
        elif before.adapter is not None and not before.adapter.enabled:
            await self._management.ask(manage.BOT_ENABLE, body={"bot_id": plan.adapter_id, "enabled": False})
        made = [known for known in now.profile_ids if known not in before.profile_ids]
        if before.route_target is None and now.route_target is not None and not now.foreign_route:
            await self._management.ask(manage.ROUTE_DELETE, path={"route": plan.route})
        for profile_id in made:
            await self._management.ask(manage.PROFILE_DELETE, path={"profile_id": profile_id})
        self._say("taken back what was made: the server is as it was")
        return True


async def _server_time(ctx: Context) -> str:
    """The server's own clock, which also dates the conversations; ours where it does not tell."""
    try:
        head = await ctx.asks.head_of(START_TIME)
        return parsedate_to_datetime(head.headers.get("date", "")).astimezone(UTC).isoformat()
    except (httpx.TransportError, TimeoutError, ValueError):
        return datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="seconds")
