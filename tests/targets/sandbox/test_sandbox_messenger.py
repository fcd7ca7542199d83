"""A real AstrBot with a messenger of its own beside the sink of pushes, over a restart."""

import box_control
import httpx
import pytest
from onebot_client import OneBotTestClient, quoted, text_of

from astrometer.targets.messenger.messenger_profile import MessengerProfile
from astrometer.targets.sandbox.box import SandboxOptions, sandbox
from astrometer.targets.sandbox.provision import ProvisionSettings

pytestmark = [pytest.mark.astrbot, pytest.mark.timeout(600), pytest.mark.process]


@pytest.mark.parametrize("version", ["4.23.6", "latest"])
def test_the_messenger_stands_beside_the_sink_and_outlives_a_restart(python_for_astrbot, version):
    options = SandboxOptions(version=version, im_sink=True, messenger=MessengerProfile(reply_prefix="P:"))
    with sandbox(options) as box:
        access = box.messenger
        assert access.token not in repr(access)
        assert sorted(_bots(box)) == ["messenger", "onebot"]
        for platform in ("onebot", "messenger"):
            with OneBotTestClient(access.url, access.token) as client:
                body = {"umo": f"{platform}:FriendMessage:5001", "message": f"to {platform}"}
                answer = httpx.post(f"{box.url}/api/v1/im/message", headers=_key(box), json=body, timeout=30)
                assert answer.json()["status"] == "ok"
                assert [text_of(reply) for reply in client.replies] == (
                    ["to messenger"] if platform == "messenger" else []
                )
        arrived = httpx.get(f"{box.sink_url}/messages").json()["messages"]
        assert [message["text"] for message in arrived] == ["to onebot"]
        box_control.configure(box, ProvisionSettings(model_timeout_s=7))  # restarts it
        assert sorted(_bots(box)) == ["messenger", "onebot"]
        with OneBotTestClient(access.url, access.token) as client:
            message_id = client.private(5001, "help me [[ttft=0 tokens=1]]")  # no command in this profile
            (reply,) = client.wait()
            assert (text_of(reply), quoted(reply)) == ("P:w0", message_id)
        box_control.close_messenger(box)
        assert _bots(box) == ["onebot"]
        assert box.describe()["messenger"] is None


def _key(box):
    return {"X-API-Key": box.keys["im"]}


def _bots(box):
    return httpx.get(f"{box.url}/api/v1/im/bots", headers=_key(box)).json()["data"]["bot_ids"]
