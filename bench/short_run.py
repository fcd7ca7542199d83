"""A simulator, and short load runs on it with all users at once, tried again when they were INVALID."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from astrometer.config.target_access import target_from_options
from astrometer.load import launch
from astrometer.load.launch import LoadPlan
from astrometer.measure.results import document
from astrometer.targets.serving import serve
from astrometer.targets.simulator.simulator_app import Simulator
from astrometer.targets.simulator.simulator_config import SimulatorConfig

LOCUSTFILE = Path(__file__).with_name("short_run_locustfile.py")
TRIES = 3  # as `astrometer release` has them


@contextmanager
def simulator() -> Iterator[tuple[str, str]]:
    """Its URL and a key with all scopes."""
    app = Simulator(SimulatorConfig())
    with serve(app) as url:
        yield url, app.config.keys["all"].secret


def short_run(
    url: str, out: Path, *, key: str | None = None, users: int = 20, seconds: float = 7.0
) -> LoadPlan:
    return LoadPlan(
        locustfile=LOCUSTFILE,
        target=target_from_options(url, {} if key is None else {"ASTRBOT_API_KEY": key}),
        users=users, spawn_rate=users, given={"warmup": "1s"}, duration_s=seconds, stop_timeout_s=5,
        out=out,
    )  # fmt: skip


def is_valid(out: Path) -> bool:
    """Whether a run is there that was not INVALID."""
    return (out / document.FILE_NAME).exists() and document.read(out)["verdict"] != "INVALID"


def run_until_valid(plan: LoadPlan, variables: dict[str, str]) -> None:
    """`variables`: those of its locustfile, which has a BENCH_SEED of its own in each try."""
    signals = list[bool]()
    for _ in range(TRIES):
        environ = {**os.environ, **variables, "BENCH_SEED": secrets.token_hex(4)}
        launch.run(plan, environ, interrupted=lambda: signals.append(True))
        if signals:
            raise KeyboardInterrupt
        if is_valid(plan.out):
            return
