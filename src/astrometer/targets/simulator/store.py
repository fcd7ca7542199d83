"""What a simulated AstrBot remembers: keys, sessions, message history, attachments. In memory only."""

import secrets
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any

from astrometer.targets.simulator.stored_conversations import StoredConversations
from astrometer.targets.simulator.version_traits import Wire, now

WEBCHAT = "webchat"


@dataclass(frozen=True, slots=True, kw_only=True)
class SimKey:
    """One API key. A revoked or an expired one is answered like an unknown one."""

    secret: str = field(repr=False)
    scopes: frozenset[str]
    key_id: str = ""
    revoked: bool = False
    expired: bool = False

    @property
    def username(self) -> str:
        """Who the key itself is: the only creator whose sessions it may read and delete."""
        return f"api_key:{self.key_id}"

    @property
    def active(self) -> bool:
        return not (self.revoked or self.expired)

    def allows(self, scope: str) -> bool:
        included = ("bot", "provider") if "config" in self.scopes else ()
        return "*" in self.scopes or scope in self.scopes or scope in included


def new_key(*scopes: str, revoked: bool = False, expired: bool = False) -> SimKey:
    return SimKey(
        secret=f"abk_{secrets.token_urlsafe(24)}",
        scopes=frozenset(scopes),
        key_id=str(uuid.uuid4()),
        revoked=revoked,
        expired=expired,
    )


@dataclass(slots=True, kw_only=True)
class SimulatedSession:
    """A row of `GET /chat/sessions`."""

    session_id: str
    creator: str
    platform_id: str = WEBCHAT
    display_name: str | None = None
    created_at: datetime = field(default_factory=now)
    updated_at: datetime = field(default_factory=now)

    def row(self, wire: Wire) -> dict[str, Any]:
        return {
            "session_id": self.session_id,
            "platform_id": self.platform_id,
            "creator": self.creator,
            "display_name": self.display_name,
            "is_group": 0,
            "created_at": wire.timestamp(self.created_at),
            "updated_at": wire.timestamp(self.updated_at),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredMessage:
    """One message of a session, the user's or the bot's."""

    id: int
    user_id: str  # the session's id, or whatever an IM push named
    content: dict[str, Any]
    sender: str
    checkpoint_id: str | None
    created_at: datetime

    def row(self, wire: Wire) -> dict[str, Any]:
        at = wire.timestamp(self.created_at)
        return {
            "id": self.id,
            "platform_id": WEBCHAT,
            "user_id": self.user_id,
            "sender_id": self.sender,
            "sender_name": self.sender,
            "content": self.content,
            "llm_checkpoint_id": self.checkpoint_id,
            "created_at": at,
            "updated_at": at,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """An attachment; its bytes are in `Store.files` under `path`, where a later upload may overwrite them."""

    attachment_id: str
    path: str
    mime_type: str
    kind: str


def webchat_umo(creator: str, session_id: str) -> str:
    return f"{WEBCHAT}:FriendMessage:{WEBCHAT}!{creator}!{session_id}"


class Store:
    def __init__(self, wire: Wire, keys: dict[str, SimKey]) -> None:
        self.wire = wire
        self.keys = keys
        self.by_secret = {key.secret: key for key in keys.values()}
        self.sessions: dict[str, SimulatedSession] = {}
        self._sessions_of: dict[str, dict[str, SimulatedSession]] = {}  # by creator, the oldest first
        self.messages: dict[str, list[StoredMessage]] = {}
        self.attachments: dict[str, StoredFile] = {}
        self.files: dict[str, bytes] = {}
        self.conversations = StoredConversations()
        self.counters: Counter[str] = Counter()
        self.started_at = int(time.time())
        self._last_id = 0

    # --- sessions

    def open_session(self, creator: str, session_id: str | None = None) -> SimulatedSession | None:
        """Return the creator's session, made if it is new; None when it is somebody else's."""
        known = self.sessions.get(session_id) if session_id else None
        if known is not None:
            return known if known.creator == creator else None
        made = SimulatedSession(session_id=session_id or str(uuid.uuid4()), creator=creator)
        self.sessions[made.session_id] = made
        self._sessions_of.setdefault(creator, {})[made.session_id] = made
        return made

    def sessions_of(self, creator: str, platform_id: str | None) -> list[SimulatedSession]:
        """The creator's sessions, the newest first."""
        rows = reversed(self._sessions_of.get(creator, {}).values())
        return [session for session in rows if platform_id in (None, "", session.platform_id)]

    def delete_session(self, session_id: str) -> None:
        """Forget the session, its conversation, its messages, and the attachments that they refer to."""
        session = self.sessions.pop(session_id, None)
        if session is not None:
            del self._sessions_of[session.creator][session_id]
            self.conversations.delete_of(webchat_umo(session.creator, session_id))
        for message in self.messages.pop(session_id, []):
            for part in message.content.get("message", []):
                stored = self.attachments.pop(part.get("attachment_id", ""), None)
                if stored is not None:
                    self.files.pop(stored.path, None)

    # --- messages

    def save_message(
        self,
        user_id: str,
        kind: str,
        parts: list[dict[str, Any]],
        sender: str,
        *,
        checkpoint_id: str | None = None,
        agent_stats: dict[str, Any] | None = None,
    ) -> StoredMessage:
        content: dict[str, Any] = {"type": kind, "message": parts}
        if agent_stats:
            content["agent_stats"] = agent_stats
        self._last_id += 1
        message = StoredMessage(
            id=self._last_id,
            user_id=user_id,
            content=content,
            sender=sender,
            checkpoint_id=checkpoint_id,
            created_at=now(),
        )
        self.messages.setdefault(user_id, []).append(message)
        self.counters[f"messages_{kind}"] += 1
        return message

    # --- attachments

    def save_file(self, filename: str | None, mime_type: str, content: bytes) -> tuple[StoredFile, str]:
        """Store an upload and return it with the file name that the server answers."""
        name = filename or (_timestamp_id() if self.wire.safe_upload_names else str(uuid.uuid4()))
        if self.wire.safe_upload_names:
            name = PurePosixPath(name.replace("\\", "/")).name.replace("\x00", "").strip() or _timestamp_id()
        shown = name if self.wire.safe_upload_names else PurePosixPath(name).name
        kind = next((kind for start, kind in KINDS if mime_type.startswith(start)), "file")
        if self.wire.unique_upload_names and kind == "image":
            mime_type, shown = _true_image(content, mime_type, shown)
        stored = StoredFile(
            attachment_id=str(uuid.uuid4()),
            # Before 4.29.0 an upload of the same name overwrites the bytes of the older attachment.
            path=f"{_timestamp_id()}_{shown}" if self.wire.unique_upload_names else shown,
            mime_type=mime_type,
            kind=kind,
        )
        self.attachments[stored.attachment_id] = stored
        self.files[stored.path] = content
        self.counters["uploads"] += 1
        return stored, shown


# The type of an upload is read off the Content-Type of its part alone: a text called image/png is an image.
KINDS = (("image", "image"), ("audio", "record"), ("video", "video"))
_IMAGE_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "image/png", ".png"),
    (b"\xff\xd8\xff", "image/jpeg", ".jpg"),
    (b"GIF8", "image/gif", ".gif"),
)


def _true_image(content: bytes, mime_type: str, name: str) -> tuple[str, str]:
    """From 4.29.0 an image whose bytes tell its format is renamed after it."""
    for magic, true_type, suffix in _IMAGE_MAGIC:
        if content.startswith(magic):
            path = PurePosixPath(name)
            return true_type, name if path.suffix.lower() == suffix else path.stem + suffix
    return mime_type, name


def _timestamp_id() -> str:
    return f"{time.strftime('%Y%m%d%H%M%S')}{secrets.token_hex(4)}"
