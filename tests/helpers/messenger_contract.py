"""What the contract tests of the messenger share: people, segments, silence, pushes."""

import itertools

import httpx
from onebot_client import SELF_ID

people = itertools.count(50_001)  # a session of its own for each question


def text(words):
    return {"type": "text", "data": {"text": words}}


def at(person=SELF_ID):
    return {"type": "at", "data": {"qq": str(person)}}


def is_silent(messenger, client, seconds):
    """No reply for so long; the simulator is quick."""
    return client.is_silent(seconds if messenger.real else min(seconds, 0.25))


def push(messenger, session, kind="FriendMessage"):
    answer = httpx.post(
        f"{messenger.http_url}/api/v1/im/message",
        headers={"X-API-Key": messenger.im_key},
        json={"umo": f"messenger:{kind}:{session}", "message": "pushed"},
        timeout=20,
    )
    return answer.status_code, answer.json()["message"]


def refused(messenger):
    return 400 if messenger.version >= (4, 26, 0) else 200
