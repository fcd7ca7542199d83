"""An exporter for a week, and through steps of its clock -> does it grow, miss a run, or lose count?

    python bench/endurance.py week [--days 7] [--speed 1000]    # 10 minutes
    python bench/endurance.py clock                             # 2 minutes

`week`: a real `astrometer probe` with all our probes on a simulator, every interval divided by `--speed`, so
that it makes as many runs as in `--days`; its wall clock runs as much faster, so that its days of budget pass
too. PASS: the median resident memory of the last day is within 5 % of the second's, no run failed, the number
of series and the state on disk stay.

`clock`: intervals of one second; its wall clock steps an hour forward and an hour back. PASS: runs neither
stop nor bunch, none fails or is skipped, what the budget counted stays, and the timestamps follow the clock.

The clock is libfaketime's (Debian: `apt-get install libfaketime`); the monotonic one stays real: it measures.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
from programs import astrometer, bench_parser, exporter_url, served, verdict

from astrometer import bundled
from astrometer.probing.probe_files import load_folder

INTERVALS_S = {name: probe.interval_s for name, probe in load_folder(bundled.folder("probes")).probes.items()}
SIMULATOR = ["sim", "--rate-limit", "off", "--ttft", "2ms", "--gap", "1ms", "--tokens", "4"]
TOKENS_PER_DAY = 1_000_000_000
LIMIT = 0.05
DAY_S = 86_400.0
MIB = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Exporter:
    """A running exporter, and the file that says what its wall clock shows."""

    url: str
    process: psutil.Process
    clock: Path
    state: Path

    def show(self, what: str) -> None:
        self.clock.write_text(what)

    def page(self) -> list[str]:
        text = httpx.get(f"{self.url}/metrics", trust_env=False, timeout=30).text
        return [line for line in text.splitlines() if line and not line.startswith("#")]

    def state_bytes(self) -> int:
        return sum(path.stat().st_size for path in self.state.rglob("*") if path.is_file())


def main() -> int:
    parser = bench_parser(__doc__)
    parser.add_argument("what", choices=("week", "clock"))
    parser.add_argument("--days", type=int, default=7, help="at least 3")
    parser.add_argument("--speed", type=float, default=1000.0)
    options = parser.parse_args()
    if options.days < 3:
        parser.error("--days: the second and the last have to be different ones")
    return week(options.days, options.speed) if options.what == "week" else clock()


def week(days: int, speed: float) -> int:
    probes = {name: interval_s / speed for name, interval_s in INTERVALS_S.items()}
    with exporter(probes, shown=f"+0 x{speed:g}") as one:
        print("day | RSS, MiB: median | series | state on disk, KiB | runs, failed, skipped", flush=True)
        memory, series, state = [], [], []
        began = time.monotonic()
        for day in range(1, days + 1):
            samples = []
            while time.monotonic() < began + day * DAY_S / speed:
                samples.append(one.process.memory_info().rss)
                time.sleep(0.5)
            page = one.page()
            memory.append(statistics.median(samples))
            series.append(len(page))
            state.append(one.state_bytes())
            counts = " ".join(f"{total(page, name):.0f}" for name in ("runs", "failures", "skipped"))
            print(
                f"{day:3d} | {memory[-1] / MIB:.1f} | {series[-1]} | {state[-1] / 1024:.1f} | {counts}",
                flush=True,
            )
        passed_days = (value(page, "last_run_timestamp_seconds", "chat") - time.time()) / DAY_S
    growth = memory[-1] / memory[1] - 1
    asked = days * DAY_S * sum(1 / interval_s for interval_s in INTERVALS_S.values())
    print(f"{total(page, 'runs') / asked:.1%} of {asked:.0f} runs; its clock is {passed_days:.2f} days ahead")
    checks = {
        f"memory of the last day {growth:+.1%} against the second (limit {LIMIT:.0%})": abs(growth) <= LIMIT,
        "no run failed": not total(page, "failures"),
        "as many series as on the second day": series[-1] == series[1],
        "the state on disk does not grow": state[-1] <= 2 * state[1],
        "its days passed": abs(passed_days - days * (1 - 1 / speed)) < 0.1,
    }
    return verdict(checks)


def clock() -> int:
    """20 s as it is, 20 s an hour ahead, 20 s as it is again; what each 20 s saw."""
    with exporter(dict.fromkeys(INTERVALS_S, 1.0), shown="+0") as one:
        time.sleep(10)
        found, ahead, tokens_left = [], [], []
        for shown in ("+0", "+3600s", "+0"):
            one.show(shown)
            before = one.page()
            time.sleep(20)
            page = one.page()
            names = ("runs", "failures", "skipped")
            found.append([total(page, name) - total(before, name) for name in names])
            ahead.append(value(page, "last_run_timestamp_seconds", "chat") - time.time())
            tokens_left.append(value(page, "budget_tokens_remaining"))
            print(
                f"clock {shown:>6}: runs, failed, skipped {found[-1]}, last run {ahead[-1]:+.0f} s",
                flush=True,
            )
    due = 20 * len(INTERVALS_S)
    one_day = tokens_left[1] < tokens_left[0]
    checks = {
        "runs neither stop nor bunch": all(abs(runs - due) <= len(INTERVALS_S) for runs, _, _ in found),
        "none failed or was skipped": not any(failed or skipped for _, failed, skipped in found),
        "timestamps follow the clock": all(
            abs(is_ahead - asked) < 5 for is_ahead, asked in zip(ahead, (0, 3600, 0), strict=True)
        ),
        "what the budget counted stays" + ("" if one_day else " (the step crossed midnight UTC)"): (
            tokens_left[2] < tokens_left[0]
        ),
    }
    return verdict(checks)


@contextmanager
def exporter(intervals_s: dict[str, float], *, shown: str) -> Iterator[Exporter]:
    library = next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))), None)
    if library is None:
        sys.exit("libfaketime is not installed (Debian: apt-get install libfaketime)")
    with tempfile.TemporaryDirectory(prefix="astrometer-endurance-") as name:
        folder = Path(name)
        clock_file, state = folder / "clock", folder / "state"
        clock_file.write_text(shown)
        with served(*SIMULATOR) as facts:
            (folder / "astrometer.toml").write_text(config(facts, intervals_s))
            command = ["probe", "--config", str(folder / "astrometer.toml"), "--listen", "127.0.0.1:0"]
            environ = {
                **os.environ, "KEY": facts["keys"]["all"], "LD_PRELOAD": str(library),
                "FAKETIME_TIMESTAMP_FILE": str(clock_file), "FAKETIME_NO_CACHE": "1",
                "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            }  # fmt: skip
            with astrometer(
                *command, "--state-dir", str(state), stderr=subprocess.PIPE, env=environ
            ) as process:
                yield Exporter(
                    url=exporter_url(process),
                    process=psutil.Process(process.pid),
                    clock=clock_file,
                    state=state,
                )


def config(facts: dict[str, Any], intervals_s: dict[str, float]) -> str:
    lines = [
        f'[targets.one]\nurl = "{facts["url"]}"\nconcurrency = 8',
        '[targets.one.keys.all]\nenv = "KEY"\nscopes = ["chat", "config", "file", "im"]',
        f"[targets.one.budget]\ntokens_per_day = {TOKENS_PER_DAY}",
        *(f'[probes.{name}]\ninterval = "{seconds * 1000:g}ms"' for name, seconds in intervals_s.items()),
    ]
    return "\n".join(lines)


def total(page: list[str], name: str) -> float:
    return sum(number(line) for line in page if line.startswith(f"astrbot_probe_{name}_total{{"))


def value(page: list[str], name: str, probe: str | None = None) -> float:
    wanted = "" if probe is None else f'probe="{probe}"'
    return next(
        number(line) for line in page if line.startswith(f"astrbot_probe_{name}{{") and wanted in line
    )


def number(line: str) -> float:
    return float(line.rsplit(" ", 1)[1])


if __name__ == "__main__":
    sys.exit(main())
