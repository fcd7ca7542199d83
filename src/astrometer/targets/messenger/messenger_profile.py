"""How AstrBot treats the questions that come through the messenger -> its configuration, or the simulator's.

AstrBot's words and meanings. The defaults are fit for measuring: every answer quotes its question, nothing
holds an answer back, no prompt is a command. No sockets.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, get_args

NO_LIMIT = 1_000_000  # 4.18.0 answers nothing at 0
MESSENGER = "messenger"  # the adapter's id, and so its platform in a UMO
Strategy = Literal["stall", "discard"]
Streaming = Literal["off", "segments", "whole"]


class MessengerProfileError(ValueError):
    """A setting that does not exist, or a value that it cannot have; the text says which."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MessengerProfile:
    """One configuration profile. Times are seconds."""

    reply_with_quote: bool = True  # an answer begins with a `reply` segment: the message that it answers
    reply_with_mention: bool = False  # in a group an answer begins with an `at` segment
    reply_prefix: str = ""
    disable_builtin_commands: bool = True
    rate_limit_messages: int = 0  # per session; 0: as many as come
    rate_limit_seconds: int = 60
    rate_limit_strategy: Strategy = "stall"
    segmented_reply: bool = False  # an answer comes sentence by sentence, with a pause before each
    segment_pause: str = "1.5,3.5"
    streaming: Streaming = (
        "off"  # the model is asked to stream; `segments`: AstrBot sends sentence by sentence
    )
    text_to_image: bool = False  # a long answer comes as an image
    forward_threshold: int = 1500  # a longer answer comes as a forwarded message
    whitelist: tuple[str, ...] = ()  # UMOs and group ids; empty: everybody
    blocked_words: tuple[str, ...] = ()
    model_enabled: bool = True

    @classmethod
    def read(cls, config: Mapping[str, Any]) -> "MessengerProfile":
        """What a whole configuration of AstrBot's says: the inverse of `apply`."""
        platform, provider = config["platform_settings"], config["provider_settings"]
        limit, streams = platform["rate_limit"], provider["streaming_response"]
        whole = provider["unsupported_streaming_strategy"] == "turn_off"
        return cls(
            reply_with_quote=platform["reply_with_quote"],
            reply_with_mention=platform["reply_with_mention"],
            reply_prefix=platform["reply_prefix"],
            disable_builtin_commands=config["disable_builtin_commands"],
            rate_limit_messages=limit["count"] if limit["count"] < NO_LIMIT else 0,
            rate_limit_seconds=limit["time"],
            rate_limit_strategy=limit["strategy"],
            segmented_reply=platform["segmented_reply"]["enable"],
            segment_pause=platform["segmented_reply"]["interval"],
            streaming="off" if not streams else "whole" if whole else "segments",
            text_to_image=config["t2i"],
            forward_threshold=platform["forward_threshold"],
            whitelist=tuple(platform["id_whitelist"]),
            blocked_words=tuple(config["content_safety"]["internal_keywords"]["extra_keywords"]),
            model_enabled=provider["enable"],
        )

    def apply(self, config: dict[str, Any]) -> None:
        """Write it into a whole configuration of AstrBot's."""
        config["disable_builtin_commands"] = self.disable_builtin_commands
        config["t2i"] = self.text_to_image
        config["t2i_strategy"] = "local"  # the other way asks a service in the internet
        provider = config.setdefault("provider_settings", {})
        provider["enable"] = self.model_enabled
        provider["streaming_response"] = self.streaming != "off"
        provider["unsupported_streaming_strategy"] = (
            "turn_off" if self.streaming == "whole" else "realtime_segmenting"
        )
        safety = config.setdefault("content_safety", {})
        safety["internal_keywords"] = {
            "enable": True,
            "extra_keywords": list(self.blocked_words),
        }
        platform = config.setdefault("platform_settings", {})
        platform |= {
            "unique_session": False,
            "reply_with_quote": self.reply_with_quote,
            "reply_with_mention": self.reply_with_mention,
            "reply_prefix": self.reply_prefix,
            "forward_threshold": self.forward_threshold,
            "enable_id_white_list": True,
            "id_whitelist": list(self.whitelist),
            "rate_limit": {
                "time": self.rate_limit_seconds,
                "count": self.rate_limit_messages or NO_LIMIT,
                "strategy": self.rate_limit_strategy,
            },
        }
        platform.setdefault("segmented_reply", {}).update(
            {"enable": self.segmented_reply, "interval_method": "random", "interval": self.segment_pause}
        )


def parse_profile(settings: Sequence[str]) -> MessengerProfile:
    """`reply_with_quote=off`, `whitelist=7001,7002` -> the profile. Raises MessengerProfileError."""
    profile = MessengerProfile()
    known = [field.name for field in fields(MessengerProfile)]
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals or name not in known:
            raise MessengerProfileError(f"{setting!r}: NAME=VALUE expected (known: {', '.join(known)})")
        try:
            profile = replace(profile, **{name: _parsed(name, getattr(profile, name), value)})
        except ValueError as exc:
            raise MessengerProfileError(f"{setting!r}: {exc}") from exc
    return profile


def _parsed(name: str, default: object, value: str) -> Any:
    if name in CHOICES and value not in CHOICES[name]:
        raise ValueError(f"{', '.join(CHOICES[name])} expected")
    if isinstance(default, bool):
        if value not in ("on", "off"):
            raise ValueError("on or off expected")
        return value == "on"
    if isinstance(default, int):
        if not value.isdecimal():
            raise ValueError("a whole number expected")
        return int(value)
    if isinstance(default, tuple):
        return tuple(part for part in value.split(",") if part)
    if name == "segment_pause":
        pause_range(value)
    return value


CHOICES: dict[str, tuple[str, ...]] = {
    "rate_limit_strategy": get_args(Strategy),
    "streaming": get_args(Streaming),
}


def pause_range(text: str) -> tuple[float, float]:
    """`1.5,3.5` -> the shortest and the longest pause. Raises ValueError."""
    shortest, comma, longest = text.partition(",")
    if not comma:
        raise ValueError("SHORTEST,LONGEST seconds expected, as in 1.5,3.5")
    return float(shortest), float(longest)
