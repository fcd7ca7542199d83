"""An AstrBot version -> what it does differently on the wire, and its envelopes. Data, no sockets.

Two families: Q (Quart, 4.18.0 to 4.25.x) and F (FastAPI, from 4.26.0). Every difference is a property with
the version that brought it, so that the rest of the simulator never compares version numbers.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from starlette.responses import HTMLResponse, JSONResponse, Response

from astrometer.api.endpoints import Version, parse_version

OLDEST: Version = (4, 18, 0)
NOT_FOUND_PAGE = (
    "404 Not found。如果你初次使用打开面板发现 404, 请参考文档: https://astrbot.app/faq.html。"
    "如果你正在测试回调地址可达性，显示这段文字说明测试成功了。"
)


class Since:
    """Whether a version is this one or a later one."""

    def __init__(self, *version: int) -> None:
        self._version = version

    def __get__(self, wire: "Wire", _owner: type["Wire"]) -> bool:
        return wire.version >= self._version


class UnknownVersion(ValueError):
    """A version that the simulator was not measured against."""


@dataclass(frozen=True, slots=True)
class Wire:
    version: Version

    @classmethod
    def of(cls, text: str) -> "Wire":
        """Return the manners of version `text`. Raises UnknownVersion."""
        try:
            version = parse_version(text)
        except ValueError as exc:
            raise UnknownVersion(str(exc)) from exc
        if not OLDEST <= version < (4, 30, 0):
            raise UnknownVersion(f"version {text}: the simulator knows 4.18.0 to 4.29.x")
        return cls(version)

    def __str__(self) -> str:
        return ".".join(str(part) for part in self.version)

    # --- the families

    fastapi = Since(4, 26, 0)
    query_keys = Since(4, 19, 2)
    downloads = Since(4, 22, 1)

    # --- what /chat accepts

    refuses_empty_messages = Since(4, 20, 1)
    reserves_admin_names = Since(4, 27, 0)

    # --- the stream

    heartbeats = Since(4, 22, 3)
    unpaced = Since(4, 26, 6)  # before, each event holds the stream for 50 ms
    user_message_saved = Since(4, 23, 5)
    run_started = Since(4, 26, 7)
    # Not streamed: `agent_stats` comes first, and nothing is left to save at `end`. Over a WebSocket an empty
    # message of the bot's is saved before there is any text.
    stats_before_plain = Since(4, 26, 6)
    saves_at_end = Since(4, 23, 5)
    reasoning_shown = Since(4, 28, 0)

    # --- chat over a WebSocket, and the messenger

    chat_socket = Since(4, 19, 2)
    names_account = Since(4, 26, 0)  # an action for the messenger says whose it is (`self_id`)
    short_quotes = Since(4, 25, 0)  # a `reply` segment holds nothing but the message's id
    spaced_mentions = Since(4, 23, 0)  # in an answer a blank and a line break follow the mention
    decorates_images = Since(4, 23, 0)  # an answer that became an image has its quote and its mention, too

    # --- the upstream fails

    upstream_errors_streamed = Since(4, 26, 6)  # their sentence reaches a streaming client
    provider_sentence = Since(4, 25, 0)
    english = Since(4, 26, 6)

    # --- the other endpoints

    stores_im = Since(4, 20, 1)
    safe_upload_names = Since(4, 23, 6)
    unique_upload_names = Since(4, 29, 0)
    # A key without config:edit_admin makes no profile with other administrators than AstrBot's own.
    guards_admins = Since(4, 27, 0)
    session_detail = Since(4, 29, 0)  # `GET /chat/sessions/{id}` tells the session's creator
    openapi_scopes = Since(4, 29, 0)

    # --- what is more than a yes or a no

    @property
    def stream_type(self) -> str:
        return "text/event-stream; charset=utf-8" if self.fastapi else "text/event-stream"

    @property
    def subscriber_limit(self) -> int | None:
        """Events that may wait for a reader before the server drops it."""
        return 256 if self.version >= (4, 26, 6) else None

    @property
    def bursts_drop_reader(self) -> bool:
        """Tokens that come at once fill the reader's queue before it gets a turn."""
        return (4, 26, 6) <= self.version < (4, 28, 0)

    @property
    def stats_end_time(self) -> bool:
        """`agent_stats` tells when the answer ended; else it says 0.0."""
        return not (4, 26, 6) <= self.version < (4, 28, 0)

    @property
    def prompt_tokens(self) -> int:
        """What the built-in system prompt costs."""
        if self.version < (4, 26, 0):
            return 250
        return 500 if self.version < (4, 28, 0) else 1660

    @property
    def bad_json_close(self) -> int:
        """How a WebSocket ends that was sent something else than JSON."""
        return 1011 if self.fastapi else 1000

    @property
    def upstream_calls(self) -> int:
        """How often a failing upstream is asked."""
        if self.version < (4, 26, 0):
            return 3
        return 15 if self.version < (4, 29, 0) else 5

    @property
    def upstream_retry_s(self) -> float:
        """What these calls and their pauses take, as measured."""
        if self.version < (4, 26, 0):
            return 2.0
        return 22.0 if self.version < (4, 29, 0) else 15.5

    @property
    def empty_detail(self) -> str:
        """What is said of a whole answer without text; up to 4.20 nothing."""
        if self.version < (4, 23, 0):
            return ""
        return (
            "All chat models failed: EmptyModelOutputError: OpenAI completion has no usable output. "
            "response_id=chatcmpl-sim, finish_reason=stop"
        )

    @property
    def empty_im_text(self) -> str:
        if self.refuses_empty_messages:
            return "Message content is empty (reply only is not allowed)"
        return "Message is empty"

    @property
    def open_sessions(self) -> bool:
        """4.26.0 lets any chat key read any session."""
        return self.version == (4, 26, 0)

    # --- envelopes

    def ok(self, data: Any = None, message: str | None = None) -> JSONResponse:
        return JSONResponse({"status": "ok", "message": message, "data": {} if data is None else data})

    def error(self, message: str, status: int = 200) -> JSONResponse:
        body: dict[str, Any] = {"status": "error", "message": message}
        if not self.fastapi:
            body["data"] = None
        return JSONResponse(body, status_code=status)

    def validation(self, problems: list[dict[str, Any]]) -> JSONResponse:
        """The 422 of the F family."""
        return JSONResponse({"detail": problems}, status_code=422)

    def not_found(self) -> Response:
        if self.fastapi:
            return self.error("Not Found", 404)
        return HTMLResponse(NOT_FOUND_PAGE)

    def no_dashboard_token(self) -> Response:
        """The Q family's answer on any path of the dashboard's API."""
        return self.error("未授权", 401)

    def wrong_method(self) -> Response:
        if self.fastapi:
            return self.error("Method Not Allowed", 405)
        return _page(405, "Method Not Allowed", "The method is not allowed for the requested URL.")

    def crash(self) -> Response:
        if self.fastapi:
            return self.error("Internal server error", 500)
        text = "The server encountered an internal error and was unable to complete your request."
        return _page(500, "Internal Server Error", text)

    def bad_request(self) -> Response:
        """The Q family's answer to a body that is no JSON where it must be."""
        text = "The browser (or proxy) sent a request that this server could not understand."
        return _page(400, "Bad Request", text)

    def no_socket(self) -> Response:
        """The answer to a WebSocket handshake on a path that has none."""
        return Response(status_code=403) if self.fastapi else self.bad_request()

    def timestamp(self, at: datetime) -> str:
        return (at.astimezone(UTC) if self.saves_at_end else at.astimezone()).isoformat()


def _page(status: int, name: str, text: str) -> Response:
    """As Quart makes it."""
    return HTMLResponse(
        f"<!doctype html>\n<html lang=en>\n<title>{status} {name}</title>\n<h1>{name}</h1>\n<p>{text}</p>\n",
        status_code=status,
    )


def now() -> datetime:
    return datetime.now(UTC)
