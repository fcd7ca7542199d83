"""Messages reach receivers on the loopback, whatever these do, and no URL is shown anywhere."""

import asyncio
import json
import time

import pytest
from layer_states import DOWN, WELL, receiver
from receivers import TOKEN, receivers
from required import needs_extra
from waiting import async_until

from astrometer.config.notify_settings import DEFAULT_TEMPLATE, Receiver, ReceiverKind
from astrometer.config.secret import Secret
from astrometer.probing.notify import channels
from astrometer.probing.notify.channels import NotDelivered, channel_of
from astrometer.probing.notify.incident import Note
from astrometer.probing.notify.notifier import MOST_WAITING, Notifier

NOTE = Note(title='prod "DOWN"', text="a\nb", status="problem", severity="page", target="prod")


@pytest.fixture
def there():
    with receivers() as found:
        yield found


def to(kind: str, url: str, **more) -> Receiver:
    return Receiver(name=kind, kind=ReceiverKind(kind), url=Secret(url), after_s=0.0, **more)


def look(notifier: Notifier, *states) -> None:
    for state in states:
        notifier.look({"prod": state}, lambda *_: "")


def test_a_webhook_gets_its_template_with_the_message_in_it(there):
    asyncio.run(channel_of(to("webhook", there.hook)).send(NOTE))
    assert there.messages == [{name: getattr(NOTE, name) for name in json.loads(DEFAULT_TEMPLATE)}]
    wecom = '{"msgtype": "text", "text": {"content": "{title}\\n{text}"}}'
    asyncio.run(channel_of(to("webhook", there.hook, template=wecom)).send(NOTE))
    assert there.messages[1] == {"msgtype": "text", "text": {"content": 'prod "DOWN"\na\nb'}}
    asyncio.run(channel_of(to("webhook", there.hook, template="{title}: {text}")).send(NOTE))
    assert there.bodies[2] == b'prod "DOWN": a\nb'


@pytest.mark.parametrize(
    ("ails", "why"),
    [
        (500, "HTTP 500"),
        (302, "HTTP 302"),
        (b'{"errcode": 310000, "errmsg": "keywords not in content"}', "refused: errcode 310000"),
        (b'{"code": 19001}', "refused: code 19001"),
        (b'{"ok": false}', "refused: ok is false"),
    ],
)
def test_a_refusal_is_told_without_the_url(there, ails, why):
    if isinstance(ails, bytes):
        there.answer = ails
    else:
        there.ails = ails
    with pytest.raises(NotDelivered) as caught:
        asyncio.run(channel_of(to("webhook", there.hook)).send(NOTE))
    assert str(caught.value) == why
    assert caught.value.__cause__ is None


def test_nobody_there_is_told_without_the_url(there):
    with pytest.raises(NotDelivered, match=r"^no connection \(ConnectError\)$"):
        asyncio.run(channel_of(to("webhook", f"http://127.0.0.1:9/{TOKEN}")).send(NOTE))


def test_a_kuma_monitor_is_down_while_something_is_wrong_and_is_pushed_again_and_again(there, monkeypatch):
    monkeypatch.setattr(channels.Kuma, "beat_s", 0.05)

    async def go() -> None:
        notifier = Notifier([to("kuma", there.push)])
        notifier.ttft_s = 0.3521
        notifier.start()
        await async_until(lambda: there.pushes)
        assert there.pushes[0] == {"status": "up", "msg": "OK", "ping": "352"}
        look(notifier, DOWN)
        await async_until(lambda: [push["status"] for push in there.pushes[-2:]] == ["down", "down"])
        assert there.pushes[-1]["msg"].startswith(
            "prod DOWN: nothing listens at its address Whose fault: AstrBot"
        )
        look(notifier, WELL)
        await async_until(lambda: there.pushes[-1] == {"status": "up", "msg": "OK", "ping": "352"})
        await notifier.stop()

    asyncio.run(go())


@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated")  # in apprise
def test_apprise_delivers_and_its_failure_shows_no_part_of_the_url(there):
    needs_extra("notify", "apprise")
    url = there.hook.replace("http:", "json:")
    asyncio.run(channel_of(to("apprise", url)).send(NOTE))
    assert there.messages[0]["title"] == NOTE.title
    there.ails = 401
    with pytest.raises(NotDelivered, match=r"^apprise: ") as caught:
        asyncio.run(channel_of(to("apprise", url)).send(NOTE))
    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize("ails", [500, "hang", "gone"])
def test_a_receiver_that_ails_loses_no_message_and_holds_up_nobody(there, ails, monkeypatch, tmp_path):
    if ails == "hang":
        monkeypatch.setattr(channels, "SEND_S", 0.2)
    there.ails = None if ails == "gone" else ails
    said = []

    async def go() -> None:
        url = f"http://127.0.0.1:9/{TOKEN}" if ails == "gone" else there.hook
        notifier = Notifier([to("webhook", url)], tmp_path, say=said.append, retry_s=0.05)
        notifier.start()
        for state in (DOWN, WELL):
            began = time.perf_counter()
            look(notifier, state)
            assert time.perf_counter() - began < 0.1
        post = notifier.posts["webhook"]
        await async_until(lambda: post.delivery.failed >= 2)
        assert len(post.waiting) == 2
        await notifier.stop()
        monkeypatch.undo()
        there.ails = None
        there.released.set()
        after_a_restart = Notifier([to("webhook", there.hook)], tmp_path, say=said.append, retry_s=0.05)
        after_a_restart.start()
        await async_until(lambda: len(there.messages) == 2)
        await after_a_restart.stop()

    asyncio.run(go())
    assert there.titles == ["prod DOWN: nothing listens at its address", "prod is well again: it was DOWN"]
    assert len(said) == 1  # the same failure again is not news
    assert said[0].startswith("notify webhook: not delivered (")
    assert TOKEN not in "".join(said) + (tmp_path / "notify.json").read_text()


def test_the_queue_is_bounded_and_says_what_it_dropped():
    post = Notifier([to("webhook", "http://127.0.0.1:9")]).posts["webhook"]
    for _ in range(MOST_WAITING + 7):
        post.put(NOTE)
    assert (len(post.waiting), post.delivery.dropped) == (MOST_WAITING, 7)


def test_two_exporters_of_one_state_folder_tell_it_once(tmp_path):
    one, other = (Notifier([receiver(after_s=0.0)], tmp_path) for _ in range(2))
    for state in (DOWN, DOWN, WELL, WELL):
        look(one, state)
        look(other, state)
    told = [note.status for notifier in (one, other) for note in notifier.posts["phone"].waiting]
    assert sorted(told) == ["problem", "resolved"]


def test_a_receiver_that_did_not_change_keeps_its_queue(there):
    async def go() -> None:
        notifier = Notifier([to("webhook", there.hook)], retry_s=0.05)
        look(notifier, DOWN)
        kept = notifier.posts["webhook"]
        notifier.take([to("webhook", there.hook), to("kuma", there.push)])
        assert notifier.posts["webhook"] is kept
        notifier.start()
        notifier.take([])
        await notifier.stop()
        assert notifier.posts == {}

    asyncio.run(go())
