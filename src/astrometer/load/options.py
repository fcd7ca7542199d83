"""The options of a run, each declared once: a field of `Settings`.

From these fields are made: Locust's arguments and their environment variables (`add_arguments`), the options
of `astrometer load`, `capacity` and `release` (`cli.shared.run_options`), the settings of a run
(`Settings.of`), and the docs. To add one: CONTRIBUTING.md, "An option of a load run".

The key is not an option: arguments show in process lists and in the web UI. It comes from ASTRBOT_API_KEY, or
from the file that --astrbot-key-file (ASTRBOT_API_KEY_FILE) names.
"""

import argparse
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import Any, get_args

from astrometer.api.chat.chat_exchange import DEADLINES, Deadlines
from astrometer.api.endpoints import Scope
from astrometer.config.secret import Secret
from astrometer.config.settings import ConfigError
from astrometer.config.target_access import target_from_options
from astrometer.im.im_exchange import IM_DEADLINES, ImDeadlines
from astrometer.load.corpus import Corpus, CorpusError
from astrometer.load.option_table import (
    Option,
    OptionError,
    duration,
    listed,
    number,
    one_of,
    option,
    or_none,
    positive_duration,
    raw_text,
    switch,
    text,
    texts,
    whole,
)
from astrometer.load.schedule.arrivals import Process
from astrometer.load.schedule.profile import Profile
from astrometer.load.schedule.profile_parser import EXAMPLES
from astrometer.load.token_budget import TokenBudget
from astrometer.load.workload.replay import ANSWER_TOKENS
from astrometer.load.workload.workload_file import Workload, WorkloadError
from astrometer.load.workload.workload_file import read as read_workload
from astrometer.measure.capacity.search_settings import (
    MAX_RATE_FACTOR,
    MAX_USERS,
    PRECISION,
    REPEATS,
    STEP_S,
    Level,
    Model,
    SearchError,
    SearchSettings,
    search_between,
)
from astrometer.measure.capacity.search_window import is_searchable
from astrometer.measure.records import record_files
from astrometer.measure.slo.slo_parser import Objective, parse_objectives
from astrometer.measure.tally.stalls import THRESHOLD_S as STALL_THRESHOLD_S
from astrometer.units import parse_percent
from astrometer.wire.tls import VARIABLES, TlsSettings, to_environment

# One key may do for everything; a key of its own for a scope is asked for first. `astrometer load --target`
# fills these from the config.
SCOPE_VARIABLES = {scope: f"ASTRBOT_{scope.upper()}_SCOPE_KEY" for scope in get_args(Scope)}
NO_KEY = (
    "no API key: set ASTRBOT_API_KEY, or ASTRBOT_API_KEY_FILE (--astrbot-key-file) to a file that holds it"
)
NOT_JUDGED = "none"  # what --slo says when a run shall not be judged, whatever comes of it
CALL_TIMEOUT_S = 30.0
LEAST_RATE = 0.2  # of a search with `--workload`: with less a window has too few samples

_CAPACITY = ("capacity",)
_OWN = ()  # set by the commands themselves
SEARCH_CHOOSES = "a search for the capacity chooses the load itself: use --start and --max"


class ChatTransport(StrEnum):
    """The ways to chat with an AstrBot: the two of its API, and a messenger."""

    SSE = "sse"
    WS = "ws"
    MESSENGER = "messenger"


@dataclass(frozen=True, slots=True, kw_only=True)
class Slo:
    """What --slo says. `waived`: a run is not a failure even when nothing succeeded."""

    objectives: tuple[Objective, ...] = ()
    waived: bool = False


def _slo(given: Any) -> Slo:
    said = texts(given)
    if [item.strip() for item in said] == [NOT_JUDGED]:
        return Slo(waived=True)
    if any(item.strip() == NOT_JUDGED for item in said):
        raise ValueError(f"'{NOT_JUDGED}' cannot be combined with an objective")
    return Slo(objectives=tuple(parse_objectives(said)))


@dataclass(frozen=True, slots=True)
class WarmUp:
    """What --warmup says. `is_found`: how long it was is found when the run is over."""

    least_s: float
    is_found: bool = False

    @classmethod
    def parse(cls, given: Any) -> "WarmUp":
        """`30s`, `auto`, `auto:30s`. Raises ValueError."""
        if isinstance(given, WarmUp):
            return given
        word, _, least = str(given).strip().partition(":")
        if word != "auto":
            return cls(duration(given))
        return cls(duration(least) if least else 0.0, is_found=True)

    def __str__(self) -> str:
        time = _seconds(self.least_s)
        return time if not self.is_found else f"auto:{time}" if self.least_s else "auto"


def _seconds(value: float) -> str:
    return f"{value:g}s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the users of a run go by. Times in seconds."""

    # A table: flag, reader, default and what else it is, then its help.
    # fmt: off
    # What is measured and judged.
    slo: Slo = option(
        "--slo", _slo, [], metavar="EXPR", of_one_run=True,
        help="Objective that must hold: 'ttft_p95 < 2s', or of one scenario 'chat: e2e_p99 < 30s'. "
        "Repeatable (web UI: separated by commas). Without one, a run fails only when nothing succeeded; "
        "'none': not even then.",
    )
    abort_after_s: float | None = option(
        "--abort-on-fail", or_none(duration), "", metavar="TIME", needs="slo",
        refused={"capacity": "a search exceeds its objectives on purpose"},
        help="End the run as soon as an objective is missed, this long after the warm-up at the earliest "
        "(0s: at once). Without this a run continues to its end.",
    )
    budget_tokens: int = option(
        "--budget-tokens", whole(0), 0, metavar="N",
        help="End the run when the server has counted this many tokens, input and output, in all its chats. "
        "A reply in a messenger counts 1,750, as its tokens are not told. Running turns may finish. "
        "0: no limit.",
    )
    warmup: WarmUp = option(
        "--warmup", WarmUp.parse, "0s", metavar="TIME|auto",
        refused={"capacity": "each window of a search has its own: use --settle"}, of_plan=True,
        help="Turns that begin this early are counted apart: no percentile, rate or objective holds them. "
        "`astrometer load` and `release` add their ramp-up. auto: its end is found when the run is over, by "
        "the precision of the times and never by their size; needs a run of two minutes or more. auto:30s: "
        "at least so much.",
    )
    drift_ok: bool = option(
        "--drift-ok", switch, False, commands=("load",),
        help="A run that is not steady (times or failures that rise or fall) is judged all the same. Without "
        "this it is DRIFTING instead of PASS, exit code 3. Looked for in runs of two minutes and more.",
    )
    stall_threshold_s: float = option(
        "--stall-threshold", positive_duration, _seconds(STALL_THRESHOLD_S), metavar="TIME",
        help="A pause within an answer that is longer than this is a stall.",
    )

    # How much load.
    shape: Profile | None = option(
        "--shape, --stages", or_none(Profile.parse), "", metavar="SHAPE",
        refused={"capacity": SEARCH_CHOOSES}, of_plan=True,
        help="Users over time, instead of users, spawn rate and run time: "
        f"{', '.join(repr(example) for example in EXAMPLES.values())}. 5/s instead of 5 users is a rate of "
        "arrivals (open model). Each stage has its own numbers in the report.",
    )
    rate_unit: float = option(
        "--rate-unit", number(0), 0.0, metavar="PER_SECOND", in_web_form=True, commands=_OWN,
        help="Open model: each Locust user stands for this many arrivals per second, whether or not earlier "
        "ones are done, so that users steer a rate. 0: closed model, a user waits for its answers.",
    )
    arrivals: Process = option(
        "--arrivals", one_of(Process), Process.POISSON.value,
        choices=tuple(process.value for process in Process), help="Open model: how arrivals are spaced.",
    )
    arrival_seed: int = option(
        "--arrival-seed", whole(0), 1, metavar="N", of_one_run=True,
        help="Open model: with the same seed arrivals come at the same times and choose the same tasks, "
        "transitions and pauses.",
    )
    max_in_flight: int = option(
        "--max-in-flight", whole(1), 1000, metavar="N",
        help="Open model: arrivals that may run at once in a load process; further ones are dropped and "
        "counted.",
    )

    # What is asked, and how.
    prompts: str = option(
        "--prompts", raw_text, "", metavar="FILE.jsonl", in_web_form=False,
        help='File of prompts to send: a JSON object {"prompt": "..."} per line. [the built-in prompts]',
    )
    workload_file: str = option(
        "--workload", raw_text, "", metavar="FILE.toml", in_web_form=False,
        help="What people do who chat, or write in a messenger: conversations, pauses and sizes of questions "
        "that `astrometer learn` learnt from real traffic, instead of the scenario's own. In the open model "
        "an arrival is a conversation. {answer_tokens} in --prompt-suffix is the size of an answer there.",
    )
    prompt_suffix: str = option(
        "--prompt-suffix", raw_text, "", metavar="TEXT",
        help="Text added to every prompt, such as a directive for the stub model: '[[ttft=0.2 tokens=40]]'.",
    )
    session_turns: int = option(
        "--session-turns", whole(1), 1, metavar="N",
        help="Turns before a user opens a new session. 1: a new session per turn; each costs a second model "
        "call (the title) and leaves a session on the server for ever. More: the history grows with every "
        "turn, turns of one session wait for each other, and AstrBot holds a session back after 30 messages "
        "in 60 seconds (its default), silently, for up to a minute.",
    )
    whole_answer_percent: float = option(
        "--whole-answer-percent", number(0, 100), 10.0, metavar="PERCENT",
        help="Percentage of chats that ask for the whole answer at once (not streamed, so without a TTFT).",
    )
    transport: ChatTransport = option(
        "--transport", one_of(ChatTransport), ChatTransport.SSE.value,
        choices=tuple(transport.value for transport in ChatTransport),
        help="How chats are asked: a request for each (sse), over a WebSocket that each user keeps open, "
        "whose key AstrBot checks once (ws; AstrBot 4.19.2 or later), or in a messenger (messenger; "
        "needs --messenger), where each session is a person of its own.",
    )
    stop_abandoned: bool = option(
        "--stop-abandoned", switch, False,
        help="After a timeout, ask the server to stop that chat (AstrBot 4.26 or later). Without this the "
        "server keeps generating an answer that nobody reads, as it does for real clients.",
    )

    # How long to wait.
    connect_timeout_s: float = option(
        "--connect-timeout", positive_duration, _seconds(DEADLINES.connect_s), metavar="TIME",
        help="How long to wait for a connection.",
    )
    first_token_timeout_s: float = option(
        "--first-token-timeout", positive_duration, _seconds(DEADLINES.first_token_s), metavar="TIME",
        help="How long to wait for the first token of a chat, from the send; heartbeats do not count.",
    )
    idle_timeout_s: float = option(
        "--idle-timeout", positive_duration, _seconds(DEADLINES.idle_s), metavar="TIME",
        help="How long to wait between two pieces of an answer; heartbeats do not count.",
    )
    total_timeout_s: float = option(
        "--total-timeout", positive_duration, _seconds(DEADLINES.total_s), metavar="TIME",
        help="How long to wait for a whole chat.",
    )
    call_timeout_s: float = option(
        "--call-timeout", positive_duration, _seconds(CALL_TIMEOUT_S), metavar="TIME",
        help="How long to wait for any other request.",
    )

    # A search for the capacity.
    searches: bool = option(
        "--capacity", switch, False, commands=_OWN,
        help="Search for the highest load at which every --slo holds, instead of users, spawn rate and run "
        "time.",
    )
    model: Model | None = option(
        "--model", or_none(one_of(Model)), "", choices=tuple(model.value for model in Model),
        variable="ASTROMETER_CAPACITY_MODEL", commands=_CAPACITY, of_plan=True,
        help="Capacity search: users who wait for their answers (closed), or arrivals per second, whether or "
        "not earlier ones are done (open). [closed, unless --start or --max is a rate]",
    )
    start: Level | None = option(
        "--start", or_none(Level.parse), "", metavar="N|N/s", variable="ASTROMETER_CAPACITY_START",
        commands=_CAPACITY, of_plan=True, help="Capacity search: the first load. [1 user, or 1/s]",
    )
    maximum: Level | None = option(
        "--max", or_none(Level.parse), "", metavar="N|N/s", variable="ASTROMETER_CAPACITY_MAX",
        commands=_CAPACITY, of_plan=True,
        help=f"Capacity search: the highest load to try. [{MAX_USERS} users, or {MAX_RATE_FACTOR} times "
        "--start]",
    )
    step_s: float = option(
        "--step-time", duration, _seconds(STEP_S), metavar="TIME", variable="ASTROMETER_CAPACITY_STEP_TIME",
        commands=_CAPACITY,
        help="Capacity search: time measured at each load; up to ten times longer where an objective needs "
        "more samples.",
    )
    settle_s: float | None = option(
        "--settle", or_none(duration), "", metavar="TIME", variable="ASTROMETER_CAPACITY_SETTLE",
        commands=_CAPACITY,
        help="Capacity search: time after each change of the load that is not measured. [a fifth of "
        "--step-time]",
    )
    precision: float = option(
        "--precision", parse_percent, f"{PRECISION:.0%}", metavar="PERCENT",
        variable="ASTROMETER_CAPACITY_PRECISION", commands=_CAPACITY,
        help="Capacity search: stop when the lowest failing load is at most this much above the highest "
        "passing one.",
    )
    repeats: int = option(
        "--repeats", whole(1), REPEATS, metavar="N", variable="ASTROMETER_CAPACITY_REPEATS",
        commands=_CAPACITY,
        help="Capacity search: windows at the boundary, of which the majority decides; an odd number.",
    )

    model_status: str = option(
        "--model-status", text, "", metavar="URL", commands=("load", "capacity"), in_web_form=False,
        of_one_run=True,
        help="Where the model says how many requests it works on: /metrics of vLLM or SGLang, /stub/stats of "
        "the sandbox. The results say when it had as many as AstrBot ever sends at once (100). In a capacity "
        "search no window begins before the model is idle, too.",
    )

    # Messages to people in a messenger.
    umos: tuple[str, ...] = option(
        "--umos", listed, "", metavar="UMO,UMO",
        help="Destinations of IM messages, platform:MessageType:session. [three sessions of webchat, where "
        "nobody is disturbed]",
    )
    messenger: tuple[str, ...] = option(
        "--messenger", listed, "", metavar="URL,URL", variable="ASTRBOT_MESSENGER_URL",
        commands=("load", "capacity"), in_web_form=False, of_one_run=True,
        help="Where people in a messenger reach the bot: ws://HOST:PORT/ws of an aiocqhttp adapter that "
        "nobody else uses (`sandbox` and `sim` offer one with --messenger). With --processes, one for each: "
        "up to AstrBot 4.25 two processes cannot share an adapter. The token of all is in "
        "ASTRBOT_MESSENGER_TOKEN, or in the file ASTRBOT_MESSENGER_TOKEN_FILE.",
    )
    reply_quiet_s: float = option(
        "--reply-quiet", duration, _seconds(IM_DEADLINES.quiet_s), metavar="TIME",
        help="A reply in a messenger is complete when nothing more came for so long. 0s: it is one message, "
        "as it is when AstrBot splits no answers.",
    )
    im_sink: str = option(
        "--im-sink", text, "", metavar="URL", commands=("load", "capacity"), in_web_form=False,
        of_one_run=True,
        help="Where to read what IM pushes delivered: the sink_url of `astrometer sandbox --im-sink` or "
        "`astrometer sim --im-sink`. Messages go to friends and groups there unless --umos says otherwise. "
        "Must be on the machine of the load generators: latency is measured with one clock.",
    )

    # Names, files and pages.
    server_pid: int | None = option(
        "--server-pid", or_none(whole(1)), "", metavar="PID", commands=("load", "capacity"),
        in_web_form=False, of_one_process=True,
        help="Process of the AstrBot that is loaded, on this machine: its memory, CPU, threads, open files, "
        "database and log are sampled once a second. [if the target is a sandbox of this machine, its own]",
    )
    user_prefix: str = option(
        "--run-user-prefix", text, "astrometer", metavar="NAME", variable="ASTROMETER_USER_PREFIX",
        in_web_form=False, of_one_run=True,
        help="AstrBot usernames are NAME-<run>-<number>. Must not make an administrator's name.",
    )
    username: str | None = option(
        "--run-username", or_none(text), "", metavar="NAME", in_web_form=False, of_plan=True,
        help="One AstrBot username for all users, such as api_key:ID, whose sessions that key may delete "
        "(--deletable finds it out).",
    )
    # every command that has a target takes it
    key_file: str = option(
        "--astrbot-key-file", raw_text, "", metavar="FILE", variable="ASTRBOT_API_KEY_FILE", commands=_OWN,
        of_one_process=True, help="File that holds the API key, unless ASTRBOT_API_KEY is set.",
    )
    ca_file: Path | None = option(
        "--ca-file", or_none(Path), "", metavar="FILE", variable=VARIABLES["ca_file"], commands=_OWN,
        of_one_process=True,
        help="Certificates (PEM) to trust for https://, besides the system's and SSL_CERT_FILE.",
    )
    client_cert: Path | None = option(
        "--client-cert", or_none(Path), "", metavar="FILE", variable=VARIABLES["client_cert"], commands=_OWN,
        of_one_process=True, help="Client certificate (PEM) for a server that asks for one.",
    )
    client_key: Path | None = option(
        "--client-key", or_none(Path), "", metavar="FILE", variable=VARIABLES["client_key"], commands=_OWN,
        of_one_process=True, help="Its key (PEM, without a password), unless it is in --client-cert.",
    )
    insecure_skip_verify: bool = option(
        "--insecure-skip-verify", switch, False, variable=VARIABLES["insecure_skip_verify"], commands=_OWN,
        of_one_process=True,
        help="Do not verify the server's certificate: anybody in between can read the key. Reports say so.",
    )
    out: Path | None = option(
        "--astrometer-out", or_none(Path), "", metavar="DIR", commands=_OWN, of_one_process=True,
        help="Directory for results.json, written when the test stops; the next test overwrites it.",
    )
    journal: Path | None = option(
        "--astrometer-journal", or_none(Path), "", metavar="FILE", commands=_OWN, of_one_process=True,
        help="File to note the run's names in, for `astrometer clean`.",
    )
    progress: bool = option(
        "--astrometer-progress", switch, False, commands=_OWN, of_one_process=True,
        help="Print one line of progress to stderr while the test runs.",
    )
    check: bool = option(
        "--astrometer-check", switch, False, commands=_OWN, of_one_process=True,
        help="Start nothing and send nothing: check the arguments, and print as JSON which scenarios and "
        "objectives a run would have.",
    )
    records: Path | None = option(
        "--records", or_none(record_files.named), "", metavar="FILE", commands=("load", "capacity"),
        in_web_form=False, of_one_run=True,
        help="File with one line for each exchange: its times, outcome, user, session, sizes and tokens; no "
        "texts. Ends in .jsonl, .jsonl.gz or .parquet (extra parquet). The next test overwrites it.",
    )
    records_text: bool = option(
        "--records-text", switch, False, commands=("load", "capacity"), in_web_form=False, of_one_run=True,
        needs="records",
        help="--records keeps texts, too: answers, reasoning, and what was wrong in the server's words.",
    )
    metrics_port: int = option(
        "--astrometer-metrics-port", whole(0), 0, metavar="PORT", of_one_process=True,
        help="Serve Prometheus metrics of the running test at http://HOST:PORT/metrics, on the master of a "
        "distributed one. 0: no. The web UI has them at /metrics in any case.",
    )
    metrics_host: str = option(
        "--astrometer-metrics-host", text, "127.0.0.1", metavar="HOST", of_one_process=True,
        needs="metrics_port",
        help="Address for --astrometer-metrics-port to listen on.",
    )
    allowed_hosts: tuple[str, ...] = option(
        "--astrometer-allowed-host", listed, "", metavar="NAME,NAME", of_one_process=True,
        refused={"release": "its runs have no web UI"},
        help="Names under which browsers may use the web UI, besides the address that it listens on, such as "
        "that of a reverse proxy. Any other name is refused, since a web page can make its own name lead "
        "here.",
    )
    version: str | None = option(
        "--target-version", or_none(text), "", metavar="VERSION", in_web_form=False,
        commands=("load", "capacity"), of_plan=True, of_one_run=True,
        help="AstrBot's version, noted in results.json. [asked before the run]",
    )
    kind: str | None = option(
        "--target-kind", or_none(text), "", metavar="KIND", commands=_OWN, of_one_run=True,
        help="astrbot or simulator, noted in results.json.",
    )
    # fmt: on

    @classmethod
    def of(cls, options: Any) -> "Settings":
        """From Locust's parsed options; the web form may have put text where numbers were.

        Raises OptionError.
        """
        return cls._checked(
            {name: entry.value_of(getattr(options, entry.dest)) for name, entry in OPTIONS.items()}
        )

    @classmethod
    def given(cls, values: Mapping[str, Any]) -> "Settings":
        """From values, or texts of them, by the names of the fields. Raises OptionError."""
        return cls._checked({name: OPTIONS[name].value_of(value) for name, value in values.items()})

    @classmethod
    def _checked(cls, values: Mapping[str, Any]) -> "Settings":
        settings = cls(**values)
        settings._check_needs()
        settings._check_workload()
        settings._check_warm_up()
        if settings.searches:
            settings._check_search()
        return settings

    def _check_needs(self) -> None:
        for item in fields(self):
            entry = OPTIONS[item.name]
            if entry.needs is None or getattr(self, item.name) == item.default:
                continue
            needed = OPTIONS[entry.needs]
            if getattr(self, entry.needs) == needed.read(needed.default):
                raise OptionError(f"{entry.flag} needs {needed.flag}")

    def _check_workload(self) -> None:
        if self.workload_file and self.session_turns != OPTIONS["session_turns"].default:
            raise OptionError(
                "--session-turns cannot be combined with --workload, which says how many there are"
            )
        if ANSWER_TOKENS in self.prompt_suffix and not self.workload_file:
            raise OptionError(f"--prompt-suffix: {ANSWER_TOKENS} needs --workload")

    def _check_warm_up(self) -> None:
        if not self.warmup.is_found:
            return
        if self.searches:
            raise OptionError("--warmup auto cannot be combined with --capacity: use --settle")
        reasons = {
            "shape": "a shape says itself when the load is steady",
            "abort_after_s": "what counts is known when the run is over",
            "records": "a record says at once whether it counts",
        }
        for name, why in reasons.items():
            if getattr(self, name) is not None:
                raise OptionError(f"{OPTIONS[name].flag} cannot be combined with --warmup auto: {why}")

    def _check_search(self) -> None:
        try:
            _ = self.capacity
        except SearchError as exc:
            raise OptionError(f"capacity search: {exc}") from exc
        if not self.objectives:
            raise OptionError("a capacity search needs an objective: add --slo 'ttft_p95 < 2s'")
        for objective in self.objectives:
            if not is_searchable(objective):
                why = "it is of a whole run" if objective.unit.is_of_server else "more load never breaks it"
                raise OptionError(f"--slo {objective.text!r}: {why}; choose another")
        for name in ("shape", "abort_after_s"):
            if getattr(self, name) is not None:
                entry = OPTIONS[name]
                why = entry.refused["capacity"]
                raise OptionError(f"{entry.flag} cannot be combined with --capacity: {why}")

    @property
    def warmup_s(self) -> float:
        """What is left out in any case."""
        return self.warmup.least_s

    @property
    def objectives(self) -> tuple[Objective, ...]:
        return self.slo.objectives

    def check_server_known(self) -> None:
        """An objective on the server's process needs to know which it is. Raises OptionError."""
        for objective in self.objectives:
            if objective.unit.is_of_server and self.server_pid is None:
                raise OptionError(
                    f"--slo {objective.text!r}: name the server's process on this machine with --server-pid"
                )

    @property
    def deadlines(self) -> Deadlines:
        return Deadlines(
            connect_s=self.connect_timeout_s,
            first_token_s=self.first_token_timeout_s,
            idle_s=self.idle_timeout_s,
            total_s=self.total_timeout_s,
        )

    @property
    def im_deadlines(self) -> ImDeadlines:
        return ImDeadlines(
            reply_s=self.first_token_timeout_s, total_s=self.total_timeout_s, quiet_s=self.reply_quiet_s
        )

    @property
    def tls(self) -> TlsSettings:
        return TlsSettings(**{name: getattr(self, name) for name in VARIABLES})

    @property
    def budget(self) -> TokenBudget | None:
        return TokenBudget(self.budget_tokens) if self.budget_tokens else None

    @property
    def capacity(self) -> SearchSettings | None:
        """None: no search. Raises SearchError."""
        if not self.searches:
            return None
        return search_between(
            self.start or self._busiest_hour(),
            self.maximum,
            model=self.model,
            step_s=self.step_s,
            settle_s=self.settle_s,
            precision=self.precision,
            repeats=self.repeats,
        )

    def _busiest_hour(self) -> Level | None:
        """The first load of an open search with `--workload`."""
        is_rate = self.model is Model.OPEN or (self.maximum is not None and self.maximum.is_rate)
        workload = self.workload() if is_rate else None
        if workload is None:
            return None
        rate = max(LEAST_RATE, workload.conversations_per_s)
        return Level(float(f"{rate:.3g}"), is_rate=True)

    def workload(self) -> Workload | None:
        """None: every scenario has its own. Raises OptionError."""
        try:
            return read_workload(Path(self.workload_file)) if self.workload_file else None
        except WorkloadError as exc:
            raise OptionError(f"--workload: {exc}") from exc

    def corpus(self) -> Corpus:
        """Raises OptionError."""
        try:
            return Corpus.from_file(Path(self.prompts)) if self.prompts else Corpus.built_in()
        except CorpusError as exc:
            raise OptionError(f"--prompts: {exc}") from exc


OPTIONS: Mapping[str, Option] = {item.name: item.metadata["option"] for item in fields(Settings)}
OF_TARGET = ("key_file", *VARIABLES)  # also of the commands that make no run
OF_ONE_PROCESS = frozenset(entry.dest for entry in OPTIONS.values() if entry.of_one_process)


def arguments(given: Mapping[str, Any]) -> list[str]:
    """What was given, by the names of the fields -> arguments of `locust`, in the order of the table."""
    return [word for name, entry in OPTIONS.items() if name in given for word in entry.words(given[name])]


def take_ours(words: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """Arguments for `locust` -> our options among them, by the names of the fields, and the rest.

    Raises OptionError.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    for entry in OPTIONS.values():
        kind: dict[str, Any] = {"action": "store_true"} if entry.is_switch else {}
        kind = {"action": "append"} if entry.is_list else kind
        parser.add_argument(*entry.flags, dest=entry.dest, default=argparse.SUPPRESS, **kind)
    try:
        found, rest = parser.parse_known_args(list(words))
    except argparse.ArgumentError as exc:
        raise OptionError(str(exc)) from exc
    by_dest = {entry.dest: name for name, entry in OPTIONS.items()}
    return {by_dest[dest]: value for dest, value in vars(found).items()}, rest


def keys_from(options: Any, environ: Mapping[str, str]) -> dict[Scope, Secret]:
    """The key of each scope, as far as there is one. Raises OptionError when host or TLS cannot be used."""
    kept = {name: value for name, value in environ.items() if name not in VARIABLES.values()}
    secured = TlsSettings(**{name: OPTIONS[name].value_of(getattr(options, name)) for name in VARIABLES})
    wanted = {**kept, **to_environment(secured), "ASTRBOT_API_KEY_FILE": options.astrbot_key_file or ""}
    keys: dict[Scope, Secret] = {}
    try:
        host = options.host or "http://unknown.invalid"
        common = target_from_options(host, wanted).keys.get("default")
        for scope, variable in SCOPE_VARIABLES.items():
            own = environ.get(variable)
            key = target_from_options(host, {"ASTRBOT_API_KEY": own}).keys["default"] if own else common
            if key is not None:
                keys[scope] = key.secret
    except ConfigError as exc:
        raise OptionError(str(exc)) from exc
    return keys


def add_arguments(parser: Any) -> None:
    """Add astrometer's arguments to Locust's parser; what a person may want to set shows in the web UI."""
    for entry in OPTIONS.values():
        kind: dict[str, Any] = {"metavar": entry.metavar, "choices": entry.choices}
        if entry.is_switch:
            kind = {"action": "store_true"}
        elif entry.is_list:
            kind = {"metavar": entry.metavar, "action": "append"}
        elif isinstance(entry.default, int | float):
            kind = {"metavar": entry.metavar, "type": type(entry.default)}
        parser.add_argument(
            *entry.flags,
            env_var=entry.variable,
            default=None if entry.is_list else entry.default,
            help=entry.help,
            include_in_web_ui=entry.in_web_form,
            **kind,
        )


def add_weights(parser: Any, defaults: Mapping[str, int]) -> None:
    """Add `--chat-weight` and so on: how many of a mixed run's users do what."""
    for name, weight in defaults.items():
        flag = f"--{name.replace('_', '-')}-weight"
        parser.add_argument(
            flag, env_var=f"ASTROMETER_{name.upper()}_WEIGHT", metavar="N", type=int,
            default=weight, include_in_web_ui=False,
            help=f"Weight of the {name} users in a mixed run (default {weight}, 0: none).",
        )  # fmt: skip


def describe(entries: Iterable[Option] | None = None) -> str:
    """All of them for a person to read: Locust prints its help before it knows them."""
    lines: list[str] = []
    for entry in OPTIONS.values() if entries is None else entries:
        metavar = f" {entry.metavar or '|'.join(entry.choices or ())}" if not entry.is_switch else ""
        default = f" [{entry.default}]" if entry.default else ""
        lines.append(f"  {', '.join(entry.flags)}{metavar}{default}  ({entry.variable})")
        lines.extend(textwrap.wrap(entry.help, 96, initial_indent=" " * 6, subsequent_indent=" " * 6))
    return "\n".join(lines)
