"""The tally of a running test -> one line of progress: rewritten on a terminal, one every 5 s elsewhere."""

import shutil
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TextIO

import gevent

from astrometer.im.im_turn import OPERATION as IN_MESSENGER
from astrometer.line_fold import fitted
from astrometer.measure.tally.histogram import Histogram
from astrometer.units import format_duration

if TYPE_CHECKING:
    from astrometer.load.run.run import Run

TERMINAL_STEP_S = 1.0
PLAIN_STEP_S = 5.0

_SHORT = {"ttft": "ttft", "reply_first": "reply"}


class ProgressLine:
    """Prints while the test runs. In a distributed test it shows what the workers have reported so far."""

    def __init__(self, run: "Run", user_count: Callable[[], int], out: TextIO | None = None) -> None:
        self._run = run
        self._user_count = user_count
        self._out = out if out is not None else sys.stderr
        self._terminal = self._out.isatty()
        self._greenlet: Any = None
        self._ended_before = 0

    def start(self) -> None:
        self._greenlet = gevent.spawn(self._loop)

    def stop(self) -> None:
        if self._greenlet is not None:
            self._greenlet.kill(block=False)
            self._greenlet = None
            self._print(TERMINAL_STEP_S if self._terminal else PLAIN_STEP_S)
            if self._terminal:
                self._out.write("\n")
                self._out.flush()

    def _loop(self) -> None:
        step_s = TERMINAL_STEP_S if self._terminal else PLAIN_STEP_S
        while True:
            gevent.sleep(step_s)
            self._print(step_s)

    def _print(self, step_s: float) -> None:
        if self._terminal:
            # A line that wraps cannot be rewritten: each second would leave a row of it behind.
            width = shutil.get_terminal_size().columns - 1
            self._out.write(f"\r\x1b[2K{self.line(step_s, width)}")
        else:
            self._out.write(f"{self.line(step_s)}\n")
        self._out.flush()

    def line(self, step_s: float, width: int | None = None) -> str:
        """`0m 25s  20 users  started 118  ok 97  failed 1  ttft p50 312 ms (n=97)  4.1/s`, whole parts."""
        started, ended, ok = 0, 0, 0
        first = {name: Histogram() for name in ("ttft", "reply_first")}
        waited_for = set()
        for key, stats in self._run.tally.counted.items():
            waited_for.add("reply_first" if key.operation == IN_MESSENGER else "ttft")
            started += stats.started
            ended += stats.outcomes.total()
            ok += stats.outcomes["ok"]
            for name, merged in first.items():
                if name in stats.ok:
                    merged.merge(stats.ok[name])
        rate = (ended - self._ended_before) / step_s
        self._ended_before = ended
        minutes, seconds = divmod(int(self._run.clock.elapsed_s), 60)
        users = self._user_count()
        parts = [
            f"{minutes}m {seconds:02d}s" + (" draining" if self._run.is_over else ""),
            f"{users} user" if users == 1 else f"{users} users",
            f"started {started}",
            f"ok {ok}",
            f"failed {ended - ok}",
            *(
                f"{_SHORT[name]} p50 {format_duration(merged.percentile(50))} (n={merged.n})"
                for name, merged in first.items()
                if merged.n or name in (waited_for or {"ttft"})
            ),
            f"{rate:.1f}/s",
        ]
        if width is None:
            return "  ".join(parts)
        return fitted(parts, width, expendable=(f"started {started}", parts[-1]))
