"""The events of one golden stream -> bytes, as AstrBot or as an OpenAI-compatible model writes them.

One schedule drives both: only the bytes around the time stamp differ.
"""

import json
from typing import Protocol

MODEL = "golden"


class GoldenDialect(Protocol):
    """How one API writes a stream. What is returned are SSE events, not yet chunked."""

    def opening(self, number: int) -> bytes:
        """What is sent with the head; may be empty."""

    def content(self, text: str) -> bytes: ...

    def closing(self, events: int, ttft_s: float) -> bytes: ...


class AstrBotDialect:
    """`POST /api/v1/chat`."""

    def opening(self, number: int) -> bytes:
        return _event(f'"type":"session_id","data":null,"session_id":"golden-{number}"')

    def content(self, text: str) -> bytes:
        return _event(f'"type":"plain","data":"{text}","streaming":true')

    def closing(self, events: int, ttft_s: float) -> bytes:
        usage = f'{{"input_other":10,"input_cached":0,"output":{events}}}'
        stats = f'"token_usage":{usage},"time_to_first_token":{ttft_s}'
        last = _event(f'"type":"agent_stats","data":{{{stats}}}')
        return last + _event('"type":"end","data":"","streaming":false')


class OpenAIDialect:
    """`POST /v1/chat/completions` with `stream`: an event counts as one token, and the usage says so."""

    _ENVELOPE = f'"id":"chatcmpl-golden","object":"chat.completion.chunk","created":0,"model":"{MODEL}"'

    def opening(self, number: int) -> bytes:  # noqa: ARG002 (a completion begins with its first token)
        return b""

    def content(self, text: str) -> bytes:
        delta = f'{{"role":"assistant","content":"{text}"}}'
        return self._chunk(f'{{"index":0,"delta":{delta},"finish_reason":null}}')

    def closing(self, events: int, ttft_s: float) -> bytes:  # noqa: ARG002 (no field of it says that)
        usage = f'{{"prompt_tokens":10,"completion_tokens":{events},"total_tokens":{10 + events}}}'
        last = self._chunk('{"index":0,"delta":{},"finish_reason":"stop"}')
        return last + self._chunk("", usage) + b"data: [DONE]\n\n"

    def _chunk(self, choices: str, usage: str = "null") -> bytes:
        return _event(f'{self._ENVELOPE},"choices":[{choices}],"usage":{usage}')


DIALECTS: dict[bytes, GoldenDialect] = {
    b"POST /api/v1/chat ": AstrBotDialect(),
    b"POST /v1/chat/completions ": OpenAIDialect(),
}
MODELS = json.dumps({"object": "list", "data": [{"id": MODEL, "object": "model"}]}).encode()


def _event(fields: str) -> bytes:
    return f"data: {{{fields}}}\n\n".encode()
