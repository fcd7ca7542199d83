"""A target's messenger -> checks: address, token, adapter, other clients, the profile in force.

Nobody becomes a client: on AstrBot up to 4.25 a second one would take every answer from the first.
"""

from collections.abc import AsyncIterator

from astrometer.api.management_endpoints import ADAPTER_TYPE
from astrometer.config.settings import TargetMessenger
from astrometer.im.link.link_address import LinkAddress
from astrometer.im.link.link_end import CURES
from astrometer.probing.context import Context
from astrometer.probing.messenger_setup.adapter_link import (
    WANTS_TOKEN,
    WRONG_TOKEN,
    Linked,
    TokenCheck,
    check_token,
    look_for_client,
)
from astrometer.probing.messenger_setup.adapter_plan import DEFAULT_ID
from astrometer.probing.messenger_setup.adapter_state import (
    DEFAULT_PROFILE,
    FoundAdapter,
    adapters_of,
    profile_in_force,
    profile_of,
    routes_of,
    status_of,
)
from astrometer.probing.messenger_setup.management import CONFIG, Management
from astrometer.probing.messenger_setup.probe_profile import hindrances
from astrometer.probing.target_checks.doctor_check import CheckState, DoctorCheck
from astrometer.probing.target_checks.scopes import has_management
from astrometer.probing.verdict import ProbeFailed

ADDRESS, ADAPTER, CLIENT, PROFILE = "messenger", "messenger adapter", "messenger client", "messenger profile"
MAKE = "make one with: astrometer messenger setup"
ONE_CLIENT = "one client at a time: stop the other one, or give this one an adapter of its own"


async def check_messenger(ctx: Context) -> AsyncIterator[DoctorCheck]:
    """Nothing for a target without one."""
    access = ctx.target.messenger
    if access is None:
        return
    yield await _address(ctx, access)
    adapter_id, is_known = DEFAULT_ID, False
    management = await _management(ctx)
    if isinstance(management, str):
        yield DoctorCheck(name=ADAPTER, state=CheckState.OK, line=f"not looked at: {management}")
    else:
        try:
            adapter = await _adapter_at(management, access)
            yield await _adapter(management, adapter)
            if adapter is not None:
                adapter_id, is_known = adapter.adapter_id, True
                yield await _profile(management, adapter_id)
        except ProbeFailed as exc:
            line = f"not looked at: {exc.verdict.detail}"
            yield DoctorCheck(name=ADAPTER, state=CheckState.OK, line=line)
    if (client := await _client(ctx, adapter_id, is_known=is_known)) is not None:
        yield client


async def _address(ctx: Context, access: TargetMessenger) -> DoctorCheck:
    address = LinkAddress.parse(access.url, self_id=1, token=access.token.reveal())
    found, said = await check_token(address, ctx.target.tls, ctx.limits.connect_s)
    match found:
        case TokenCheck.RIGHT:
            return DoctorCheck(name=ADDRESS, state=CheckState.OK, line=f"{access.url} takes the token")
        case TokenCheck.NOT_WANTED:
            line = f"{access.url} lets in everybody, without a token"
            cure = "give the adapter a ws_reverse_token: who reaches the port can be the messenger"
            return DoctorCheck(name=ADDRESS, state=CheckState.WARN, line=line, cure=cure)
        case TokenCheck.WRONG:
            line, cure = f"{access.url}: wrong token (403)", CURES[WRONG_TOKEN]
        case TokenCheck.MISSING:
            line, cure = f"{access.url}: no token (401)", CURES[WANTS_TOKEN]
        case TokenCheck.NO_ADAPTER:
            line, cure = f"no adapter answers at {access.url}: {said}", f"check host and port, or {MAKE}"
    return DoctorCheck(name=ADDRESS, state=CheckState.FAIL, line=line, cure=cure)


async def _management(ctx: Context) -> Management | str:
    """Or why it cannot be asked."""
    key = ctx.target.key_for(CONFIG)
    if key is None:
        return "no key has the scope config"
    try:
        return Management(ctx, key) if await has_management(ctx) else "AstrBot before 4.26 does not tell"
    except ProbeFailed as exc:
        return exc.verdict.detail


async def _adapter_at(management: Management, access: TargetMessenger) -> FoundAdapter | None:
    port = LinkAddress.parse(access.url, self_id=1).port
    adapters = await adapters_of(management)
    return next((one for one in adapters if one.type == ADAPTER_TYPE and one.port == port), None)


async def _adapter(management: Management, adapter: FoundAdapter | None) -> DoctorCheck:
    if adapter is None:
        line = (
            "no adapter of this AstrBot has the port of the messenger's URL (behind a proxy it has another)"
        )
        return DoctorCheck(name=ADAPTER, state=CheckState.WARN, line=line, cure=MAKE)
    name = adapter.adapter_id
    if not adapter.enabled:
        line, cure = (
            f"{name} is switched off",
            "switch it on in the dashboard, or: astrometer messenger setup",
        )
        return DoctorCheck(name=ADAPTER, state=CheckState.FAIL, line=line, cure=cure)
    status, said = await status_of(management, name)
    if status != "running":
        line = f"{name} is in the state `{status}`: {said}".rstrip(": ")
        return DoctorCheck(name=ADAPTER, state=CheckState.FAIL, line=line, cure="look at AstrBot's log")
    if not adapter.is_ours:
        line = f"{name} runs, and astrometer did not make it"
        cure = f"is it there for the probe alone? If people use it, {MAKE}"
        return DoctorCheck(name=ADAPTER, state=CheckState.WARN, line=line, cure=cure)
    return DoctorCheck(name=ADAPTER, state=CheckState.OK, line=f"{name} runs")


async def _profile(management: Management, adapter_id: str) -> DoctorCheck:
    profile, route = profile_in_force(await routes_of(management), adapter_id)
    config = await profile_of(management, profile)
    where = f"the profile {profile}" if profile != DEFAULT_PROFILE else "the default profile"
    by = f"route {route}" if route is not None else "no route leads elsewhere"
    found = list(hindrances(config))
    if not found:
        return DoctorCheck(
            name=PROFILE, state=CheckState.OK, line=f"{where} is in force ({by}), fit for a probe"
        )
    line = f"{where} is in force ({by}): " + "; ".join(
        f"{setting.path} is {setting.of(config)!r:.40}: {setting.otherwise}" for setting in found
    )
    cure = (
        "astrometer messenger setup makes a profile for the probe"
        if profile == DEFAULT_PROFILE
        else ("set in that profile: " + ", ".join(f"{one.path} = {one.wanted!r}" for one in found))
    )
    return DoctorCheck(name=PROFILE, state=CheckState.WARN, line=line, cure=cure)


async def _client(ctx: Context, adapter_id: str, *, is_known: bool) -> DoctorCheck | None:
    """None: no key may push, or which adapter it is was guessed wrong, so nobody knows."""
    key = ctx.target.key_for("im")
    if key is None:
        return None
    linked, said = await look_for_client(ctx, key, adapter_id)
    if linked is Linked.NOT_RUNNING and not is_known:
        return None
    match linked:
        case Linked.NOBODY:
            return DoctorCheck(name=CLIENT, state=CheckState.OK, line=f"{adapter_id} has no other client")
        case Linked.CLIENT:
            line = (
                f"a client is connected to {adapter_id}: an exporter or a load test of yours, or a messenger"
            )
            return DoctorCheck(name=CLIENT, state=CheckState.WARN, line=line, cure=ONE_CLIENT)
        case Linked.NOT_RUNNING | Linked.UNKNOWN:
            return DoctorCheck(name=CLIENT, state=CheckState.OK, line=f"not known: {said}")
