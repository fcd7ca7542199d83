"""Failures of the model, and prompts that never reach it: what the client gets to see, by version."""

import pytest
from contract_driver import Server, chat

from astrometer.api.chat.commands import guard
from astrometer.api.chat.events import EventKind
from astrometer.api.outcome import Outcome

SENTENCE = "LLM 响应错误: "


def shows_sentence(server: Server) -> bool:
    """Between 4.26.0 and 4.26.8 the sentence of a failed upstream began to reach streaming clients."""
    return server.version >= (4, 26, 6)


@pytest.mark.parametrize("status", [400, 401])
def test_a_refusing_model_is_a_sentence_or_silence_in_a_stream(astrbot: Server, status: int) -> None:
    seen = chat(astrbot, f"[[fail={status}]]")
    assert seen.turn.outcome is Outcome.LLM_ERROR
    assert (seen.turn.input_tokens, seen.turn.output_tokens) == (0, 0)
    assert seen.turn.text.startswith(SENTENCE) == shows_sentence(astrbot)
    if shows_sentence(astrbot):
        assert seen.types[-6:] == ["run_started", "agent_stats", "plain", "complete", "message_saved", "end"]
    else:
        assert seen.types[-4:] == ["agent_stats", "complete", "message_saved", "end"]
        assert "plain" not in seen.types


def test_a_refusing_model_is_a_sentence_in_an_unstreamed_answer(astrbot: Server) -> None:
    seen = chat(astrbot, "[[fail=400]]", streaming=False)
    assert seen.turn.outcome is Outcome.LLM_ERROR
    (notice,) = seen.all(EventKind.NOTICE)
    assert notice.text.startswith(f"{SENTENCE}All chat models failed: BadRequestError")


def test_a_model_that_answers_500_is_asked_again_and_then_given_up(astrbot: Server) -> None:
    # A real server takes 2 s before 4.26, 15 s from 4.29 (22 s between); the simulator says so shortly.
    seen = chat(astrbot, "[[fail=500]]")
    assert seen.turn.outcome is Outcome.LLM_ERROR
    assert seen.turn.text.startswith(SENTENCE) == shows_sentence(astrbot)
    if astrbot.real:
        assert (seen.turn.timings.turn_time_s or 0) > (10 if astrbot.fastapi else 0.5)


def test_a_model_that_breaks_off_leaves_a_truncated_or_a_glued_answer(astrbot: Server) -> None:
    seen = chat(astrbot, "[[ttft=0.05 gap=0.02 tokens=9 drop=2]]")
    assert seen.turn.text.startswith("w0 w1 ")
    if shows_sentence(astrbot):
        assert seen.turn.text.startswith(f"w0 w1 {SENTENCE}")
        assert seen.turn.outcome is Outcome.LLM_ERROR
    else:
        assert seen.turn.text == "w0 w1 "
        assert seen.types[-4:] == ["agent_stats", "complete", "message_saved", "end"]


def test_an_empty_completion_is_a_failure_of_the_model(astrbot: Server) -> None:
    seen = chat(astrbot, "[[fail=empty ttft=0.05]]")
    assert seen.turn.outcome is Outcome.LLM_ERROR
    sentence = f"{SENTENCE}All available chat models are unavailable."
    assert seen.turn.text == (sentence if shows_sentence(astrbot) else "")


def test_an_unknown_provider_is_never_asked(astrbot: Server) -> None:
    seen = chat(astrbot, "[[ttft=0 tokens=1]]", selected_provider="none")
    assert seen.turn.outcome in (Outcome.NOT_ASKED, Outcome.LLM_ERROR)
    notices = "".join(event.text for event in seen.all(EventKind.NOTICE))
    assert ("LLM 请求失败" in notices) == (astrbot.version >= (4, 25, 0))
    assert EventKind.STATS not in [event.kind for _, event in seen.events]


@pytest.mark.parametrize(
    "prompt", ["help me write a poem", "new ideas please", "reset my expectations", "sid"]
)
def test_an_ordinary_sentence_can_be_a_command_and_never_reach_the_model(
    astrbot: Server, prompt: str
) -> None:
    seen = chat(astrbot, prompt)
    assert seen.turn.outcome is Outcome.NOT_ASKED
    assert seen.all(EventKind.TEXT) == []
    assert len(seen.all(EventKind.NOTICE)) == 1
    saved = ["user_message_saved"] if astrbot.version >= (4, 23, 5) else []
    assert seen.types == ["session_id", *saved, "plain", "message_saved", "end"]


def test_a_guarded_sentence_reaches_the_model(astrbot: Server) -> None:
    seen = chat(astrbot, guard("help me write a poem [[ttft=0 tokens=2]]"))
    assert (seen.turn.outcome, seen.turn.text) == (Outcome.OK, "w0 w1 ")


def test_help_tells_the_version(astrbot: Server) -> None:
    notice = chat(astrbot, "/help").all(EventKind.NOTICE)[0].text
    assert notice.startswith(f"AstrBot v{'.'.join(map(str, astrbot.version))}(WebUI: ")
