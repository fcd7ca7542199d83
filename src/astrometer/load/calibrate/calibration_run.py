"""Number of streams + a golden server's URL -> one measured `CalibrationStep`.

The load is a `locust` process with `calibration_locustfile.py` as its locustfile. Nothing here imports locust
or gevent.
"""

import json
import math
import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

from astrometer.clock import same_clock
from astrometer.load.launch import KEY_VARIABLES, LOCUST
from astrometer.measure.accuracy import CalibrationStep, ErrorSummary, MetricAccuracy, ServerAccount
from astrometer.measure.tally.histogram import Histogram
from astrometer.tethered import Tethered
from astrometer.wire.receive_stamps import worst_clock
from astrometer.wire.tls import context_of

RAMP_S = 2.0
LOCUSTFILE = Path(__file__).with_name("calibration_locustfile.py")


class StepFailed(Exception):
    """Locust or the golden server did not do its part; the text says how, or is the end of Locust's log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepPlan:
    """One step. Times in seconds; `stream_s` is how long one stream of the server lasts."""

    streams: int
    gap_s: float
    duration_s: float
    stream_s: float
    processes: int = 1
    cpus: Sequence[int] = ()  # for the load processes; all when empty
    patience_s: float = 120.0  # for Locust's start and end, beyond what it measures

    def command(self, url: str, out: Path) -> list[str]:
        rate = max(1.0, self.streams / RAMP_S)
        run_s = RAMP_S + self.duration_s + 3  # 3: until the window opens, and a margin
        return [
            *("-f", str(LOCUSTFILE), "--host", url, "--headless"),
            *(
                "--users",
                str(self.streams),
                "--spawn-rate",
                f"{rate:g}",
                "--run-time",
                f"{math.ceil(run_s)}s",
            ),
            # What still runs at the end is drained: a cut stream could not be compared.
            *("--stop-timeout", f"{math.ceil(self.stream_s) + 30}"),
            *(("--processes", str(self.processes)) if self.processes > 1 else ()),
            *("--only-summary", "--exit-code-on-error", "0", "--logfile", str(out / "locust.log")),
            *("--calibration-out", str(out), "--calibration-window", f"{self.duration_s:g}"),
        ]


def run_step(plan: StepPlan, url: str) -> CalibrationStep:
    """Load the golden server at `url` and compare. Raises StepFailed."""
    with tempfile.TemporaryDirectory(prefix="astrometer-calibrate-") as folder:
        out = Path(folder)
        code = _run(plan, url, out)
        reports = [json.loads(path.read_bytes()) for path in sorted(out.glob("calibration-*.json"))]
        if not reports:
            said = [
                (out / name).read_text("utf-8", "replace")
                for name in ("locust.log", "stderr")
                if (out / name).is_file()
            ]
            tail = "".join(said)[-2000:]
            raise StepFailed(f"Locust ended with exit code {code} and no measurement\n{tail}".strip())
    start_s, end_s = max(part["start_s"] for part in reports), min(part["end_s"] for part in reports)
    return assemble(plan, reports, server_account(url, start_s, end_s))


def server_account(url: str, start_s: float, end_s: float) -> dict[str, Any]:
    """What the golden server says of itself. Raises StepFailed."""
    try:
        answer = httpx.get(
            f"{url}/golden/stats",
            params={"from": start_s, "to": end_s},
            verify=context_of(),
            trust_env=False,
        )
        account: dict[str, Any] = answer.raise_for_status().json()
    except (httpx.HTTPError, ValueError) as exc:
        raise StepFailed(f"the golden server gave no account of itself: {exc}") from exc
    return account


def assemble(plan: StepPlan, reports: Sequence[dict[str, Any]], server: dict[str, Any]) -> CalibrationStep:
    """What each load process and the server reported -> one step."""
    lags = [Histogram.from_wire(part["health"]["lag"]).percentile(99) for part in reports]
    cpus = [part["cpu_s"] / (part["end_s"] - part["start_s"]) for part in reports]
    return CalibrationStep(
        streams=plan.streams,
        processes=plan.processes,
        clock=worst_clock(part["health"]["clock"] for part in reports),
        gap_s=plan.gap_s,
        duration_s=math.fsum(part["end_s"] - part["start_s"] for part in reports) / len(reports),
        events=sum(part["events"] for part in reports),
        ttft=MetricAccuracy.of([part["ttft"] for part in reports]),
        gap=MetricAccuracy.of([part["gap"] for part in reports]),
        delay=ErrorSummary.of(value for part in reports for value in part["delay_s"]),
        cpu_s=math.fsum(part["cpu_s"] for part in reports),
        cpu_max=max(cpus),
        loop_lag_p99_s=max((lag for lag in lags if lag is not None), default=None),
        odd_streams=sum(part["odd_streams"] for part in reports),
        failed_streams=sum(part["failed_streams"] for part in reports),
        lost_processes=max(0, plan.processes - len(reports)),
        server=ServerAccount(
            events=server["events"],
            lateness_p99_s=server["lateness_p99_s"],
            cpu_share=server["cpu_share"],
            same_clock=all(same_clock(part["clock_s"], server["clock_s"]) for part in reports),
        ),
    )


def _run(plan: StepPlan, url: str, out: Path) -> int:
    kept = {name: value for name, value in os.environ.items() if name not in KEY_VARIABLES}
    # Any key will do, and no real one has business here.
    environment = {**kept, "ASTRBOT_API_KEY": "abk_golden", "ASTROMETER_WHOLE_ANSWER_PERCENT": "0"}
    with (out / "stderr").open("wb") as stderr:
        child = Tethered(
            LOCUST, plan.command(url, out), env=environment, stdout=subprocess.DEVNULL, stderr=stderr
        )
    with _ended(child):
        if plan.cpus and hasattr(psutil.Process, "cpu_affinity"):
            psutil.Process(child.pid).cpu_affinity(list(plan.cpus))  # before it starts threads and workers
        try:
            return child.wait(plan.duration_s + plan.stream_s + plan.patience_s)
        except subprocess.TimeoutExpired as exc:
            raise StepFailed(f"Locust did not end within {exc.timeout:.0f} s") from exc


@contextmanager
def _ended(child: Tethered) -> Iterator[None]:
    """However this ends, the child and its workers do too."""
    try:
        yield
    finally:
        if child.poll() is None:
            child.kill_all()
            child.wait()
