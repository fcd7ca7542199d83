"""A request's JSON -> the fields that an endpoint takes, or the 422 of the F family. No sockets."""

import json
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.responses import JSONResponse, Response

from astrometer.targets.simulator.chats.chat_run import Payload


class BodyRefused(Exception):
    """The request ends here, with this response."""

    def __init__(self, response: Response) -> None:
        super().__init__(response.status_code)
        self.response = response


class ChatBody(BaseModel):
    """What the F family checks of a chat body before its own rules."""

    model_config = ConfigDict(extra="allow")
    message: Any = None
    session_id: str | None = None
    conversation_id: str | None = None
    username: str | None = None
    config_id: str | None = None
    config_name: str | None = None
    platform_id: str | None = None
    enable_streaming: bool | None = None


class ImBody(BaseModel):
    model_config = ConfigDict(extra="allow")
    umo: str | None = None
    message: Any = None
    type: str | None = None


class BatchDeleteBody(BaseModel):
    model_config = ConfigDict(extra="allow")
    session_ids: list[str]


class ConversationRef(BaseModel):
    user_id: str
    cid: str


class ConversationsDeleteBody(BaseModel):
    conversations: list[ConversationRef]


def checked(model: type[BaseModel], raw: Any) -> Payload:
    """The F family's first look at a body. Raises Refused with its 422."""
    if raw is None:
        raise BodyRefused(JSONResponse({"detail": [missing("body")]}, status_code=422))
    if not isinstance(raw, dict):
        msg = "Input should be a valid dictionary or object to extract fields from"
        problem = {"type": "model_attributes_type", "loc": ["body"], "msg": msg, "input": raw}
        raise BodyRefused(JSONResponse({"detail": [problem]}, status_code=422))
    try:
        return model.model_validate(raw).model_dump(exclude_unset=True)
    except ValidationError as exc:
        problems = json.loads(exc.json(include_url=False, include_context=False))
        detail = [
            {"type": p["type"], "loc": ["body", *p["loc"]], "msg": p["msg"], "input": p["input"]}
            for p in problems
        ]
        raise BodyRefused(JSONResponse({"detail": detail}, status_code=422)) from exc


def missing(*loc: str, value: Any = None) -> Payload:
    return {"type": "missing", "loc": list(loc), "msg": "Field required", "input": value}
