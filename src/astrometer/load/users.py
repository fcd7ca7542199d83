"""The people of a load test: what a locustfile's users can do. Each call is one recorded exchange.

    class Visitor(ChatUser):
        scenario = "chat"

        @task
        def ask(self) -> None:
            self.chat(self.prompt())

A user has one name and one connection. Failures are recorded, never raised.
"""

import json
import random
from collections.abc import Callable
from time import perf_counter
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlencode

from gevent import GreenletExit
from locust import User
from locust.exception import StopUser

from astrometer.api import endpoints
from astrometer.api.call_exchange import CallExchange, CallResult, UploadTimes
from astrometer.api.chat.chat_exchange import ChatExchange
from astrometer.api.chat.chat_turn import ChatTurn
from astrometer.api.chat.messages import Message, Plain, chat_body, im_body
from astrometer.api.chat.socket_turn import question
from astrometer.api.endpoints import Endpoint
from astrometer.api.outcome import Outcome
from astrometer.im.im_turn import OPERATION as QUESTION
from astrometer.im.im_turn import ImTurn
from astrometer.load import own_random
from astrometer.load.locust_plugin import plugin as _plugin  # noqa: F401 (registers astrometer with Locust)
from astrometer.load.messenger.messenger_questions import MessengerQuestions
from astrometer.load.options import ChatTransport
from astrometer.load.run.im_delivery import UMOS as SINK_UMOS
from astrometer.load.run.im_delivery import Tokens
from astrometer.load.transport.chat_socket_client import ChatSocket
from astrometer.load.transport.load_client import Client, Request
from astrometer.load.transport.multipart import Multipart, SampleFile
from astrometer.load.workload.replay import Replay, converse
from astrometer.measure.delivery import OPERATION as IM
from astrometer.measure.delivery import Push
from astrometer.measure.tally.uploads import UPLOAD

if TYPE_CHECKING:
    from astrometer.load.run.run import Run

C = TypeVar("C", bound=Client)
_TIMEOUTS = (Outcome.TIMEOUT_FIRST_TOKEN, Outcome.STALLED, Outcome.TIMEOUT_TOTAL)
DEFAULT_UMOS = tuple(f"webchat:FriendMessage:astrometer-{name}" for name in ("one", "two", "three"))


def _nothing() -> None:
    """A user that stands for a share of the rate sends nothing when it begins and ends."""


class AstrBotUser(User):
    """One caller of the API. `scenario` names its rows in the results."""

    abstract = True
    scenario = "custom"
    asks_model = True  # whether turns cost tokens, for the estimate before a run
    needs_messenger = False
    paused_s = 0.0  # of its next pause between two tasks: how much of it is over
    first_operation = "chat"  # where an arrival that could not start is counted
    follows_workload = False  # whether `--workload` says what it does, instead of its own tasks

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        self.run_info: Run = environment.astrometer.run
        self.settings = self.run_info.settings
        self.number = self.run_info.names.next_user()
        self._name: int | None = None
        self.random = random.Random(f"{self.run_info.id}-{self.number}")  # noqa: S311 (variety, no secret)
        # Open model: when the arrival was due whose first exchange is still to come, and how late it started.
        self.t_intended: float | None = None
        self.late_s = 0.0
        self._greeting = False
        self._messenger = MessengerQuestions(self)
        self._turns: tuple[str | None, int] = (None, 0)  # the session that it chats in, and how often it did
        self.joins = False  # its next conversation is under way already
        workload = self.run_info.workload if self.follows_workload else None
        self.replay = None if workload is None else Replay(workload, self.random)
        if self.replay is not None:  # it does nothing else
            self.tasks = [converse]
            self.wait_time = self.replay.pause_s  # type: ignore[method-assign]
        self._client = self._connection(Client)
        self._socket = self._connection(ChatSocket)

    def _connection(self, kind: type[C]) -> C:
        """A way to the server, which connects when it is used."""
        run = self.run_info
        return kind(
            run.host,
            run.keys.get,
            connect_timeout_s=self.settings.deadlines.connect_s,
            tls=self.settings.tls,
        )

    def start(self, group: Any) -> Any:
        """Spawned by Locust. In the open model it stands for a share of the rate and does nothing else."""
        engine = self.run_info.open_model
        if engine is not None:
            self.tasks = [engine.hold]
            self.on_start = self.on_stop = _nothing  # type: ignore[method-assign]
        else:
            self.joins = True
        greenlet = super().start(group)
        own_random.acts_in(greenlet, self.random)  # it begins when this one waits
        return greenlet

    @property
    def username(self) -> str:
        """Its AstrBot user. One that stands for a share of the rate never needs one."""
        if self._name is None:
            self._name = self.run_info.names.take()
        return self.run_info.names.username(self._name)

    @property
    def known_as(self) -> str:
        """In records: its AstrBot user, or its number where it needs none."""
        return str(self.number) if self._name is None else self.username

    def on_stop(self) -> None:
        self._client.close()
        self._socket.close()
        if self._name is not None:
            self.run_info.names.give_back(self._name)
            self._name = None

    def greet(self) -> None:
        """Open model: `on_start` for an arrival that is due; the end of the window does not stop it."""
        self._greeting = True
        try:
            self.on_start()
        finally:
            self._greeting = False

    def drop_arrival(self, t_intended: float) -> None:
        """Count an arrival that could not start: too many were running."""
        asks_there = self.first_operation == "chat" and self.settings.transport is ChatTransport.MESSENGER
        if asks_there or self.first_operation == QUESTION:
            self._messenger.drop(t_intended)
            return
        recorder = self.run_info.recorder
        t_s = recorder.began(self.scenario, self.first_operation, t_intended)
        exchange: ChatExchange | CallExchange
        if self.first_operation == "chat":
            exchange = ChatExchange(streaming=True, deadlines=self.settings.deadlines, t_intended=t_intended)
        else:
            exchange = CallExchange(
                timeout_s=self.settings.call_timeout_s,
                t_intended=t_intended,
                upload=UploadTimes() if self.first_operation == UPLOAD else None,
            )
        exchange.sent(t_intended)
        exchange.abort(t_intended, Outcome.DROPPED)
        recorder.ended(
            self.scenario, self.first_operation, t_s, "arrival", exchange.result(), user=self.known_as
        )

    def prompt(self) -> str:
        """A prompt that was not sent before, with the run's suffix."""
        suffix, corpus = self.settings.prompt_suffix, self.run_info.corpus
        if self.replay is None:
            text = corpus.next()
        else:
            text = corpus.next() if self.settings.prompts else self.replay.prompt(corpus)
            suffix = self.replay.suffix(suffix)
        return f"{text} {suffix}" if suffix else text

    def chat(
        self, message: Message, *, session_id: str | None = None, streaming: bool = True
    ) -> ChatTurn | ImTurn:
        """One turn, by `--transport`. Without `session_id` AstrBot opens a new session; the turn knows which.

        In a messenger a session is a person who has not written before, and nothing is streamed.
        """
        if self.settings.transport is ChatTransport.MESSENGER:
            return self._messenger.chat(message, session_id)
        is_new = session_id is None
        if session_id is None and self.settings.username is not None:
            session_id = self.run_info.names.session_id()  # one that `clean` will know as ours
        body = chat_body(username=self.username, message=message, session_id=session_id, streaming=streaming)
        t_intended = self.begin_exchange()
        exchange = ChatExchange(streaming=streaming, deadlines=self.settings.deadlines, t_intended=t_intended)
        t_s = self.run_info.recorder.began(self.scenario, "chat", t_intended)
        try:
            if self.settings.transport is ChatTransport.WS:
                self._socket.ask(question(body), exchange)
            else:
                self._client.run(_chat_request(body), exchange)
        finally:
            exchange.was_late(self.run_info.health.held_up_s(*exchange.connecting))
            turn = exchange.result()
            kind = self.settings.transport.value.upper()
            number = self._number_of_turn(session_id, turn)
            self.run_info.recorder.ended(
                self.scenario, "chat", t_s, kind, turn, user=self.known_as, turn=number
            )
            if turn.session_id:
                self.run_info.names.note_session(turn.session_id, is_new=is_new)
        if turn.outcome in _TIMEOUTS and turn.session_id and self.settings.stop_abandoned:
            self._stop_session(turn.session_id)
        return turn

    def _number_of_turn(self, session_id: str | None, turn: ChatTurn) -> int:
        """Which turn of its session that was, from 1. `session_id` None: a new one, which the turn knows."""
        before = self._turns[1] if session_id is not None and session_id == self._turns[0] else 0
        self._turns = (session_id or turn.session_id, before + 1)
        return before + 1

    def call(
        self,
        endpoint: Endpoint,
        *,
        query: dict[str, Any] | None = None,
        body: Any = None,
        expect_sha256: str | None = None,
        operation: str | None = None,
        ended: Callable[[CallResult, float], None] | None = None,
    ) -> CallResult:
        """One plain exchange: JSON both ways, or a download when `expect_sha256` says what should come.

        `ended` hears of its result and of when it was intended (since the run's start), even when the user is
        killed.
        """
        path = f"{endpoint.path}?{urlencode(query)}" if query else endpoint.path
        payload: bytes | Multipart = b""
        content_type = None
        if isinstance(body, Multipart):
            payload, content_type = body, body.content_type
        elif body is not None:
            payload, content_type = json.dumps(body, ensure_ascii=False).encode(), "application/json"
        request = Request(
            method=endpoint.method,
            path=path,
            scope=endpoint.scope,
            body=payload,
            content_type=content_type,
            accept="application/json" if expect_sha256 is None else "*/*",
        )
        t_intended = self.begin_exchange()
        exchange = CallExchange(
            timeout_s=self.settings.call_timeout_s,
            bytes_sent=request.length,
            expect_sha256=expect_sha256,
            t_intended=t_intended,
            upload=UploadTimes(file_bytes=body.file_bytes) if isinstance(body, Multipart) else None,
        )
        name = operation or endpoint.name
        t_s = self.run_info.recorder.began(self.scenario, name, t_intended)
        try:
            self._client.run(request, exchange)
        finally:
            result = exchange.result()
            self.run_info.recorder.ended(
                self.scenario, name, t_s, endpoint.method, result, user=self.known_as
            )
            if ended is not None:
                ended(result, t_s)
        return exchange.result()

    def unrecorded(self, endpoint: Endpoint, timeout_s: float = 5.0, **path_params: str) -> CallResult:
        """A question about the server itself, which belongs to no measurement. One more keyed request."""
        request = Request(method=endpoint.method, path=endpoint.url("", **path_params), scope=endpoint.scope)
        exchange = CallExchange(timeout_s=timeout_s)
        self._client.run(request, exchange)
        return exchange.result()

    def begin_exchange(self) -> float | None:
        """When the exchange that begins now was intended; None: now.

        The first exchange of an arrival is as late as the arrival was started: what its user did before (a
        login in `on_start`, a look-up, reading) is the user's own time and no lag of the load generator.
        At the end of the window nothing new begins (Locust may be about to kill this very user), but an
        arrival that was due before still does.
        """
        t_intended, self.t_intended = self.t_intended, None
        if t_intended is not None:
            return perf_counter() - self.late_s
        if self.run_info.is_over and not self._greeting:
            raise StopUser
        return None

    def _stop_session(self, session_id: str) -> None:
        try:
            self.unrecorded(endpoints.SESSION_STOP, timeout_s=2.0, session_id=session_id)
        except GreenletExit:
            self._client.close()
            raise


def _chat_request(body: dict[str, Any]) -> Request:
    return Request(
        method="POST",
        path=endpoints.CHAT.path,
        scope=endpoints.CHAT.scope,
        body=json.dumps(body, ensure_ascii=False).encode(),
        content_type="application/json",
        accept="text/event-stream, application/json",
    )


class ChatUser(AstrBotUser):
    """Somebody who chats, and keeps a session for `--session-turns` turns."""

    abstract = True
    follows_workload = True

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        self._session_id: str | None = None
        self._turns_left = 0

    def ask(self, message: Message) -> ChatTurn | ImTurn:
        """One turn in the user's current session, or in a new one when that has had its turns."""
        if self._turns_left <= 0:
            self._turns_left = self.settings.session_turns
            self._session_id = self.new_session()
        self._turns_left -= 1
        return self.chat(message, session_id=self._session_id, streaming=self.wants_streaming())

    def say(self, message: Message, *, is_new: bool) -> ChatTurn | ImTurn:
        """One turn of a conversation of `--workload`, which begins when `is_new`."""
        if is_new:
            self._session_id = self.new_session()
        return self.chat(message, session_id=self._session_id, streaming=self.wants_streaming())

    def wants_streaming(self) -> bool:
        """False for the share `--whole-answer-percent` of all chats."""
        return bool(self.random.random() * 100 >= self.settings.whole_answer_percent)

    def new_session(self) -> str:
        """An id of the caller's choice; AstrBot opens the session at its first message."""
        return self.run_info.names.session_id()


class UploadUser(AstrBotUser):
    """Somebody who sends files."""

    abstract = True
    follows_workload = False
    first_operation = "upload"

    def upload(self, file: SampleFile) -> str | None:
        """Upload `file`; returns its attachment id, None when that failed."""
        result = self.call(endpoints.UPLOAD, body=Multipart(file))
        payload = result.payload if isinstance(result.payload, dict) else {}
        return payload.get("attachment_id") if result.outcome.is_ok else None

    def download(self, attachment_id: str, file: SampleFile) -> CallResult | None:
        """Fetch it back and compare. None, and nothing recorded, on AstrBot before 4.22.1."""
        if not self._server_can_download():
            return None
        return self.call(
            endpoints.DOWNLOAD, query={"attachment_id": attachment_id}, expect_sha256=file.sha256
        )

    def _server_can_download(self) -> bool:
        """Asked once per process: without the endpoint AstrBot answers a web page, with it JSON."""
        facts: dict[str, Any] = self.run_info.facts
        if "download" not in facts:
            facts["download"] = self.unrecorded(endpoints.DOWNLOAD).outcome is not Outcome.MALFORMED
        return bool(facts["download"])


class ImUser(AstrBotUser):
    """Somebody who pushes messages into instant messengers."""

    abstract = True
    first_operation = "im"
    asks_model = False

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        self._tokens = Tokens(f"{self.run_info.id}-{self.number}")

    @property
    def umos(self) -> tuple[str, ...]:
        """`--umos`; else friends and groups of the sink; else sessions of webchat."""
        return self.settings.umos or (SINK_UMOS if self.settings.im_sink else DEFAULT_UMOS)

    def push(self, umo: str, message: Message) -> CallResult:
        """One message; "ok" means handed to the messenger's adapter, not delivered.

        With `--im-sink` its text begins with a token, by which its delivery is found.
        """
        sent = self.run_info.delivery.sent
        if not self.settings.im_sink or not sent.follow(umo):
            return self.call(endpoints.IM_MESSAGE, body=im_body(umo=umo, message=message), operation=IM)
        token = self._tokens.next(perf_counter())
        mark = f"[{token}] "
        marked = mark + message if isinstance(message, str) else [Plain(text=mark), *message]

        def ended(result: CallResult, t_s: float) -> None:
            t_done = result.t_send + result.duration_s
            self._tokens.ended(t_done)
            sent.pushes.append(
                Push(
                    scenario=self.scenario,
                    umo=umo,
                    token=token,
                    t_s=t_s,
                    t_sent=result.t_send,
                    t_done=t_done,
                    accepted=result.outcome.is_ok,
                )
            )

        body = im_body(umo=umo, message=marked)
        return self.call(endpoints.IM_MESSAGE, body=body, operation=IM, ended=ended)


class ReadsUser(AstrBotUser):
    """Somebody who looks things up."""

    abstract = True
    first_operation = "sessions"
    asks_model = False

    def sessions(self, page: int = 1, page_size: int = 20, username: str | None = None) -> list[Any]:
        """One page of a user's sessions (by default the user's own)."""
        query = {"username": username or self.username, "page": page, "page_size": page_size}
        result = self.call(endpoints.SESSIONS, query=query)
        payload = result.payload if isinstance(result.payload, dict) else {}
        listed = payload.get("sessions")
        return listed if isinstance(listed, list) else []

    def configs(self) -> CallResult:
        return self.call(endpoints.CONFIGS)

    def bots(self) -> CallResult:
        return self.call(endpoints.IM_BOTS, operation="bots")
