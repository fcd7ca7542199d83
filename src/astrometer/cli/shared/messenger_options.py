"""What `sandbox` and `sim` have in common of their messenger: its settings, and how a shell learns of it."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from astrometer.targets.messenger.messenger_profile import (
    MessengerProfile,
    MessengerProfileError,
    parse_profile,
)

F = TypeVar("F", bound=Callable[..., Any])


def messenger_options(command: F) -> F:
    offered = click.option(
        "--messenger",
        is_flag=True,
        help="With an adapter, `messenger`, that waits for a OneBot client and asks the model what that "
        "sends.",
    )
    settings = click.option(
        "--messenger-setting",
        "messenger_settings",
        multiple=True,
        metavar="NAME=VALUE",
        callback=_profile_of,
        help="How its messages are treated, e.g. reply_with_quote=off; --messenger is implied.",
    )
    return offered(settings(command))


def _profile_of(
    _ctx: click.Context, _param: click.Parameter, settings: tuple[str, ...]
) -> MessengerProfile | None:
    """None without any setting."""
    try:
        return parse_profile(settings) if settings else None
    except MessengerProfileError as exc:
        raise click.BadParameter(str(exc)) from exc


def messenger_exports(url: str, token: str) -> str:
    """A line for a shell; the token stays out of every command line."""
    return f"export ASTRBOT_MESSENGER_URL={url} ASTRBOT_MESSENGER_TOKEN={token}"
