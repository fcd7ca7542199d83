"""A plan -> what people read: what is made, what goes into the configuration, what to do by hand. Pure."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

from astrometer.api.management_endpoints import adapter_settings
from astrometer.probing.messenger_setup.adapter_plan import (
    AdapterPlan,
    profile_name_of,
    route_of,
)
from astrometer.probing.messenger_setup.adapter_state import AdapterState
from astrometer.probing.messenger_setup.probe_profile import SETTINGS

DATA_KEY_FILE = "astrbot_data_key"
BY_HAND_TOKEN = "A-RANDOM-TOKEN"  # noqa: S105 (a placeholder)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenPlace:
    """Where the token is for commands: a variable, or a file as the configuration names it."""

    env: str | None = None
    file: str | None = None
    known: bool = False  # to the configuration already

    @property
    def line(self) -> str:
        return f'env = "{self.env}"' if self.env is not None else f'file = "{self.file}"'

    @property
    def words(self) -> str:
        if self.known:
            return "that of the configuration"
        if self.env is not None:
            return f"that of the variable {self.env}"
        return f"in the file {self.file}, which only you can read"


def plan_sentences(state: AdapterState, plan: AdapterPlan, place: TokenPlace) -> Iterator[str]:
    """What is made, and what is there already."""
    has = "is there" if state.profile_ids else "the default profile with the settings of a probe"
    yield f"profile  {plan.profile_name}: {has}"
    has_route = bool(state.profile_ids) and state.in_force[0] in state.profile_ids
    yield f"route    {plan.route} to that profile{': is there' if has_route else ''}"
    how = f"OneBot (aiocqhttp) on {plan.listen}:{plan.port}, reached at {plan.url}"
    if state.adapter is not None:
        how += ": is there" if state.adapter.enabled else ": is there, and is switched on"
    yield f"adapter  {plan.adapter_id}: {how}"
    yield f"token    {place.words}"


def config_sentences(
    target: str, source: str | None, url: str, place: TokenPlace, *, may_delete: bool
) -> Iterator[str]:
    """What makes the probe use it. `source`: the configuration file, None for a target of --host.

    `may_delete`: whether the target has a key that deletes the probe's conversations.
    """
    if source is not None:
        yield f"Put this into {source}:"
        yield ""
        yield f"[targets.{target}.messenger]"
        yield f'url = "{url}"'
        yield place.line
        if not may_delete:
            yield ""
            yield "# A key with the scope data, for what the probe leaves: without it its conversations stay."
            yield f"[targets.{target}.keys.data]"
            yield f'file = "{DATA_KEY_FILE}"'
            yield 'scopes = ["data"]'
        return
    yield "Set these variables:"
    yield ""
    yield f"export ASTRBOT_MESSENGER_URL={url}"
    if place.env is None:
        yield f"export ASTRBOT_MESSENGER_TOKEN_FILE={place.file}"
    else:
        yield f'export ASTRBOT_MESSENGER_TOKEN="${place.env}"'


def by_hand(adapter_id: str, port: int, listen: str, url: str) -> Iterator[str]:
    """For AstrBot before 4.26, whose API can neither make nor show an adapter or a profile."""
    adapter = adapter_settings(adapter_id, port, listen, BY_HAND_TOKEN)
    yield (
        "This AstrBot is older than 4.26: its API makes no adapters. Update to 4.26 or newer and run this "
        "again, or do it by hand:"
    )
    yield ""
    name = profile_name_of(adapter_id)
    yield f"1. In the dashboard make a configuration profile `{name}` with these settings:"
    for setting in SETTINGS:
        if setting.otherwise:
            yield f"   {setting.path} = {json.dumps(setting.wanted)}"
    yield f"2. Give it the sessions of the platform {adapter_id} (the route {route_of(adapter_id)})."
    yield (
        f"3. Stop AstrBot, put this into `platform` of data/cmd_config.json, with a token of your own for "
        f"{BY_HAND_TOKEN}, and start it:"
    )
    yield ""
    yield json.dumps(adapter, indent=2)
    yield ""
    yield "4. Write the token into a file that only you can read, and put this into astrometer.toml:"
    yield ""
    yield "[targets.NAME.messenger]"
    yield f'url = "{url}"'
    yield 'file = "PATH"'
    yield ""
    yield (
        "Never use the adapter of your real messenger: up to AstrBot 4.25 every answer to every user is lost "
        "while a second client is connected."
    )


def by_hand_removal(adapter_id: str) -> Iterator[str]:
    """For AstrBot before 4.26."""
    yield "This AstrBot is older than 4.26: its API removes no adapters. By hand, in the dashboard:"
    yield ""
    yield f"1. Delete the adapter {adapter_id}."
    yield f"2. Delete the profile `{profile_name_of(adapter_id)}` and its route {route_of(adapter_id)}."
    yield f"3. Delete the conversations of the platform {adapter_id}."
