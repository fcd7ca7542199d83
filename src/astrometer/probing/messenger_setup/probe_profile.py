"""A whole configuration of AstrBot's -> the profile for a probe, and what in one hinders a probe. Pure."""

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

# AstrBot's own default: a key without the scope config:edit_admin may write no other.
ADMINS = ["astrbot"]
NO_LIMIT = 1_000_000  # 0 is none, too, but 4.18.0 answers nothing at 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileSetting:
    """One setting, by its path in the configuration. `otherwise`: what happens when it is another."""

    path: str
    wanted: Any
    otherwise: str

    def of(self, config: Mapping[str, Any]) -> Any:
        """Its value; the wanted one where the configuration does not say."""
        value: Any = config
        for name in self.path.split("."):
            if not isinstance(value, Mapping) or name not in value:
                return self.wanted
            value = value[name]
        return value

    def put(self, config: dict[str, Any]) -> None:
        *folders, name = self.path.split(".")
        for folder in folders:
            inner = config.get(folder)
            if not isinstance(inner, dict):
                inner = config[folder] = {}
            config = inner
        config[name] = copy.deepcopy(self.wanted)

    def fits(self, config: Mapping[str, Any]) -> bool:
        value = self.of(config)
        if self.path == WHITELIST and _USES_WHITELIST.of(config) is False:
            return True
        if self.path.endswith("rate_limit.count"):  # fewer would do
            return isinstance(value, int) and (value <= 0 or value >= 60)
        return bool(value == self.wanted)


WHITELIST = "platform_settings.id_whitelist"
_USES_WHITELIST = ProfileSetting(path="platform_settings.enable_id_white_list", wanted=True, otherwise="")
_LIMIT = "platform_settings.rate_limit"
_MODEL = "provider_settings"
SETTINGS = (
    ProfileSetting(
        path="platform_settings.reply_with_quote",
        wanted=True,
        otherwise="a reply does not say which question it answers",
    ),
    ProfileSetting(
        path="disable_builtin_commands",
        wanted=False,
        otherwise="/reset goes to the model, and the conversation grows with its cost",
    ),
    ProfileSetting(path=f"{_MODEL}.enable", wanted=True, otherwise="the model is never asked: silence"),
    ProfileSetting(path=f"{_MODEL}.wake_prefix", wanted="", otherwise="the model is never asked: silence"),
    ProfileSetting(
        path=f"{_MODEL}.streaming_response", wanted=False, otherwise="AstrBot pauses 1.5 s between sentences"
    ),
    ProfileSetting(
        path="platform_settings.segmented_reply.enable",
        wanted=False,
        otherwise="AstrBot waits 1.5 to 3.5 s before each part of an answer",
    ),
    ProfileSetting(path="t2i", wanted=False, otherwise="long answers come as images"),
    ProfileSetting(path="provider_tts_settings.enable", wanted=False, otherwise="answers may come as speech"),
    ProfileSetting(
        path=WHITELIST,
        wanted=[],
        otherwise="who is not on the whitelist meets silence",
    ),
    ProfileSetting(
        path="platform_settings.friend_message_needs_wake_prefix",
        wanted=False,
        otherwise="a question without the wake prefix meets silence",
    ),
    ProfileSetting(path=f"{_LIMIT}.count", wanted=NO_LIMIT, otherwise="questions wait, or meet silence"),
    ProfileSetting(path=f"{_LIMIT}.time", wanted=60, otherwise=""),
    ProfileSetting(path=f"{_LIMIT}.strategy", wanted="stall", otherwise=""),
    ProfileSetting(path="platform_settings.reply_prefix", wanted="", otherwise=""),
    ProfileSetting(path="platform_settings.reply_with_mention", wanted=False, otherwise=""),
    ProfileSetting(path="admins_id", wanted=ADMINS, otherwise=""),
)


def profile_from(default: Mapping[str, Any]) -> dict[str, Any]:
    """The whole of `default` with the settings of a probe: AstrBot cannot use a part of a configuration."""
    config = copy.deepcopy(dict(default))
    for setting in SETTINGS:
        setting.put(config)
    return config


def hindrances(config: Mapping[str, Any]) -> Iterator[ProfileSetting]:
    """The settings that would spoil what a probe measures."""
    for setting in SETTINGS:
        if setting.otherwise and not setting.fits(config):
            yield setting
