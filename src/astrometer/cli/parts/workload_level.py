"""`--workload` and `--scale` -> how many users, or arrivals per second."""

import os

import click

from astrometer.cli.shared.locust_run import Asked
from astrometer.load.launch import UserLevel

_LEVELS = ("users", "rate", "shape")
MIX_USERS = 100  # that stand for the rate of a mix: each part has its share to the per cent


def level(run: Asked, ctx: click.Context, scale: float | None, *, closed: bool) -> UserLevel | None:
    """None: --users, --rate or --shape says it. Raises click.UsageError."""
    from astrometer.load import inspect_locustfile

    given = [name for name in _LEVELS if ctx.params.get(name) is not None]
    named = "--scale" if scale is not None else "--closed" if closed else None
    if named is not None and given:
        raise click.UsageError(f"{named} cannot be combined with --{given[0]}")
    if named is not None and not run.settings.workload_file:
        raise click.UsageError(f"{named} needs --workload: make a file with `astrometer learn`")
    if given or run.settings.rate_unit > 0:
        return None
    workload = run.settings.workload()
    if workload is None:
        return None
    # What part of the users follows it is for the locustfile to say.
    asked = run.plan(UserLevel.of(1, None), duration_s=None, ramp_s=0.0, directory="{stem}-{time}")
    share = inspect_locustfile.inspect(asked, os.environ).workload_share
    times = (1.0 if scale is None else scale) / share
    if closed:
        return UserLevel.of(max(1, round(workload.users * times)), None, ctx.params["spawn_rate"])
    rate = float(f"{workload.conversations_per_s * times:.6g}")
    if share < 1:
        spawn_rate = ctx.params["spawn_rate"] or float(MIX_USERS)
        return UserLevel(users=MIX_USERS, spawn_rate=spawn_rate, rate_unit=rate / MIX_USERS)
    return UserLevel.of(None, rate, ctx.params["spawn_rate"])
