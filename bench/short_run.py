"""A locustfile and a server -> the plan of a short load run against it, with all its users at once."""

from astrometer.config.target_access import target_from_options
from astrometer.load.launch import LoadPlan


def short_run(locustfile, url, out, *, key=None, users=20, seconds=7.0):
    return LoadPlan(
        locustfile=locustfile,
        target=target_from_options(url, {} if key is None else {"ASTRBOT_API_KEY": key}),
        users=users, spawn_rate=users, given={"warmup": "1s"}, duration_s=seconds, stop_timeout_s=5,
        out=out,
    )  # fmt: skip
