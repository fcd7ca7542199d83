"""HTTP requests -> the endpoints of a simulated AstrBot: chat, sessions, files, configs, IM."""

import asyncio
import uuid
from time import perf_counter
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from astrometer.targets.messenger import sink as im_sink
from astrometer.targets.messenger.sink import FRIEND, GROUP, PLATFORM, Sink
from astrometer.targets.simulator.bodies import BodyRefused, missing
from astrometer.targets.simulator.chats.chat import Pipeline
from astrometer.targets.simulator.chats.chat_run import Payload, SimulatedRun
from astrometer.targets.simulator.chats.event_stream import EventStream
from astrometer.targets.simulator.chats.parts import (
    MEDIA,
    PartsError,
    chat_parts,
    has_content,
    im_text,
    old_chat_parts,
)
from astrometer.targets.simulator.management.simulated_bots import SimulatedBots
from astrometer.targets.simulator.simulated_faults import Fault, FaultKind
from astrometer.targets.simulator.store import SimKey, Store

ACK_TIMEOUT_S = 180.0  # of an IM push
ADMINS = frozenset({"astrbot"})
CONFIGS = ({"id": "default", "name": "default", "path": "data/cmd_config.json", "is_default": True},)
FORMS = ("multipart/form-data", "application/x-www-form-urlencoded")
MESSAGE_TYPES = frozenset({"GroupMessage", "FriendMessage", "OtherMessage"})


class Api:
    """The endpoints. Each handler gets a request whose key has the scope already."""

    def __init__(
        self,
        store: Store,
        pipeline: Pipeline,
        *,
        heartbeat_s: float,
        stamp: bool,
        sink: Sink | None = None,
        bots: SimulatedBots,
    ) -> None:
        self.store = store
        self.wire = store.wire
        self.pipeline = pipeline
        self.heartbeat_s = heartbeat_s
        self.stamp = stamp
        self.sink = sink
        self.bots = bots

    # --- chat

    async def chat(self, body: Payload, fault: Fault | None) -> Response:
        """The stream of a new run, or the refusal that this version answers (HTTP 200, JSON)."""
        run = self.start_run(body, fault, SimulatedRun)
        return EventStream(run, heartbeat_s=self.heartbeat_s, stamp=self.stamp, fault=fault)

    def start_run(self, body: Payload, fault: Fault | None, run_type: type[SimulatedRun]) -> SimulatedRun:
        """Begin to answer a chat's body. Raises BodyRefused."""
        username = self._username(body.get("username"))
        if self.wire.reserves_admin_names and username in ADMINS:
            raise BodyRefused(self.wire.error("username is reserved for an AstrBot administrator"))
        if self.pipeline.refuses:
            raise BodyRefused(self.wire.error("Too many requests", 429))
        asked = body.get("session_id", body.get("conversation_id"))
        session_id = str(asked).strip() if asked is not None else ""
        # The session is made before the message is looked at: a refused message leaves a row.
        session = self.store.open_session(username, session_id or str(uuid.uuid4()))
        if session is None:
            raise BodyRefused(self.wire.error("session_id belongs to another username"))
        self._check_config(body)
        parts = self._chat_parts(body)
        if fault is not None and fault.kind is FaultKind.NOT_SSE:
            page = "<html><body>proxy: try again</body></html>"
            raise BodyRefused(Response(page, media_type="text/html"))
        flag = body.get("enable_streaming")
        streaming = True if flag is None else bool(flag)
        run = run_type(self.store, session_id=session.session_id, username=username, streaming=streaming)
        run.open([part for part in parts if part.get("text") or part["type"] != "plain"])
        prompt = "".join(part.get("text", "") for part in parts if part["type"] == "plain")
        attachments = [part for part in parts if part["type"] in MEDIA]
        if isinstance(body.get("message"), str | list):
            self.pipeline.start(run, prompt, {**body, "_attachments": attachments}, fault)
        # else: up to 4.20.0 a message of another type opens a stream that never ends.
        return run

    def _username(self, raw: Any) -> str:
        if raw is None:
            raise BodyRefused(self.wire.error("Missing key: username"))
        username = str(raw).strip()
        if not username:
            raise BodyRefused(self.wire.error("username is empty"))
        return username

    def _check_config(self, body: Payload) -> None:
        config_id = str(body.get("config_id") or "").strip()
        config_name = str(body.get("config_name") or "").strip()
        if config_id and config_id not in {str(config["id"]) for config in CONFIGS}:
            raise BodyRefused(self.wire.error(f"config_id not found: {config_id}"))
        if not config_id and config_name and config_name not in {str(config["name"]) for config in CONFIGS}:
            raise BodyRefused(self.wire.error(f"config_name not found: {config_name}"))

    def _chat_parts(self, body: Payload) -> list[Payload]:
        if "message" not in body and "files" not in body:
            raise BodyRefused(self.wire.error("Missing key: message or files"))
        message = body.get("message", [])
        try:
            if not self.wire.refuses_empty_messages:
                return old_chat_parts(message, self.store.attachments)
        except PartsError as exc:
            raise BodyRefused(self.wire.error(str(exc))) from exc
        parts = chat_parts(message, self.store.attachments)
        if not has_content(parts):
            raise BodyRefused(self.wire.error("Message content is empty (reply only is not allowed)"))
        return parts

    # --- sessions

    def sessions(self, request: Request) -> Response:
        query = request.query_params
        username = self._username(query.get("username"))
        try:
            page, size = int(query.get("page", 1)), int(query.get("page_size", 20))
        except ValueError:
            return self.wire.error("page and page_size must be integers")
        page, size = max(page, 1), min(max(size, 1), 100)
        rows = self.store.sessions_of(username, query.get("platform_id"))
        shown = [session.row(self.wire) for session in rows[(page - 1) * size : page * size]]
        return self.wire.ok({"sessions": shown, "page": page, "page_size": size, "total": len(rows)})

    def session_new(self, request: Request, key: SimKey) -> Response:
        session = self.store.open_session(key.username)
        assert session is not None  # a new one is nobody else's
        session.platform_id = request.query_params.get("platform_id") or session.platform_id
        return self.wire.ok({"session_id": session.session_id, "platform_id": session.platform_id})

    def session_get(self, session_id: str, key: SimKey) -> Response:
        if not self.wire.open_sessions:
            self._own_session(session_id, key)
        elif session_id not in self.store.sessions:
            return self.wire.error(f"Session {session_id} not found")
        runs = self.pipeline.running.get(session_id, [])
        history = [message.row(self.wire) for message in self.store.messages.get(session_id, [])]
        data: Payload = {"history": history}
        if self.wire.session_detail:
            row = self.store.sessions[session_id].row(self.wire)
            pages = {"total": len(history), "page": 1, "page_size": 1000, "has_more": False}
            data = {"session": row, **data, **pages}
        data |= {"threads": [], "is_running": bool(runs)}
        if self.wire.stats_before_plain:
            data["active_runs"] = [{"run_id": run.message_id} for run in runs]
        return self.wire.ok(data)

    def session_delete(self, session_id: str, key: SimKey) -> Response:
        self._own_session(session_id, key)
        self.pipeline.stop(session_id)
        self.store.delete_session(session_id)
        return self.wire.ok()

    def batch_delete(self, body: Payload, key: SimKey) -> Response:
        if not body["session_ids"]:
            return self.wire.error("Missing or invalid key: session_ids")
        failed = []
        for session_id in body["session_ids"]:
            session = self.store.sessions.get(session_id)
            if session is None:
                failed.append({"session_id": session_id, "reason": "not found"})
            elif session.creator != key.username:
                failed.append({"session_id": session_id, "reason": "permission denied"})
            else:
                self.pipeline.stop(session_id)
                self.store.delete_session(session_id)
        count = len(body["session_ids"]) - len(failed)
        return self.wire.ok({"deleted_count": count, "failed_count": len(failed), "failed_items": failed})

    def session_stop(self, session_id: str, key: SimKey) -> Response:
        self._own_session(session_id, key)
        return self.wire.ok({"stopped_count": self.pipeline.stop(session_id)})

    def _own_session(self, session_id: str, key: SimKey) -> None:
        session = self.store.sessions.get(session_id)
        if session is None:
            raise BodyRefused(self.wire.error(f"Session {session_id} not found"))
        if session.creator != key.username:
            raise BodyRefused(self.wire.error("Permission denied"))

    # --- files and configs

    async def upload(self, request: Request) -> Response:
        upload = None
        if request.headers.get("content-type", "").startswith(FORMS):
            async with request.form() as form:
                upload = form.get("file")
                if upload is not None and not isinstance(upload, str):
                    mime_type = upload.content_type or "application/octet-stream"
                    content = await upload.read()
                    stored, shown = self.store.save_file(upload.filename, mime_type, content)
                    own = {"stored_filename": stored.path} if self.wire.unique_upload_names else {}
                    names = {"attachment_id": stored.attachment_id, "filename": shown, **own}
                    return self.wire.ok({**names, "type": stored.kind})
        if not self.wire.fastapi:
            return self.wire.error("Missing key: file")
        if upload is None:
            return self.wire.validation([missing("body", "file")])
        msg = "Value error, Expected UploadFile, received: <class 'str'>"
        problem = {"type": "value_error", "loc": ["body", "file"], "msg": msg, "input": upload}
        return self.wire.validation([{**problem, "ctx": {"error": {}}}])

    def download(self, request: Request) -> Response:
        attachment_id = request.query_params.get("attachment_id")
        if not attachment_id:
            if self.wire.fastapi and attachment_id is None:
                return self.wire.validation([missing("query", "attachment_id")])
            return self.wire.error("Missing key: attachment_id")
        stored = self.store.attachments.get(attachment_id)
        if stored is None:
            return self.wire.error("Attachment not found")
        content = self.store.files[stored.path]
        if self.wire.fastapi:
            return Response(content, media_type=stored.mime_type)  # adds a charset to text types
        return Response(content, headers={"content-type": stored.mime_type})

    def configs(self) -> Response:
        return self.wire.ok({"configs": list(CONFIGS)})

    # --- IM

    async def im_message(self, body: Payload) -> Response:
        refused = 400 if self.wire.fastapi else 200
        message, umo = body.get("message", {}), body.get("umo")
        if message is None:
            return self.wire.error("Missing key: message", refused)
        if not umo:
            return self.wire.error("Missing key: umo", refused)
        fields = str(umo).split(":", 2)
        if len(fields) < 3:
            problem = f"not enough values to unpack (expected 3, got {len(fields)})"
            return self.wire.error(f"Invalid umo: {problem}", refused)
        platform, message_type, session = fields
        if message_type not in MESSAGE_TYPES:
            return self.wire.error(f"Invalid umo: '{message_type}' is not a valid MessageType", refused)
        sink = self.sink if platform == im_sink.PLATFORM else None
        adapter = self.bots.adapter(platform)
        if platform != "webchat" and sink is None and adapter is None:
            return self.wire.error(f"Bot not found or not running for platform: {platform}", refused)
        try:
            text, parts = im_text(message, self.store.attachments, empty_text=self.wire.empty_im_text)
        except PartsError as exc:
            return self.wire.error(str(exc), refused)
        if platform == "webchat":
            self._push(session.rsplit("!", 1)[-1], parts)
            return self.wire.ok()
        said = None
        if sink is not None:
            said = await deliver(sink, message_type, session, text)
        elif adapter is not None:
            said = await adapter.push(message_type, session, text)
        return self.wire.error(said, refused) if said else self.wire.ok()

    def _push(self, session_id: str, parts: list[Payload]) -> None:
        self.store.counters["im_messages"] += 1
        if not self.wire.stores_im:
            return  # 4.18: it says ok and drops the message
        runs = self.pipeline.running.get(session_id, [])
        for run in runs:
            run.push([part["text"] for part in parts if "text" in part])
        if not runs:
            self.store.save_message(session_id, "bot", parts, "bot")

    def im_bots(self) -> Response:
        # webchat is never listed
        sink = [im_sink.PLATFORM] if self.sink is not None else []
        return self.wire.ok({"bot_ids": sink + [str(bot["id"]) for bot in self.bots.listed()]})


async def deliver(sink: Sink, message_type: str, session: str, text: str) -> str | None:
    """An IM push, with the delays and faults of the sink. Returns what AstrBot says went wrong, or None."""
    kind = GROUP if message_type == GROUP else FRIEND
    identity = session.rsplit("_", 1)[-1] if kind == GROUP else session
    if not identity.isdigit():
        return f"无法发送消息：缺少有效的数字 session_id({identity}) 或 event(None)"
    sink.action()
    await asyncio.sleep(sink.faults.delivery_delay_s)
    if not sink.arrived(perf_counter(), f"{PLATFORM}:{kind}:{int(identity)}", text):
        await asyncio.sleep(ACK_TIMEOUT_S)
        return "Failed to send message: WebSocket API call timeout"
    await asyncio.sleep(sink.faults.delay_ack_s)
    return None
