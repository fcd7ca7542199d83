"""Synthetic chats, driven byte by byte through the real `ChatExchange` and tallied -> results files."""

import io
import json
import random
import re
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import cache

import pytest
from rich.console import Console

from astrometer.api.call_exchange import CallResult, UploadTimes
from astrometer.api.chat.chat_exchange import ChatExchange, Deadlines
from astrometer.api.chat.chat_turn import ChatTurn
from astrometer.api.outcome import Outcome
from astrometer.im.im_exchange import ImDeadlines, ImExchange, ImQuestion
from astrometer.im.im_turn import ImTurn, MatchedBy
from astrometer.im.reply_content import ReplyContent
from astrometer.measure.delivery import Arrival, Observed, Push, match, record
from astrometer.measure.results import document as results_file
from astrometer.measure.results.run_info import BusiestHourLoad, Usernames
from astrometer.measure.server_pulse import ServerPulse
from astrometer.measure.server_usage import ServerUsage
from astrometer.measure.slo.objectives import goals, scenario_goals
from astrometer.measure.slo.run_verdict import Stop
from astrometer.measure.slo.slo_parser import parse_objectives
from astrometer.measure.slo.validity import GeneratorHealth, OpenArrivals
from astrometer.measure.tally.tally import Tally
from astrometer.measure.tally.windows import Window
from astrometer.report.html import render_html
from astrometer.report.summary import render_summary
from astrometer.report.table import render

START = 1_700_000_003.2
DEADLINES = Deadlines(first_token_s=10, idle_s=5, total_s=60)
REPLIES = ImDeadlines(reply_s=10, quiet_s=4)


def event(type_: str, **more: object) -> bytes:
    return b"data: " + json.dumps({"type": type_, **more}).encode() + b"\n\n"


@dataclass
class Speaker:
    """Plays one server. Times are what the chat is told they are: nothing waits."""

    rng: random.Random
    slowness: float = 1.0

    def chat(self, *, fails: str | None = None, streaming: bool = True) -> ChatTurn:
        exchange = ChatExchange(streaming=streaming, deadlines=DEADLINES)
        t = 1000.0
        exchange.sent(t)
        if fails == "connect":
            exchange.lost(t + 0.01, Outcome.CONNECT, "refused")
            return exchange.result()
        t += self.rng.uniform(0.003, 0.008)
        if fails == "rate_limited":
            exchange.headers(t, 429, "application/json")
            exchange.feed(t, b'{"status":"error","message":"slow down"}')
            exchange.eof(t)
            return exchange.result()
        exchange.headers(t, 200, "text/event-stream")
        exchange.feed(t, event("session_id", session_id="s"))
        exchange.feed(t + 0.002, event("run_started", data={"run_id": "r"}))
        ttft_s = self.rng.lognormvariate(-1.5, 0.35) * self.slowness
        t += ttft_s
        words = self.rng.randint(8, 60)
        if streaming:
            for index in range(words):
                exchange.feed(t, event("plain", data=f"w{index} ", streaming=True, chain_type=None))
                t += self.rng.lognormvariate(-3.9, 0.5)
                if fails == "reset" and index == 5:
                    exchange.lost(t, Outcome.RESET, "connection reset")
                    return exchange.result()
                if fails == "stalled" and index == 5:
                    exchange.expire(t + DEADLINES.idle_s)
                    return exchange.result()
        stats = {"token_usage": {"input_other": 40, "output": words}, "time_to_first_token": ttft_s - 0.004}
        exchange.feed(t, event("agent_stats", data=stats))
        if not streaming:
            exchange.feed(t, event("plain", data="whole", streaming=False))
        exchange.feed(t, event("complete", data="w0 w1"))
        exchange.feed(t + 0.003, event("end", data=""))
        exchange.eof(t + 0.004)
        return exchange.result()

    def call(self, *, fails: Outcome | None = None, file_bytes: int | None = None) -> CallResult:
        duration_s = self.rng.lognormvariate(-4.2, 0.5) * self.slowness
        upload = None
        if file_bytes is not None:
            took_s, accept_s = (None, None) if fails else (duration_s * 0.9, duration_s * 0.3)
            upload = UploadTimes(file_bytes=file_bytes, transfer_s=took_s, accept_s=accept_s)
        return CallResult(
            outcome=fails or Outcome.OK, duration_s=duration_s, bytes_sent=2048, status=200, upload=upload
        )

    def reply(self, *, parts: int = 1, silent: bool = False) -> ImTurn:
        """A question in a messenger; a further part comes 2 s after the one before it."""
        exchange = ImExchange(ImQuestion.of_text(1, "?"), message_id=1, t=1000.0, deadlines=REPLIES)
        t = 1000.0 + self.rng.lognormvariate(-1.0, 0.3) * self.slowness
        if silent:
            exchange.expire(1000.0 + REPLIES.reply_s)
            return exchange.result()
        for part in range(parts):
            exchange.reply(
                t + part * 2, t + part * 2, ReplyContent(text=f"part {part}"), MatchedBy.OUTSTANDING
            )
        exchange.expire(t + parts * 2 + REPLIES.quiet_s)
        return exchange.result()


@cache
def exchanges(seed: int, chats: int, calls: int, slowness: float) -> list[tuple[float, str, str, object]]:
    """(share of the run, scenario, operation, what happened), made once for all tests that want the same."""
    speaker = Speaker(random.Random(seed), slowness)
    made: list[tuple[float, str, str, object]] = []
    for index in range(chats):
        fails = {11: "stalled", 37: "reset", 59: "rate_limited"}.get(index % 97)
        streaming = index % 10 != 0
        scenario = "sessions" if index % 4 == 0 else "chat"
        operation = "chat stream" if streaming else "chat whole"
        made.append((index / chats, scenario, operation, speaker.chat(fails=fails, streaming=streaming)))
    for index in range(calls):
        scenario, operation = [("uploads", "upload"), ("im", "push"), ("reads", "sessions page")][index % 3]
        failed = Outcome.FORBIDDEN if index % 101 == 50 else None
        size = (300, 600_000, 3_000_000, 20_000_000)[index % 4] if operation == "upload" else None
        made.append((index / calls, scenario, operation, speaker.call(fails=failed, file_bytes=size)))
        if scenario == "uploads" and index % 9 == 0:
            made.append((index / calls, scenario, "chat about it", speaker.chat()))
    return made


def fill(tally: Tally, *, seed: int, chats: int, calls: int, duration_s: float, slowness: float) -> None:
    for share, scenario, operation, done in exchanges(seed, chats, calls, slowness):
        t_s = duration_s * share
        tally.started(scenario, operation, t_s)
        tally.finished(scenario, operation, t_s, done)


def write(tally: Tally, speaker: Speaker, *, replies: int, duration_s: float, silent: bool) -> None:
    """People in a messenger: one in twenty gets no answer (`silent`: nobody does), and one in ten an answer
    in three parts.
    """
    for index in range(replies):
        t_s = duration_s * index / replies
        turn = speaker.reply(parts=3 if index % 10 == 4 else 1, silent=silent or index % 20 == 9)
        tally.started("im_chat", "im_chat", t_s)
        tally.finished("im_chat", "im_chat", t_s, turn)


def make_results(  # the knobs of a run, as a test thinks of them
    *,
    chats: int = 1500,
    calls: int = 1200,
    replies: int = 0,
    silent: bool = False,
    slos: tuple[str, ...] = ("ttft_p95 < 1s", "errors < 5%", "goodput > 90%"),
    duration_s: float = 30.0,
    excluded_s: float = 0.0,
    scenario: str = "mixed",
    url: str = "http://127.0.0.1:6185",
    version: str | None = "4.29.3",
    slowness: float = 1.0,
    generator: GeneratorHealth | None = None,
    im_delivery: Observed | None = None,
    arrivals: OpenArrivals | None = None,
    stages: tuple[results_file.LoadStage, ...] = (),
    stop: Stop | None = None,
    messenger: Mapping[str, int] | None = None,
    server: ServerUsage | None = None,
    pulse: ServerPulse | None = None,
    workload: BusiestHourLoad | None = None,
    command: tuple[str, ...] = ("astrometer", "load", "mixed", "--users", "20", "--slo", "ttft_p95 < 1s"),
) -> dict:
    """A whole results file, through the same code as a real run."""
    objectives = parse_objectives(slos)
    tally = Tally(
        goals(objectives),
        window=Window(excluded_s=excluded_s),
        stages=[stage.start_s for stage in stages],
        scenario_goals=scenario_goals(objectives),
        judged=[objective.metric for objective in objectives],
    )
    fill(tally, seed=7, chats=chats, calls=calls, duration_s=duration_s, slowness=slowness)
    write(tally, Speaker(random.Random(7), slowness), replies=replies, duration_s=duration_s, silent=silent)
    info = results_file.RunInfo(
        scenario=scenario,
        url=url,
        start=START,
        duration_s=duration_s,
        excluded_s=excluded_s,
        version=version,
        users=20,
        command=command,
        environment={"python": "3.11.2", "locust": "2.47.0", "platform": "Linux", "cpus": "2"},
        objectives=objectives,
        arrivals=arrivals,
        profile="10:10s,40:20s" if stages else None,
        stages=stages,
        stop=stop,
        messenger=messenger,
        server=server,
        pulse=pulse,
        workload=workload,
        names=Usernames(run_id="a1b2c3", prefix="astrometer", users=[(20, 0)]),
        generator=generator
        or GeneratorHealth(
            loop_lag_p99_s=0.0042, loop_lag_max_s=0.0113, cpu_max=0.41, schedule_lag_p99_s=0.0009
        ),
    )
    if im_delivery is not None:
        record(tally, im_delivery.report.matches, "push")
    return results_file.build(tally, info, im_delivery)


def watch_pushes(*, pushes: int = 240, lose_every: int = 5, **known: object) -> Observed:
    """Bursts of 12 pushes, one in the second to every friend; every Nth is lost. None is out of order."""
    sent = [
        Push(
            scenario="im",
            umo=f"onebot:FriendMessage:{number % 3}",
            token=f"im-r-{number // 12}-{number}",
            t_s=number / 10,
            t_sent=number / 10,
            t_done=number / 10 + 0.08,
            accepted=True,
        )
        for number in range(pushes)
    ]
    kept = [push for number, push in enumerate(sent, 1) if number % lose_every]
    arrivals = [Arrival(umo=push.umo, token=push.token, t=push.t_sent + 0.075) for push in kept]
    return Observed(report=match(sent, arrivals), **known)


@pytest.fixture(scope="session")
def watched():
    return watch_pushes


@pytest.fixture(scope="session")
def make(passed):
    """`make_results`; what it gives without arguments is made once."""
    return lambda **known: make_results(**known) if known else deepcopy(passed)


@pytest.fixture(scope="session")
def staged() -> dict:
    """A run of two steps."""
    return make_results(
        stages=(
            results_file.LoadStage(name="step 1", start_s=0, end_s=10, peak=10),
            results_file.LoadStage(name="step 2", start_s=10, end_s=30, peak=40),
        )
    )


@pytest.fixture(scope="session")
def passed() -> dict:
    return make_results()


@pytest.fixture(scope="session")
def failed() -> dict:
    return make_results(slowness=4.0)


@pytest.fixture(scope="session")
def invalid() -> dict:
    return make_results(
        generator=GeneratorHealth(
            loop_lag_p99_s=0.084, loop_lag_max_s=0.4, cpu_max=0.97, schedule_lag_p99_s=0.2, lost_workers=1
        )
    )


@pytest.fixture(scope="session")
def empty() -> dict:
    """A run in which nothing was ever started."""
    return make_results(chats=0, calls=0, slos=())


@pytest.fixture(scope="session")
def tiny() -> dict:
    """Too few samples for most percentiles."""
    return make_results(chats=30, calls=24, slos=("ttft_p95 < 1s",), duration_s=8.0)


@pytest.fixture
def visible():
    """HTML -> the text that a reader sees."""

    def text_of(html: str) -> str:
        body = re.sub(r"<(style|title|head)\b.*?</\1>", " ", html, flags=re.DOTALL)
        return " ".join(re.sub(r"<[^>]+>", " ", body).split())

    return text_of


@pytest.fixture
def everywhere(visible):
    """Results -> what the terminal, the page and the summary say of them, each as one line of text."""

    def shown(results):
        out = io.StringIO()
        Console(file=out, width=250, color_system=None).print(render(results))
        for text in (out.getvalue(), visible(render_html(results)), render_summary(results)):
            yield re.sub(r"\\(.)", r"\1", " ".join(text.split()))

    return shown
