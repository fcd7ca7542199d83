"""Uploads, downloads, and an upload used in a chat."""

import httpx
import pytest
from contract_driver import Server, chat, new_name

from astrometer.api import endpoints as ep
from astrometer.api.chat.messages import Attachment, Plain
from astrometer.api.outcome import Outcome


def upload(server: Server, name: str, content: bytes, mime_type: str) -> httpx.Response:
    return server.call(ep.UPLOAD, key="file", files={"file": (name, content, mime_type)})


@pytest.mark.parametrize(
    ("mime_type", "kind"),
    [("text/plain", "file"), ("image/png", "image"), ("audio/wav", "record"), ("video/mp4", "video")],
)
def test_the_type_comes_from_the_content_type_alone(astrbot: Server, mime_type: str, kind: str) -> None:
    name = f"{new_name()}.txt"
    data = upload(astrbot, name, b"not what it says", mime_type).json()["data"]
    assert (data["type"], data["filename"]) == (kind, name)
    assert ("stored_filename" in data) == (astrbot.version >= (4, 29, 0))


@pytest.mark.parametrize("size", [0, 1, 3_000_000])
def test_an_upload_comes_back_byte_by_byte_from_4_22_1(astrbot: Server, size: int) -> None:
    content = bytes(range(256)) * (size // 256) + bytes(size % 256)
    data = upload(astrbot, f"{new_name()}.bin", content, "application/octet-stream").json()["data"]
    answer = astrbot.call(ep.DOWNLOAD, key="file", params={"attachment_id": data["attachment_id"]})
    if astrbot.version >= (4, 22, 1):
        assert answer.status_code == 200
        assert answer.content == content
        assert answer.headers["content-type"].startswith("application/octet-stream")
    else:
        assert answer.headers["content-type"].startswith("text/html")  # the Q family's "404"


def test_an_unknown_attachment_is_an_error_in_http_200(astrbot: Server) -> None:
    answer = astrbot.call(ep.DOWNLOAD, key="file", params={"attachment_id": "none"})
    assert answer.status_code == 200
    if astrbot.version >= (4, 22, 1):
        assert answer.json()["message"] == "Attachment not found"


def test_an_upload_without_its_field_is_refused(astrbot: Server) -> None:
    answer = astrbot.call(ep.UPLOAD, key="file", files={"other": ("a.txt", b"x", "text/plain")})
    if astrbot.fastapi:
        assert (answer.status_code, answer.json()["detail"][0]["loc"]) == (422, ["body", "file"])
    else:
        assert (answer.status_code, answer.json()["message"]) == (200, "Missing key: file")


def test_an_upload_can_be_part_of_a_chat(astrbot: Server) -> None:
    data = upload(astrbot, f"{new_name()}.txt", b"hello", "text/plain").json()["data"]
    attachment = Attachment(kind="file", attachment_id=data["attachment_id"])
    seen = chat(astrbot, [Plain(text="[[ttft=0 tokens=2]]"), attachment])
    assert (seen.turn.outcome, seen.turn.text) == (Outcome.OK, "w0 w1 ")


def test_an_upload_of_the_same_name_overwrites_the_older_one_before_4_29(astrbot: Server) -> None:
    if astrbot.version < (4, 22, 1):
        pytest.skip("no download before 4.22.1")
    name = f"{new_name()}.txt"
    older = upload(astrbot, name, b"older", "text/plain").json()["data"]
    upload(astrbot, name, b"newer", "text/plain")
    content = astrbot.call(ep.DOWNLOAD, key="file", params={"attachment_id": older["attachment_id"]}).content
    assert content == (b"older" if astrbot.version >= (4, 29, 0) else b"newer")
