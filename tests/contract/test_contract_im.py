"""`POST /im/message`: what is accepted, and each refusal with its HTTP status by family."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from contract_driver import Server, chat, new_name

from astrometer.api import endpoints as ep
from astrometer.api.chat.events import EventKind
from astrometer.api.outcome import Outcome, classify_json

WEBCHAT = "webchat:FriendMessage:contract"
REFUSALS = {
    "unknown platform": ("nope:FriendMessage:x", "hi", "Bot not found or not running for platform: nope"),
    "no umo": (None, "hi", "Missing key: umo"),
    "umo of one part": ("abc", "hi", "Invalid umo: not enough values to unpack (expected 3, got 1)"),
    "umo of two parts": ("a:b", "hi", "Invalid umo: not enough values to unpack (expected 3, got 2)"),
    "unknown type": ("webchat:Nonsense:x", "hi", "Invalid umo: 'Nonsense' is not a valid MessageType"),
    "only a reply": (
        WEBCHAT,
        [{"type": "reply", "message_id": 1}],
        "Message content is empty (reply only is not allowed)",
    ),
    "unknown attachment": (
        WEBCHAT,
        [{"type": "image", "attachment_id": "none"}],
        "attachment not found: none",
    ),
    "media by url": (
        WEBCHAT,
        [{"type": "image", "url": "http://example.invalid/x.png"}],
        "image part missing attachment_id",
    ),
    "unknown part": (WEBCHAT, [{"type": "at"}], "unsupported message part type: at"),
    "no message": (WEBCHAT, None, "Missing key: message"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_a_refused_push_is_400_in_the_f_family_and_200_before(astrbot: Server, case: str) -> None:
    umo, message, sentence = REFUSALS[case]
    body = {"message": message} if umo is None else {"umo": umo, "message": message}
    answer = astrbot.call(ep.IM_MESSAGE, key="im", json=body)
    assert (answer.status_code, answer.json()["message"]) == (400 if astrbot.fastapi else 200, sentence)
    verdict = classify_json(answer.status_code, answer.headers["content-type"], answer.content)
    assert verdict.outcome is (Outcome.CLIENT_ERROR if astrbot.fastapi else Outcome.API_ERROR)


@pytest.mark.parametrize("message", ["hello", [{"type": "plain", "text": "hello"}]])
def test_a_push_to_webchat_is_accepted(astrbot: Server, message: object) -> None:
    answer = astrbot.call(ep.IM_MESSAGE, key="im", json={"umo": WEBCHAT, "message": message})
    assert (answer.status_code, answer.json()["status"]) == (200, "ok")


def test_an_empty_push_is_refused_in_the_words_of_its_version(astrbot: Server) -> None:
    answer = astrbot.call(ep.IM_MESSAGE, key="im", json={"umo": WEBCHAT, "message": ""})
    empty = "Message content is empty (reply only is not allowed)"
    assert answer.json()["message"] == (empty if astrbot.version >= (4, 20, 1) else "Message is empty")


def test_a_push_to_a_streaming_chat_is_mixed_into_it_from_4_20_1(astrbot: Server) -> None:
    username, session_id = new_name("user"), new_name("session")
    umo = f"webchat:FriendMessage:webchat!{username}!{session_id}"
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(
            chat, astrbot, "[[ttft=1.2 gap=0.05 tokens=3]]", username=username, session_id=session_id
        )
        time.sleep(0.6)
        pushed = astrbot.call(ep.IM_MESSAGE, key="im", json={"umo": umo, "message": "pushed"})
    seen = running.result()
    assert pushed.json()["status"] == "ok"
    mixed_in = astrbot.version >= (4, 20, 1)
    assert ("pushed" in [event.text for event in seen.all(EventKind.TEXT)]) == mixed_in
    assert [event.text for event in seen.all(EventKind.PUSHED)] == (["pushed"] if mixed_in else [])
    assert [event.text for event in seen.all(EventKind.COMPLETE)] == ["w0 w1 w2 "]
    assert (seen.turn.text, seen.turn.pushed) == ("w0 w1 w2 ", int(mixed_in))
    assert seen.turn.timings.ttft_s > seen.turn.timings.server_ttft_s > 1.0
