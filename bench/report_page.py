"""A results file of a million exchanges -> how large its report is, and what a browser needs to show it.

    python bench/report_page.py [--rounds 5]

Eight hours of a mixed run are made, not measured. A new Chromium opens the report, and says when it was
loaded. What its renderers took of CPU counts their own begin, parsing, style, layout and paint. PASS: that is
below 2 s, so that the page opens in less where a core is free. The wall time is told besides: others use this
machine.
"""

import itertools
import json
import math
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import psutil
from programs import bench_parser, verdict
from websockets.sync.client import connect

from astrometer.api.call_exchange import CallResult
from astrometer.api.chat.chat_turn import ChatTurn
from astrometer.api.outcome import Outcome
from astrometer.api.timings import Timings
from astrometer.measure.results import document
from astrometer.measure.results.run_info import RunInfo
from astrometer.measure.slo.slo_parser import parse_objectives
from astrometer.measure.tally.tally import Tally
from astrometer.measure.tally.windows import Window
from astrometer.report.html import render_html

MADE, TIMES = 20_000, 50
LENGTH_S = 8 * 3600.0
CALLS = ("uploads", "im_bursts", "reads")
FAILURES = (Outcome.STALLED, Outcome.RATE_LIMITED, Outcome.RESET, Outcome.SERVER_ERROR)
LIMIT_S = 2.0


def main() -> int:
    parser = bench_parser(__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    results = made()
    began_s = time.process_time()
    html = render_html(results)
    print(
        f"{results['turns']['started']:,} exchanges: {len(html) / 1e6:.2f} MB, "
        f"{len(re.findall('<[a-z]', html)):,} elements, made in {time.process_time() - began_s:.1f} s of CPU"
    )
    with tempfile.TemporaryDirectory(prefix="astrometer-report-") as text:
        page = Path(text) / "report.html"
        page.write_text(html, "utf-8")
        rounds = [opened(page, Path(text) / f"profile{number}") for number in range(options.rounds)]
    middle = {name: statistics.median(one[name] for one in rounds) for name in rounds[0]}
    print(
        f"opened {options.rounds} times, medians: loaded after {middle['loaded_s']:.2f} s, "
        f"CPU of the renderers {middle['load_cpu_s']:.2f} s until then, {middle['cpu_s']:.2f} s until it was "
        f"painted; {middle['elements']:,.0f} elements"
    )
    return verdict({f"CPU of the renderer below {LIMIT_S:g} s": middle["cpu_s"] < LIMIT_S})


def made() -> dict[str, Any]:
    """The results of a run that nobody made: its exchanges, many times."""
    chance = random.Random(1)
    one, whole = (Tally(window=Window(excluded_s=60.0)) for _ in range(2))
    for number in range(MADE):
        t_s = LENGTH_S * number / MADE
        name = "chat" if number % 2 else CALLS[number // 2 % len(CALLS)]
        outcome = Outcome.OK if chance.random() > 0.01 else chance.choice(FAILURES)
        one.started(name, name, t_s)
        one.finished(name, name, t_s, chat(chance, outcome) if name == "chat" else call(chance, outcome))
    wire = one.encode()
    for _ in range(TIMES):
        whole.add_wire(wire)
    facts = RunInfo(
        scenario="mixed", url="http://127.0.0.1:6185", start=1.7e9, duration_s=LENGTH_S, excluded_s=60.0,
        users=200, version="4.29.3", kind="astrbot", command=("locust", "-f", "mixed.py"),
        objectives=parse_objectives(["ttft_p95 < 2s", "e2e_p95 < 5s", "errors < 2%"]),
    )  # fmt: skip
    return document.build(whole, facts)


def chat(chance: random.Random, outcome: Outcome) -> ChatTurn:
    first_s = 0.3 * math.exp(chance.gauss(0, 0.4))
    gaps_s = tuple(0.02 * math.exp(chance.gauss(0, 0.5)) for _ in range(20))
    last_s = first_s + sum(gaps_s)
    timings = Timings(
        t_intended=0.0, t_send=0.0, t_event1=0.01, t_run_started=0.02, t_token1=first_s, t_text1=first_s,
        t_tokenN=last_s, t_terminal=last_s + 0.01, chunk_gaps_s=gaps_s, server_ttft_s=first_s * 0.8,
        output_tokens=21, streamed=True,
    )  # fmt: skip
    return ChatTurn(outcome=outcome, timings=timings)


def call(chance: random.Random, outcome: Outcome) -> CallResult:
    duration_s = 0.05 * math.exp(chance.gauss(0, 0.6))
    return CallResult(outcome=outcome, duration_s=duration_s, bytes_sent=10, bytes_received=20)


def opened(page: Path, profile: Path) -> dict[str, float]:
    """A new browser opens it, and is asked what that took."""
    command = [
        *("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars"),
        *("--remote-debugging-port=0", "--window-size=1280,900", f"--user-data-dir={profile}", "about:blank"),
    ]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as browser:
        try:
            return _measured(page, _debugged(profile), psutil.Process(browser.pid))
        finally:
            browser.terminate()


def _debugged(profile: Path) -> str:
    """The address of its only page."""
    told = profile / "DevToolsActivePort"
    give_up = time.monotonic() + 60
    while time.monotonic() < give_up:
        if told.exists() and told.read_text("utf-8").strip():
            port = told.read_text("utf-8").splitlines()[0]
            pages = httpx.get(f"http://127.0.0.1:{port}/json/list", trust_env=False, timeout=30).json()
            found = [one["webSocketDebuggerUrl"] for one in pages if one["type"] == "page"]
            if found:
                return str(found[0])
        time.sleep(0.1)
    raise TimeoutError("Chromium did not begin")


def _measured(page: Path, address: str, browser: psutil.Process) -> dict[str, float]:
    numbers = itertools.count(1)
    with connect(address, max_size=None, proxy=None) as link:

        def ask(method: str, **parameters: object) -> dict[str, Any]:
            number = next(numbers)
            link.send(json.dumps({"id": number, "method": method, "params": parameters}))
            while (answer := json.loads(link.recv(timeout=120))).get("id") != number:
                pass
            result: dict[str, Any] = answer["result"]
            return result

        ask("Page.enable")
        ask("Page.navigate", url=page.as_uri())
        while json.loads(link.recv(timeout=120)).get("method") != "Page.loadEventFired":
            pass
        loaded = cpu_s(browser)
        ask("Page.captureScreenshot")  # when it is there, it is painted
        painted = cpu_s(browser)
        timing = "JSON.stringify(performance.getEntriesByType('navigation')[0])"
        told = json.loads(ask("Runtime.evaluate", expression=timing)["result"]["value"])
        nodes = ask("Runtime.evaluate", expression="document.querySelectorAll('*').length")
    return {
        "loaded_s": told["loadEventEnd"] / 1000,
        "load_cpu_s": loaded,
        "cpu_s": painted,
        "elements": nodes["result"]["value"],
    }


def cpu_s(browser: psutil.Process) -> float:
    """Of all renderers, since they began."""
    spent = 0.0
    for process in browser.children(recursive=True):
        with suppress(psutil.Error):
            if "--type=renderer" in process.cmdline():
                times = process.cpu_times()
                spent += times.user + times.system
    return spent


if __name__ == "__main__":
    sys.exit(main())
