"""OpenAI chat completion JSON -> the prompt; answer tokens -> completion chunks. No sockets, no clock."""

import json
from dataclasses import dataclass
from typing import Any

TITLE_MARKS = ("conversation title generator", "Generate a concise title for the following user query")
DONE = b"data: [DONE]\n\n"


class BadRequestError(ValueError):
    """Not a chat completion request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """What was asked: the last user message, and how the answer is to travel."""

    text: str
    model: str
    streaming: bool
    wants_usage: bool
    is_title: bool  # AstrBot's second call for a new session, which names it
    characters: int  # of all messages together
    before: str = ""  # the user's earlier messages of this conversation


def read_prompt(payload: Any) -> Prompt:
    """Raises BadRequestError."""
    messages = payload.get("messages") if isinstance(payload, dict) else None
    if not isinstance(messages, list) or not messages:
        raise BadRequestError("messages: a list of at least one message expected")
    said = [(str(message.get("role")), _text(message)) for message in messages if isinstance(message, dict)]
    users = [text for role, text in said if role == "user"]
    options = payload.get("stream_options")
    return Prompt(
        text=users[-1] if users else "",
        before="\n".join(users[:-1]),
        model=str(payload.get("model", "")),
        streaming=payload.get("stream") is True,
        wants_usage=isinstance(options, dict) and options.get("include_usage") is True,
        is_title=any(mark in text for _, text in said[:2] for mark in TITLE_MARKS),
        characters=sum(len(text) for _, text in said),
    )


def _text(message: dict[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, list):
        parts = [part.get("text") for part in content if isinstance(part, dict)]
        return "\n".join(part for part in parts if isinstance(part, str))
    return content if isinstance(content, str) else ""


def error_body(status: int, message: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": "stub_error", "param": None, "code": status}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    model: str
    number: int

    def _envelope(self, kind: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
        identity = f"chatcmpl-stub-{self.number}"
        return {"id": identity, "object": kind, "created": 0, "model": self.model, "choices": choices}

    def chunk(
        self, delta: dict[str, Any], finish: str | None = None, usage: dict[str, Any] | None = None
    ) -> bytes:
        choices = [{"index": 0, "delta": delta, "finish_reason": finish}]
        body = self._envelope("chat.completion.chunk", choices)
        return _event(body if usage is None else {**body, "usage": usage})

    def usage_chunk(self, usage: dict[str, Any]) -> bytes:
        return _event({**self._envelope("chat.completion.chunk", []), "usage": usage})

    def whole(self, text: str, reasoning: str, usage: dict[str, Any] | None) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": text}
        if reasoning:
            message["reasoning_content"] = reasoning
        body = self._envelope("chat.completion", [{"index": 0, "message": message, "finish_reason": "stop"}])
        return body if usage is None else {**body, "usage": usage}


def usage_of(prompt: Prompt, *, answer_tokens: int, reasoning_tokens: int) -> dict[str, Any]:
    """Exact output counts; the input is estimated as four characters to a token."""
    prompt_tokens = prompt.characters // 4 + 1
    completion_tokens = answer_tokens + reasoning_tokens
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
        "completion_tokens_details": {"reasoning_tokens": reasoning_tokens},
    }


def _event(payload: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode() + b"\n\n"
