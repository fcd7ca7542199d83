"""`probe --test-notify`, and `probe --once --notify`: tell the receivers, and say how it went."""

import asyncio
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace

import click

from astrometer import exit_codes
from astrometer.cli.shared.terminal import say
from astrometer.config.settings import Config, ConfigError
from astrometer.probing.notify.incident import Note
from astrometer.probing.notify.notifier import Notifier, Post
from astrometer.probing.status.layer_evidence import Blamers
from astrometer.probing.status.state_by_layer import TargetState
from astrometer.probing.verdict import ProbeRun

ATTEMPTS = 2


def must_have_receivers(config: Config, *, state: bool = True) -> None:
    """Raises ConfigError."""
    if not config.notify:
        raise ConfigError(
            f'{config.source}: nobody to tell; add [[notify]] with name = "..." and webhook = "URL"'
        )
    if state and config.state_dir is None:
        raise ConfigError("--notify needs --state-dir (or state_dir in the config), to know what was told")


def test(config: Config) -> None:
    """Send each receiver a test message, print how it went, and exit."""
    must_have_receivers(config, state=False)
    note = Note(
        title="astrometer: a test",
        text="This is what a message looks like. Nothing is wrong.",
        status="test",
        severity="ticket",
        target=", ".join(config.targets),
    )

    async def go() -> list[Post]:
        posts = [Post(receiver) for receiver in config.notify]
        await asyncio.gather(*(post.deliver(note, None) for post in posts))
        return posts

    posts = asyncio.run(go())
    for post in posts:
        how = f"not delivered: {post.delivery.why}" if post.delivery.why else "delivered"
        click.echo(f"{post.receiver.name} ({post.receiver.kind}): {how}")
    sys.exit(exit_codes.FAILED if any(post.delivery.why for post in posts) else exit_codes.PASS)


def tell(
    config: Config,
    states: Mapping[str, TargetState],
    runs: Sequence[ProbeRun],
    blamers: Blamers | None = None,
) -> None:
    """What changed since the round before. What is not delivered waits for the next round.

    `blamers`: all of the config, also those that were not asked in this round; None: not known.
    """
    at_once = [replace(receiver, after_s=0.0) for receiver in config.notify]
    notifier = Notifier(at_once, config.state_dir, say=say)

    def detail(target: str, reason: str) -> str:
        failed = (run.detail for run in runs if (run.target, run.reason) == (target, reason))
        return next(failed, "")

    notifier.look(states, detail, blamers)
    asyncio.run(notifier.flush(ATTEMPTS))
