"""What `sandbox` and `sim` have in common of their messenger: its settings, and how a shell learns of it."""

import click

from astrometer.targets.messenger.messenger_profile import (
    MessengerProfile,
    MessengerProfileError,
    parse_profile,
)


def profile_of(
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
