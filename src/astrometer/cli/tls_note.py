"""A target whose certificate is not verified -> a warning that nobody overlooks."""

from collections.abc import Iterable

import click

from astrometer.config.settings import Target
from astrometer.tls import NOT_VERIFIED


def warn(targets: Iterable[Target]) -> None:
    for target in targets:
        if target.tls.insecure_skip_verify and target.url.startswith("https:"):
            click.secho(f"WARNING: {target.url}: {NOT_VERIFIED}", err=True, fg="red", bold=True)
