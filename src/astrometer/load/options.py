"""Locust's command line, environment and web form -> frozen settings of a run.

The key is no argument: arguments show in process lists and in the web UI. It comes from ASTRBOT_API_KEY, or
from the file that --astrbot-key-file (ASTRBOT_API_KEY_FILE) names.
"""

import argparse
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args

from astrometer.api.chat_exchange import Deadlines
from astrometer.api.endpoints import Scope
from astrometer.config.loader import target_from_options
from astrometer.config.settings import ConfigError, Secret
from astrometer.load.corpus import Corpus, CorpusError
from astrometer.load.schedule.arrivals import Process
from astrometer.load.schedule.profile_parser import EXAMPLES
from astrometer.load.token_budget import TokenBudget
from astrometer.measure.capacity.search_settings import EXAMPLE as SEARCH_EXAMPLE
from astrometer.measure.capacity.search_settings import SearchSettings
from astrometer.measure.capacity.search_window import is_searchable
from astrometer.measure.slo.slo_parser import Objective, ObjectiveError, parse_objectives
from astrometer.measure.stalls import THRESHOLD_S as STALL_THRESHOLD_S
from astrometer.units import parse_duration

T = TypeVar("T")
# One key may do for everything; a key of its own for a scope is asked for first. `astrometer load --target`
# fills these from the config.
SCOPE_VARIABLES = {scope: f"ASTRBOT_{scope.upper()}_SCOPE_KEY" for scope in get_args(Scope)}
NO_KEY = (
    "no API key: set ASTRBOT_API_KEY, or ASTRBOT_API_KEY_FILE (--astrbot-key-file) to a file that holds it"
)


# A worker keeps its own, whatever its master's are: files, keys and ports of a machine are its operator's.
OF_ONE_PROCESS = frozenset(
    {
        "astrbot_key_file",
        "astrometer_allowed_host",
        "astrometer_check",
        "astrometer_journal",
        "astrometer_metrics_host",
        "astrometer_metrics_port",
        "astrometer_out",
        "astrometer_progress",
    }
)


class OptionError(ValueError):
    """An option of the run that cannot be used: name and cure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the users of a run go by. Times in seconds."""

    deadlines: Deadlines
    prompts: str
    prompt_suffix: str
    session_turns: int
    whole_answer_percent: float
    call_timeout_s: float
    stop_abandoned: bool
    objectives: tuple[Objective, ...]
    out: Path | None
    user_prefix: str
    umos: tuple[str, ...]
    im_sink: str  # empty: nobody watches what IM pushes deliver
    version: str | None
    kind: str | None
    warmup_s: float
    stall_threshold_s: float
    rate_unit: float  # 0: closed model
    arrivals: Process
    arrival_seed: int
    max_in_flight: int
    abort_after_s: float | None  # None: the run goes on whatever its objectives say
    budget: TokenBudget | None
    capacity: SearchSettings | None  # None: no search
    username: str | None  # None: every user has a name of its own
    journal: Path | None

    @classmethod
    def of(cls, options: Any) -> "Settings":
        """From Locust's parsed options; the web form may have put text where numbers were.

        Raises OptionError.
        """
        return cls(
            deadlines=Deadlines(
                connect_s=_read(options, "connect_timeout", parse_duration),
                first_token_s=_read(options, "first_token_timeout", parse_duration),
                idle_s=_read(options, "idle_timeout", parse_duration),
                total_s=_read(options, "total_timeout", parse_duration),
            ),
            prompts=options.prompts or "",
            prompt_suffix=options.prompt_suffix or "",
            session_turns=max(1, _read(options, "session_turns", int)),
            whole_answer_percent=_read(options, "whole_answer_percent", float),
            call_timeout_s=_read(options, "call_timeout", parse_duration),
            stop_abandoned=bool(options.stop_abandoned),
            objectives=_read(options, "slo", _objectives),
            out=Path(options.astrometer_out) if options.astrometer_out else None,
            user_prefix=options.run_user_prefix or "astrometer",
            umos=tuple(umo.strip() for umo in (options.umos or "").split(",") if umo.strip()),
            im_sink=(options.im_sink or "").strip(),
            version=options.target_version or None,
            kind=options.target_kind or None,
            warmup_s=_read(options, "warmup", parse_duration),
            stall_threshold_s=_read(options, "stall_threshold", parse_duration),
            rate_unit=max(0.0, _read(options, "rate_unit", float)),
            arrivals=_read(options, "arrivals", Process),
            arrival_seed=_read(options, "arrival_seed", int),
            max_in_flight=max(1, _read(options, "max_in_flight", int)),
            abort_after_s=_read(options, "abort_on_fail", _optional_duration),
            budget=_read(options, "budget_tokens", _budget),
            capacity=_read(options, "capacity", lambda _: _capacity(options)),
            username=options.run_username or None,
            journal=Path(options.astrometer_journal) if options.astrometer_journal else None,
        )

    def corpus(self) -> Corpus:
        """Raises OptionError."""
        try:
            return Corpus.from_file(Path(self.prompts)) if self.prompts else Corpus.built_in()
        except CorpusError as exc:
            raise OptionError(f"--prompts: {exc}") from exc


def keys_from(options: Any, environ: Mapping[str, str]) -> dict[Scope, Secret]:
    """The key of each scope. Raises OptionError when there is none, or the host is no URL."""
    wanted = {**environ, "ASTRBOT_API_KEY_FILE": options.astrbot_key_file or ""}
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
    if not keys:
        raise OptionError(NO_KEY)
    return keys


def allowed_hosts(options: Any) -> list[str]:
    """Names by which the web UI may be called, besides those that it listens on."""
    return [name.strip() for name in (options.astrometer_allowed_host or "").split(",") if name.strip()]


def add_arguments(parser: Any) -> None:
    """Add astrometer's arguments to Locust's parser; what a person may want to set shows in the web UI."""

    def add(flag: str, variable: str, *also: str, **kwargs: Any) -> None:
        parser.add_argument(flag, *also, env_var=variable, **kwargs)

    add(
        "--astrbot-key-file", "ASTRBOT_API_KEY_FILE", metavar="FILE", default="", include_in_web_ui=False,
        help="File that holds the API key, unless ASTRBOT_API_KEY is set.",
    )  # fmt: skip
    add(
        "--shape", "ASTROMETER_SHAPE", "--stages", metavar="SHAPE", default="",
        help="Users over time, instead of users, spawn rate and run time: "
        f"{', '.join(repr(example) for example in EXAMPLES.values())}; 5/s instead of 5 users is a rate of "
        "arrivals (open model).",
    )  # fmt: skip
    add(
        "--prompts", "ASTROMETER_PROMPTS", metavar="FILE.jsonl", default="", include_in_web_ui=False,
        help='Prompts to send, a JSON object {"prompt": "..."} per line. Default: the built-in corpus.',
    )  # fmt: skip
    add(
        "--prompt-suffix", "ASTROMETER_PROMPT_SUFFIX", metavar="TEXT", default="",
        help="Text added to every prompt, such as a directive for the stub model: '[[ttft=0.2 tokens=40]]'.",
    )  # fmt: skip
    add(
        "--session-turns", "ASTROMETER_SESSION_TURNS", metavar="N", type=int, default=1,
        help="Turns before a user opens a new session. 1: a new session per turn; each costs a second model "
        "call (the title) and leaves a session row for ever. More: the history grows with every turn, "
        "turns of one session wait for each other, and AstrBot holds a session back after 30 messages in "
        "60 seconds (its default), silently, for up to a minute.",
    )  # fmt: skip
    add(
        "--whole-answer-percent", "ASTROMETER_WHOLE_ANSWER_PERCENT", metavar="PERCENT", type=float,
        default=10.0, help="Share of chats that ask for the whole answer at once (no streaming, so no TTFT).",
    )  # fmt: skip
    for flag, seconds, what in (
        ("connect", 10.0, "to connect"),
        ("first-token", 60.0, "for the first token of a chat, from the send; heartbeats do not count"),
        ("idle", 30.0, "between two pieces of an answer; heartbeats do not count"),
        ("total", 300.0, "for a whole chat"),
        ("call", 30.0, "for any other request"),
    ):
        variable = f"ASTROMETER_{flag.replace('-', '_').upper()}_TIMEOUT"
        add(
            f"--{flag}-timeout", variable, metavar="TIME", type=_duration, default=seconds,
            help=f"Seconds to wait {what}.",
        )  # fmt: skip
    add(
        "--stop-abandoned", "ASTROMETER_STOP_ABANDONED", action="store_true", default=False,
        help="After a timeout, ask the server to stop that chat (AstrBot 4.26 or later). Without this the "
        "server keeps generating an answer that nobody reads, as it does for real clients.",
    )  # fmt: skip
    add(
        "--slo", "ASTROMETER_SLO", metavar="EXPR", action="append", default=None,
        help="Objective such as 'ttft_p95 < 2s' or, for one scenario, 'chat: e2e_max < 30s'; repeatable "
        "(web UI: separate by commas).",
    )  # fmt: skip
    add(
        "--abort-on-fail", "ASTROMETER_ABORT_ON_FAIL", metavar="TIME", default="",
        help="End the run in order as soon as an objective is not met, this long after the warm-up at the "
        "earliest (0s: at once). Without this a run goes on to its end.",
    )  # fmt: skip
    add(
        "--capacity", "ASTROMETER_CAPACITY", metavar="SEARCH", default="", include_in_web_ui=False,
        help="Search for the most load at which every --slo holds, instead of users, spawn rate and run "
        f"time: {SEARCH_EXAMPLE!r} (what stands after the range may be left out); 1/s..100/s instead of "
        "1..500 users is a rate of arrivals (open model).",
    )  # fmt: skip
    add(
        "--budget-tokens", "ASTROMETER_BUDGET_TOKENS", metavar="N", type=int, default=0,
        help="End the run in order when the server has counted this many tokens, input and output, in all "
        "its chats. Turns that still run then are drained. 0: no limit.",
    )  # fmt: skip
    add(
        "--warmup", "ASTROMETER_WARMUP", metavar="TIME", type=_duration, default=0.0,
        help="Ramp and warm-up from the start of the test: what begins in it is accounted for, not measured.",
    )  # fmt: skip
    add(
        "--stall-threshold", "ASTROMETER_STALL_THRESHOLD", metavar="TIME", type=_duration,
        default=STALL_THRESHOLD_S,
        help="A pause in the middle of an answer that is longer than this is a stall.",
    )  # fmt: skip
    add(
        "--rate-unit", "ASTROMETER_RATE_UNIT", metavar="PER_SECOND", type=float, default=0.0,
        help="Open model: each Locust user stands for this many arrivals per second, whether or not earlier "
        "ones are done; so users steer a rate. 0: closed model, a user waits for its answers.",
    )  # fmt: skip
    add(
        "--arrivals", "ASTROMETER_ARRIVALS", choices=[process.value for process in Process],
        default=Process.POISSON.value, help="Open model: how arrivals are spaced.",
    )  # fmt: skip
    add(
        "--arrival-seed", "ASTROMETER_ARRIVAL_SEED", metavar="N", type=int, default=1,
        help="Open model: the same seed makes the same schedule.",
    )  # fmt: skip
    add(
        "--max-in-flight", "ASTROMETER_MAX_IN_FLIGHT", metavar="N", type=int, default=1000,
        help="Open model: arrivals that may run at once in a load process; one more is dropped, and counted.",
    )  # fmt: skip
    add(
        "--astrometer-out", "ASTROMETER_OUT", metavar="DIR", default="", include_in_web_ui=False,
        help="Directory for results.json, written when the test stops; the next test overwrites it.",
    )  # fmt: skip
    add(
        "--astrometer-progress", "ASTROMETER_PROGRESS", action="store_true", default=False,
        include_in_web_ui=False, help="Print one line of progress to stderr while the test runs.",
    )  # fmt: skip
    add(
        "--astrometer-check", "ASTROMETER_CHECK", action="store_true", default=False, include_in_web_ui=False,
        help="Begin nothing and send nothing: say whether the arguments will do, and print as JSON which "
        "scenarios and objectives a run would have.",
    )  # fmt: skip
    add(
        "--astrometer-metrics-port", "ASTROMETER_METRICS_PORT", metavar="PORT", type=int, default=0,
        include_in_web_ui=False,
        help="Serve Prometheus metrics of the running test at http://HOST:PORT/metrics, on the master of a "
        "distributed one. 0: no. The web UI has them at /metrics in any case.",
    )  # fmt: skip
    add(
        "--astrometer-metrics-host", "ASTROMETER_METRICS_HOST", metavar="HOST", default="127.0.0.1",
        include_in_web_ui=False, help="Where to listen for that.",
    )  # fmt: skip
    add(
        "--astrometer-allowed-host", "ASTROMETER_ALLOWED_HOST", metavar="NAME,NAME", default="",
        include_in_web_ui=False,
        help="Names under which browsers may use the web UI, besides the address that it listens on: that of "
        "a reverse proxy, for instance. Any other name is refused, since a web page can make its own name "
        "lead here.",
    )  # fmt: skip
    add(
        "--run-user-prefix", "ASTROMETER_USER_PREFIX", metavar="NAME", default="astrometer",
        include_in_web_ui=False,
        help="AstrBot usernames are NAME-<run>-<number>. Must not make an administrator's name.",
    )  # fmt: skip
    add(
        "--run-username", "ASTROMETER_RUN_USERNAME", metavar="NAME", default="", include_in_web_ui=False,
        help="One AstrBot username for all users, such as api_key:ID, whose sessions that key may delete "
        "(`astrometer load --deletable` finds it out).",
    )  # fmt: skip
    add(
        "--astrometer-journal", "ASTROMETER_JOURNAL", metavar="FILE", default="", include_in_web_ui=False,
        help="Note the run's names there, for `astrometer clean`.",
    )  # fmt: skip
    add(
        "--umos", "ASTROMETER_UMOS", metavar="UMO,UMO", default="",
        help="Destinations of IM messages, platform:MessageType:session. Default: three sessions of webchat, "
        "where nobody is disturbed.",
    )  # fmt: skip
    add(
        "--im-sink", "ASTROMETER_IM_SINK", metavar="URL", default="", include_in_web_ui=False,
        help="Where to read what IM pushes delivered: the sink_url of `astrometer sandbox --im-sink` or "
        "`astrometer sim --im-sink`. Messages go to friends and groups there unless --umos says otherwise. "
        "Must be on the machine of the load generators: latency is measured with one clock.",
    )  # fmt: skip
    add(
        "--target-version", "ASTROMETER_TARGET_VERSION", metavar="VERSION", default="",
        include_in_web_ui=False, help="AstrBot's version, to be noted in results.json.",
    )  # fmt: skip
    add(
        "--target-kind", "ASTROMETER_TARGET_KIND", metavar="KIND", default="",
        include_in_web_ui=False, help="astrbot or simulator, to be noted in results.json.",
    )  # fmt: skip


def add_weights(parser: Any, defaults: Mapping[str, int]) -> None:
    """Add `--chat-weight` and so on: how many of a mixed run's users do what."""
    for name, weight in defaults.items():
        parser.add_argument(
            f"--{name}-weight", env_var=f"ASTROMETER_{name.upper()}_WEIGHT", metavar="N", type=int,
            default=weight, include_in_web_ui=False,
            help=f"Weight of the {name} users in a mixed run (default {weight}, 0: none).",
        )  # fmt: skip


def describe() -> str:
    """All of them for a person to read: Locust prints its help before it knows them."""
    lines: list[str] = []

    class Listing:
        def add_argument(self, *flags: str, env_var: str, **kwargs: Any) -> None:
            flag = ", ".join(flags)
            metavar = f" {kwargs['metavar']}" if "metavar" in kwargs else ""
            default = f" [{kwargs['default']}]" if kwargs["default"] else ""
            lines.append(f"  {flag}{metavar}{default}  ({env_var})")
            lines.extend(textwrap.wrap(kwargs["help"], 96, initial_indent=" " * 6, subsequent_indent=" " * 6))

    add_arguments(Listing())
    return "\n".join(lines)


def _duration(text: str) -> float:
    try:
        return parse_duration(text)
    except ValueError as exc:
        raise argparse.ArgumentTypeError(str(exc)) from exc


def _read(options: Any, name: str, convert: Callable[[Any], T]) -> T:
    value = getattr(options, name)
    try:
        return convert(value)
    except (TypeError, ValueError) as exc:
        raise OptionError(f"--{name.replace('_', '-')}: {exc}") from exc


def _capacity(options: Any) -> SearchSettings | None:
    """What a search needs besides. Raises ValueError."""
    if not (options.capacity or "").strip():
        return None
    found = SearchSettings.parse(options.capacity)
    objectives = _objectives(options.slo)
    if not objectives:
        raise ValueError("there is no limit without an objective; add --slo 'ttft_p95 < 2s'")
    for objective in objectives:
        if not is_searchable(objective):
            raise ValueError(f"no load breaks the objective {objective.text!r}: it cannot be searched for")
    if (getattr(options, "shape", None) or "").strip():
        raise ValueError("either a search or a --shape")
    if str(getattr(options, "abort_on_fail", None) or "").strip():
        raise ValueError("a search goes beyond what the objectives allow; leave out --abort-on-fail")
    return found


def _optional_duration(text: str) -> float | None:
    return parse_duration(text) if str(text).strip() else None


def _budget(given: str | int) -> TokenBudget | None:
    limit = int(given or 0)
    if limit < 0:
        raise ValueError("is a number of tokens, 0 for no limit")
    return TokenBudget(limit) if limit else None


def _objectives(given: list[str] | str | None) -> tuple[Objective, ...]:
    """The command line gives a list, the web form one text."""
    texts = given.split(",") if isinstance(given, str) else given or []
    try:
        return tuple(parse_objectives(text for text in texts if text.strip()))
    except ObjectiveError as exc:
        raise ValueError(str(exc)) from exc
