"""How an exchange ended: a closed list, and the rules that pick exactly one from what was seen.

HTTP 200 does not mean success on AstrBot. A chat succeeded when its stream reached `end`, and its answer text
is not an error sentence (`sentences.py`).

To add one: CONTRIBUTING.md, "An outcome". Metrics, alerts, reports, the state of a target and tests of the
docs take names and layers from here.
"""

import json
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

from astrometer.api.sentences import find_sentence
from astrometer.api.visible import is_visible
from astrometer.outside_text import read_json, shown

# Also of a path that begins with two slashes, and with more than one "@".
_USERINFO = re.compile(r"(?<=//)[^/]*@")


class Layer(StrEnum):
    """Whose fault an outcome is, in the first place."""

    NONE = "none"
    CLIENT = "client"
    NETWORK = "network"
    AUTH = "auth"
    SERVER = "server"
    UPSTREAM = "upstream"
    MESSENGER = "messenger"
    CONTENT = "content"


class Outcome(StrEnum):
    """The closed list, each with its layer. Values are labels of metrics and keys of `results.json`."""

    layer: Layer

    def __new__(cls, value: str, layer: Layer = Layer.NONE) -> Self:
        self = str.__new__(cls, value)
        self._value_ = value
        self.layer = layer
        return self

    OK = "ok", Layer.NONE
    # client
    DROPPED = "dropped", Layer.CLIENT  # an arrival that could not start
    CLIENT_CANCEL = "client_cancel", Layer.CLIENT
    CUTOFF = "cutoff", Layer.CLIENT  # the run ended first: right-censored, still counted
    # network
    DNS = "dns", Layer.NETWORK
    CONNECT = "connect", Layer.NETWORK
    TLS = "tls", Layer.NETWORK
    RESET = "reset", Layer.NETWORK  # the connection broke
    KEEPALIVE_RACE = (
        "keepalive_race",
        Layer.NETWORK,
    )  # an idle connection was closed as the request went out
    ENCODED = "encoded", Layer.NETWORK  # compressed, although it was asked for as it is
    BUFFERED = "buffered", Layer.NETWORK  # a good answer that something in between held back; probes only
    TRUNCATED = "truncated", Layer.SERVER  # the body ended without `end`
    # deadlines
    TIMEOUT_CONNECT = "timeout_connect", Layer.NETWORK
    TIMEOUT_FIRST_TOKEN = "timeout_first_token", Layer.UPSTREAM
    STALLED = "stalled", Layer.UPSTREAM  # no content for too long, heartbeats or not
    TIMEOUT_TOTAL = "timeout_total", Layer.UPSTREAM
    # HTTP
    UNAUTHORIZED = "unauthorized", Layer.AUTH
    FORBIDDEN = "forbidden", Layer.AUTH
    RATE_LIMITED = "rate_limited", Layer.SERVER
    CLIENT_ERROR = "client_error", Layer.CLIENT  # any other answer that is neither 2xx nor 5xx
    SERVER_ERROR = "server_error", Layer.SERVER
    # API
    API_ERROR = "api_error", Layer.SERVER  # HTTP 200 whose JSON says `status: error`
    NOT_SSE = "not_sse", Layer.SERVER
    STREAM_ERROR = "stream_error", Layer.SERVER  # an `error` event
    MALFORMED = "malformed", Layer.SERVER
    # AstrBot's own refusals, all of them normal-looking streams
    EMPTY_ANSWER = "empty_answer", Layer.UPSTREAM
    AGENT_ERROR = "agent_error", Layer.SERVER
    LLM_ERROR = "llm_error", Layer.UPSTREAM
    NOT_ASKED = "not_asked", Layer.SERVER  # it ended, and the model was never asked
    BLOCKED = "blocked", Layer.CONTENT
    FOLLOW_UP_CAPTURED = "follow_up_captured", Layer.CLIENT
    CANARY_MISMATCH = "canary_mismatch", Layer.CONTENT
    # what only a messenger sees (`im/`)
    SILENT = "silent", Layer.MESSENGER  # no reply until the deadline, and the link was up
    DUPLICATED = "duplicated", Layer.MESSENGER  # one question, two answers
    MISROUTED = "misrouted", Layer.MESSENGER  # somebody else's answer, or one's own in another chat
    LOST_LINK = "lost_link", Layer.MESSENGER  # the link broke while the question was open

    @property
    def is_ok(self) -> bool:
        return self is Outcome.OK


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamFacts:
    """What was seen of a chat stream whose connection did not break and met no deadline."""

    streaming: bool  # as asked for
    ended: bool  # `end` was seen
    text: str = ""  # joined text deltas
    notices: str = ""  # joined non-streamed texts
    stats_seen: bool = False
    tokens_counted: bool = False  # the last `agent_stats` has a count above zero
    follow_up: bool = False
    error_event: bool = False
    malformed: bool = False
    media: bool = False  # the answer had an image, a record, a file or a video
    canary: str | None = None
    error_text: str = ""  # what the first `error` event said
    malformed_text: str = ""  # the first event that could not be read


def classify_stream(facts: StreamFacts) -> Outcome:
    """Pick the one outcome of a stream that was read to its end."""
    if facts.error_event:
        return Outcome.STREAM_ERROR
    if facts.malformed:
        return Outcome.MALFORMED
    sentence = find_sentence(facts.text) or find_sentence(facts.notices)
    if not facts.ended:
        return Outcome.TRUNCATED
    if facts.follow_up:
        return Outcome.FOLLOW_UP_CAPTURED
    if sentence is not None:
        return Outcome(sentence.outcome)
    if not facts.stats_seen:
        return Outcome.NOT_ASKED
    return _classify_answer(facts)


def explain_stream(facts: StreamFacts, outcome: Outcome) -> str:
    """What a person needs to see of such an end: what was wrong, and the answer only where that is it."""
    answer = (facts.text or facts.notices).strip()
    if outcome is Outcome.STREAM_ERROR:
        return facts.error_text or "an error event without a text"
    if outcome is Outcome.MALFORMED:
        return f"an event that is not a JSON object with a type: {facts.malformed_text}"
    if outcome is Outcome.TRUNCATED:
        return f"the body ended without `end`{'; until then: ' * bool(answer)}{answer}"
    for text in (facts.text, facts.notices):
        if (sentence := find_sentence(text)) is not None:  # it may stand behind a long part of an answer
            return text[text.index(sentence.text) :].strip()
    if outcome is Outcome.NOT_ASKED:
        return answer or "no agent_stats: the model was not asked"
    if not answer and outcome is Outcome.LLM_ERROR:
        return "no text, and agent_stats count no tokens: the model failed"
    if not answer and outcome is Outcome.EMPTY_ANSWER:
        return "the model was asked, and the answer has no text"
    if outcome is Outcome.CANARY_MISMATCH:
        return f"expected {facts.canary}, got: {answer}"
    return answer


def _classify_answer(facts: StreamFacts) -> Outcome:
    # A non-streamed text inside a stream that was asked to be streaming is never the model's.
    answer = facts.text if facts.streaming else facts.text + facts.notices
    if not is_visible(answer) and not facts.media:
        # Up to 4.26.0 a failed upstream leaves no sentence, only zero counts.
        return Outcome.EMPTY_ANSWER if facts.tokens_counted else Outcome.LLM_ERROR
    if facts.canary is not None and facts.canary not in answer:
        return Outcome.CANARY_MISMATCH
    return Outcome.OK


def classify_status(status: int) -> Outcome | None:
    """Return the outcome that an HTTP status decides alone; None for 2xx, which decides nothing."""
    if 200 <= status < 300:
        return None
    known = {401: Outcome.UNAUTHORIZED, 403: Outcome.FORBIDDEN, 429: Outcome.RATE_LIMITED}
    if status in known:
        return known[status]
    return Outcome.SERVER_ERROR if status >= 500 else Outcome.CLIENT_ERROR


def classify_encoding(status: int, encoding: str) -> "JsonVerdict | None":
    """What a `Content-Encoding` decides: an answer that cannot be read, or timed, as it is. None: nothing.

    An error stays what its status says.
    """
    codings = [coding for part in encoding.split(",") if (coding := part.strip().lower())]
    if not 200 <= status < 300 or all(coding == "identity" for coding in codings):
        return None
    message = f"the answer is encoded ({shown(', '.join(codings), 80)}), although it was asked for as it is"
    return JsonVerdict(outcome=Outcome.ENCODED, message=message)


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonVerdict:
    """The classification of an answer in AstrBot's JSON envelope."""

    outcome: Outcome
    payload: Any = None  # the envelope's `data`
    message: str = ""  # the server's own words, safe to show


def classify_json(status: int, content_type: str, body: bytes, location: str = "") -> JsonVerdict:
    """Classify an answer that should be `{"status": "ok", "data": ...}`. `location`: a redirect's."""
    envelope = _json_object(body)
    message = _message(envelope)
    by_status = classify_status(status)
    if by_status is not None:
        if location and 300 <= status < 400:
            message = f"HTTP {status}: a redirect to {_place(location)}, which is not followed"
        return JsonVerdict(outcome=by_status, payload=envelope, message=message or f"HTTP {status}")
    if "json" not in content_type.lower() or envelope is None:
        # AstrBot up to 4.25 answers an unknown path with 200 text/html.
        return JsonVerdict(
            outcome=Outcome.MALFORMED, message=f"{_media_type(content_type)}, not a JSON object"
        )
    if envelope.get("status") == "error":
        return JsonVerdict(outcome=Outcome.API_ERROR, payload=envelope.get("data"), message=message)
    return JsonVerdict(outcome=Outcome.OK, payload=envelope.get("data"), message=message)


def classify_unstreamed(status: int, content_type: str, body: bytes, location: str = "") -> JsonVerdict:
    """Classify an answer to `/chat` that is not a stream: an error by status or envelope, or NOT_SSE."""
    verdict = classify_json(status, content_type, body, location)
    if verdict.outcome in (Outcome.OK, Outcome.MALFORMED):
        message = f"{_media_type(content_type)}, not text/event-stream"
        return JsonVerdict(outcome=Outcome.NOT_SSE, message=message)
    return verdict


def _place(location: str) -> str:
    """Where a redirect leads, without what may be a secret there: user, password and query."""
    return shown(_USERINFO.sub("", re.split(r"[?#]", location, maxsplit=1)[0]), 120)


def _media_type(content_type: str) -> str:
    return shown(content_type.partition(";")[0], 80) or "no content type"


def is_event_stream(content_type: str) -> bool:
    return content_type.split(";", maxsplit=1)[0].strip().lower() == "text/event-stream"


def _json_object(body: bytes) -> dict[str, Any] | None:
    try:
        value = read_json(body)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _message(envelope: dict[str, Any] | None) -> str:
    if envelope is None:
        return ""
    for name in ("message", "detail"):
        value = envelope.get(name)
        if value:
            return shown(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
    return ""
