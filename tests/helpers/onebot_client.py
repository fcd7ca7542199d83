"""A OneBot v11 client that a test can drive: sends events, collects actions with their times, answers them.

Blocking, with a thread that reads. What it answers an action is the test's choice; None leaves it unanswered.
"""

import itertools
import json
import threading
import time
from collections.abc import Callable
from typing import Any, Self

from waiting import PATIENCE_S
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

SELF_ID = 10001
_message_ids = itertools.count(1)

Action = dict[str, Any]
Answer = dict[str, Any] | None


def well(_action: Action) -> Answer:
    return {"status": "ok", "retcode": 0, "data": {"message_id": 1, "card": "Bot"}}


class OneBotTestClient:
    """One account, connected as long as the context lasts."""

    def __init__(
        self,
        url: str,
        token: str | None,
        *,
        self_id: int = SELF_ID,
        answer: Callable[[Action], Answer] = well,
    ) -> None:
        self.url = url
        self.token = token
        self.self_id = self_id
        self.answer = answer
        self.seen: list[tuple[float, Action]] = []
        self.closed: tuple[int, str] | None = None
        self._changed = threading.Condition()

    def __enter__(self) -> Self:
        self._connection = connect(
            self.url,
            additional_headers=headers(self.token, self.self_id),
            compression=None,
            ping_interval=None,
            max_size=None,
            proxy=None,
        )
        self.socket = self._connection.__enter__()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.send({"post_type": "meta_event", "meta_event_type": "lifecycle", "sub_type": "connect"})
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.__exit__(None, None, None)
        self._reader.join(10)

    def _read(self) -> None:
        try:
            for frame in self.socket:
                action = json.loads(frame)
                with self._changed:
                    self.seen.append((time.perf_counter(), action))
                    self._changed.notify_all()
                if (answer := self.answer(action)) is not None:
                    self.acknowledge(action, **answer)
        except ConnectionClosed:
            pass
        finally:
            with self._changed:
                self.closed = (self.socket.close_code or 1006, self.socket.close_reason or "")
                self._changed.notify_all()

    def acknowledge(self, action: Action, **answer: Any) -> None:
        self.socket.send(json.dumps({**answer, "echo": action.get("echo")}))

    # --- what goes out

    def send(self, event: dict[str, Any]) -> None:
        self.socket.send(json.dumps({"time": int(time.time()), "self_id": self.self_id, **event}))

    def private(self, user_id: int, text: str | list[dict[str, Any]]) -> int:
        """Ask as a friend; returns the id of the message."""
        message_id = next(_message_ids)
        kind = {"message_type": "private", "sub_type": "friend"}
        self.send(message_event(user_id, message_id, text) | kind)
        return message_id

    def group(self, group_id: int, user_id: int, text: str | list[dict[str, Any]]) -> int:
        message_id = next(_message_ids)
        kind = {"message_type": "group", "sub_type": "normal", "group_id": group_id}
        self.send(message_event(user_id, message_id, text) | kind)
        return message_id

    # --- what came in

    @property
    def actions(self) -> list[Action]:
        return [action for _, action in self.seen]

    @property
    def replies(self) -> list[Action]:
        return [action for action in self.actions if action["action"].startswith("send_")]

    def wait(self, count: int = 1, timeout_s: float = PATIENCE_S) -> list[Action]:
        """The first `count` replies. Raises TimeoutError."""
        self.until(lambda: len(self.replies) >= count, timeout_s, f"{count} replies")
        return self.replies

    @property
    def close_frame(self) -> int | None:
        """The code that the server said good-bye with, although it may still hold the connection."""
        received = self.socket.protocol.close_rcvd
        return None if received is None else int(received.code)

    def wait_closed(self, timeout_s: float = PATIENCE_S) -> tuple[int, str]:
        self.until(lambda: self.closed is not None, timeout_s, "the end of the connection")
        assert self.closed is not None
        return self.closed

    def until(self, condition: Callable[[], bool], timeout_s: float, what: str) -> None:
        with self._changed:
            if not self._changed.wait_for(condition, timeout_s):
                raise TimeoutError(f"{what} expected within {timeout_s:g} s; seen: {self.seen}")

    def is_silent(self, seconds: float) -> bool:
        """No further reply for so long."""
        before = len(self.replies)
        with self._changed:
            return not self._changed.wait_for(lambda: len(self.replies) > before, seconds)


def headers(token: str | None, self_id: int = SELF_ID, role: str = "Universal") -> dict[str, str]:
    auth = {} if token is None else {"Authorization": f"Bearer {token}"}
    return {"X-Self-ID": str(self_id), "X-Client-Role": role, **auth}


def message_event(user_id: int, message_id: int, text: str | list[dict[str, Any]]) -> dict[str, Any]:
    segments = [{"type": "text", "data": {"text": text}}] if isinstance(text, str) else text
    sender = {"user_id": user_id, "nickname": "u", "card": ""}
    return {
        "post_type": "message",
        "message_id": message_id,
        "user_id": user_id,
        "message": segments,
        "raw_message": "".join(s["data"].get("text", "") for s in segments),
        "font": 0,
        "sender": sender,
    }


def text_of(action: Action) -> str:
    return "".join(s["data"].get("text", "") for s in action["params"]["message"] if s["type"] == "text")


def quoted(action: Action) -> int | None:
    """The id of the message that a reply quotes."""
    return next((int(s["data"]["id"]) for s in action["params"]["message"] if s["type"] == "reply"), None)


def refused_with(url: str, shown: dict[str, str]) -> int | None:
    """The HTTP status that a handshake is refused with; None when it is accepted. Raises OSError."""
    try:
        with connect(url, additional_headers=shown, compression=None, proxy=None):
            return None
    except InvalidStatus as exc:
        return exc.response.status_code
