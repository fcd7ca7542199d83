"""The session against real AstrBots, over a plain blocking socket: what `im/` believes of them is true."""

import itertools
import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from time import perf_counter

import httpx
import pytest
from blocking_link import BlockingLink
from nginx_proxy import listens
from waiting import until

from astrometer.api.outcome import Outcome
from astrometer.im.im_exchange import ImDeadlines, ImQuestion
from astrometer.im.im_turn import ClosedBy, MatchedBy
from astrometer.im.link.link_address import LinkAddress
from astrometer.im.messenger_session import MessengerSession
from astrometer.im.onebot_events import AtSegment, ImageSegment, TextSegment
from astrometer.im.open_questions import StrayKind
from astrometer.targets.sandbox.server_process import free_port

SELF_ID = 10001
FIRST_IDS = itertools.count(1000, 1000)  # no link repeats the ids of another
AT_ONCE = "[[ttft=0 gap=0 tokens=5]]"
ADAPTER, TOKEN = "imlink", "a-token-of-the-link"
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c49444154789c63f8cfc0000003010100c9fe92ef"
    "0000000049454e44ae426082"
)
pytestmark = [pytest.mark.process, pytest.mark.astrbot]


class Adapter:
    """An adapter of its own on a running AstrBot, with a profile and a route of its own."""

    def __init__(self, box):
        self.box = box
        self.port = free_port()
        self.url = f"ws://127.0.0.1:{self.port}/ws"
        config = self._default()
        made = self._call("abconf/new", name=ADAPTER, config=config)
        self.profile = made["conf_id"]
        self.profiled()
        self._call("umo_abconf_route/update", umo=f"{ADAPTER}::", conf_id=self.profile)
        self._call("platform/new", **self._entry())
        self.listening()

    def _call(self, what, **body):
        return self.box.dashboard.call("POST", f"/api/config/{what}", body)

    def _default(self):
        return self.box.dashboard.call("GET", "/api/config/abconf", id="default")["config"]

    def _entry(self, *, enable=True):
        listens = {"ws_reverse_host": "127.0.0.1", "ws_reverse_port": self.port, "ws_reverse_token": TOKEN}
        return {"id": ADAPTER, "type": "aiocqhttp", "enable": enable, **listens}

    def profiled(self, *, commands=False, segmented=False, model=True, **platform):
        """Other settings, at once."""
        config = self._default()
        config["disable_builtin_commands"] = not commands
        config["provider_settings"]["enable"] = model
        limit = {"time": 60, "count": 1_000_000, "strategy": "stall"}
        config["platform_settings"] |= {"rate_limit": limit, "reply_with_quote": True, **platform}
        split = {"enable": segmented, "interval_method": "random", "interval": "0.3,0.5"}
        config["platform_settings"].setdefault("segmented_reply", {}).update(split)
        self._call("astrbot/update", conf_id=self.profile, config=config)

    def listening(self):
        """Return when it accepts connections, as 4.23 does a little later."""
        until(lambda: listens(self.port), "the adapter listens")

    def switched(self, *, on):
        self._call("platform/update", id=ADAPTER, config=self._entry(enable=on))

    def remove(self):
        self._call("platform/delete", id=ADAPTER)
        self._call("umo_abconf_route/delete", umo=f"{ADAPTER}::")
        self._call("abconf/delete", id=self.profile)


@pytest.fixture(scope="module", params=["4.29.3", "4.23.6"], ids=lambda version: f"real-{version}")
def adapter(request, real_astrbot):
    made = Adapter(real_astrbot(request.param))
    yield made
    made.remove()


@contextmanager
def linked(adapter, *, token=TOKEN, quiet_s=1.0, reply_s=20.0, **options):
    address = LinkAddress.parse(options.pop("url", adapter.url), self_id=SELF_ID, token=token)
    limits = ImDeadlines(reply_s=reply_s, quiet_s=quiet_s, quoted_quiet_s=options.pop("quoted_quiet_s", 0.3))
    link = BlockingLink(
        MessengerSession(address, first_message_id=next(FIRST_IDS), deadlines=limits, **options)
    )
    link.connect(timeout_s=10)
    try:
        yield link
    finally:
        link.leave()


def question(user_id, nonce, text="", **more):
    return ImQuestion.of_text(user_id, f"[q] {nonce} {text}{AT_ONCE}", canary=nonce, **more)


@pytest.mark.parametrize(
    ("change", "outcome", "status", "cure"),
    [
        ({"token": ""}, Outcome.UNAUTHORIZED, 401, "ASTRBOT_MESSENGER_TOKEN"),
        ({"token": "wrong"}, Outcome.FORBIDDEN, 403, "ASTRBOT_MESSENGER_TOKEN"),
        ({"path": "/elsewhere"}, Outcome.CLIENT_ERROR, 404, "ws://HOST:PORT/ws"),
    ],
)
def test_a_refused_handshake_names_its_cure(adapter, change, outcome, status, cure):
    url = re.sub(r"/ws$", change.get("path", "/ws"), adapter.url)
    with linked(adapter, url=url, token=change.get("token", TOKEN)) as link:
        end = link.session.end
    assert (end.outcome, end.status) == (outcome, status)
    assert cure in end.detail
    assert TOKEN not in end.detail


def test_the_port_of_the_dashboard_is_refused(adapter):
    with linked(adapter, url=f"ws://127.0.0.1:{adapter.box.port}/ws") as link:
        end = link.session.end
    assert end.is_final
    assert "ws_reverse_port" in end.detail


def test_people_and_groups_get_their_own_answers_by_quotation(adapter):
    adapter.profiled()
    asked = [question(5000 + n, f"am-{n:08x}") for n in range(1, 5)]
    asked.append(ImQuestion.of_text(5101, f"/[q] am-0000aaaa {AT_ONCE}", group_id=7001, canary="am-0000aaaa"))
    mentioning = (AtSegment(user_id=SELF_ID), TextSegment(text=f" [q] am-0000bbbb {AT_ONCE}"))
    asked.append(ImQuestion(user_id=5102, group_id=7002, canary="am-0000bbbb", segments=mentioning))
    with linked(adapter) as link:
        turns = [turn for one in asked for turn in link.ask(one)]
        assert [turn.outcome for turn in turns] == [Outcome.OK] * 6, [turn.detail for turn in turns]
        assert {turn.matched_by for turn in turns} == {MatchedBy.QUOTE}
        assert {turn.closed_by for turn in turns} == {ClosedBy.QUOTE}
        assert {turn.messages for turn in turns} == {1}
        assert all(0 < turn.reply_first_s < 10 for turn in turns)
        assert link.session.actions["get_group_member_info"] >= 1  # because of the @
        assert not link.session.refused
        assert not link.session.strays


def test_ten_people_in_one_instant_are_all_accounted_for(adapter):
    """Up to 4.26.8 some get AstrBot's sentence about two event loops instead, and the model is not asked."""
    adapter.profiled()
    stub = adapter.box.stub_url
    httpx.delete(f"{stub}/stub/requests")
    with linked(adapter) as link:
        turns = link.ask(*(question(5150 + n, f"am-0000515{n}") for n in range(10)))
        assert sum(link.session.strays.values()) == 0
    outcomes = Counter(turn.outcome for turn in turns)
    answered = sum(not request["title"] for request in httpx.get(f"{stub}/stub/requests").json())
    assert outcomes.total() == 10
    assert set(outcomes) <= {Outcome.OK, *([] if adapter.box.version == "4.29.3" else [Outcome.AGENT_ERROR])}
    assert answered == outcomes[Outcome.OK]


def test_without_quotation_it_is_the_nonce_then_who_waits(adapter):
    adapter.profiled(reply_with_quote=False, reply_with_mention=True, reply_prefix="» ")
    with linked(adapter) as link:
        (turn,) = link.ask(question(5201, "am-0000cccc"))
        assert (turn.outcome, turn.matched_by, turn.closed_by) == (
            Outcome.OK,
            MatchedBy.NONCE,
            ClosedBy.QUIET,
        )
        assert turn.text.startswith("» ")
        (turn,) = link.ask(ImQuestion.of_text(5202, f"[q] say something {AT_ONCE}"))
        assert (turn.outcome, turn.matched_by) == (Outcome.OK, MatchedBy.OUTSTANDING)
        (turn,) = link.ask(ImQuestion.of_text(5203, f"/[q] {AT_ONCE}", group_id=7003))
        assert (turn.outcome, turn.mentioned) == (Outcome.OK, True)


def test_failures_have_their_names(adapter):
    adapter.profiled(commands=True, wake_prefix=["/"])
    with linked(adapter, reply_s=4.0) as link:
        (turn,) = link.ask(ImQuestion.of_text(5301, "[q] hi [[fail=400]]"))
        assert turn.outcome is Outcome.LLM_ERROR, turn
        assert turn.detail.startswith("LLM 响应错误:")
        (turn,) = link.ask(ImQuestion.of_text(5302, "help me write a poem"))
        assert turn.outcome is Outcome.NOT_ASKED, turn
        (turn,) = link.ask(question(5303, "am-0000dddd", group_id=7004))  # neither prefix nor @
        assert turn.outcome is Outcome.SILENT
        assert link.session.owes(turn.place, turn.t_close)
        reset = ImQuestion(user_id=5304, segments=(TextSegment(text="/reset"),), is_command=True)
        (turn,) = link.ask(question(5304, "am-0000eeee"))
        assert turn.outcome is Outcome.OK
        (turn,) = link.ask(reset)
        assert (turn.outcome, turn.text[:1]) == (Outcome.OK, "✅"), turn
        adapter.profiled(model=False)
        (turn,) = link.ask(question(5305, "am-0000ffff"))
        assert turn.outcome is Outcome.SILENT


def test_a_member_without_rights_is_told_so(adapter):
    adapter.profiled(commands=True)
    with linked(adapter) as link:
        provider = ImQuestion(user_id=5310, segments=(TextSegment(text="/provider"),), is_command=True)
        (turn,) = link.ask(provider)
        assert turn.outcome is Outcome.NOT_ASKED
        assert "权限不足" in turn.detail


def test_a_split_answer_is_one_answer(adapter):
    adapter.profiled(segmented=True)
    text = "[q] [[echo]] 一。二。三。"
    with linked(adapter, quoted_quiet_s=2.0) as link:
        (turn,) = link.ask(ImQuestion.of_text(5401, f"{text} {AT_ONCE}"))
    assert turn.outcome is Outcome.OK
    assert turn.quoted
    assert turn.messages >= 1
    assert turn.reply_first_s > 0.3  # its pause stands before the first part already


def test_a_long_answer_comes_as_a_forward(adapter):
    adapter.profiled(forward_threshold=10)
    with linked(adapter) as link:
        (turn,) = link.ask(question(5501, "am-00005501"))
    assert (turn.outcome, turn.forwarded, turn.matched_by) == (Outcome.OK, True, MatchedBy.NONCE), turn


def test_an_image_is_asked_about(adapter):
    adapter.profiled()
    asked = ImQuestion(
        user_id=5601,
        canary="am-00005601",
        segments=(TextSegment(text=f"[q] am-00005601 {AT_ONCE}"), ImageSegment(data=PIXEL)),
    )
    with linked(adapter) as link:
        (turn,) = link.ask(asked)
    assert turn.outcome is Outcome.OK, turn


def test_a_link_that_is_closed_under_a_question_is_lost_and_comes_again(adapter):
    adapter.profiled()
    slow = ImQuestion.of_text(5701, "[q] am-00005701 [[ttft=3 gap=0 tokens=5]]", canary="am-00005701")
    with linked(adapter) as link:
        session = link.session
        exchange = session.ask(perf_counter(), slow)
        link.step(0.3)
        # It closes its clients, and answers when they have gone: somebody has to read meanwhile.
        with ThreadPoolExecutor() as beside:
            switched = beside.submit(adapter.switched, on=False)
            link.run(lambda: exchange.done, 10)
        switched.result()
        turn = exchange.result()
        assert (turn.outcome, turn.closed_by) == (Outcome.LOST_LINK, ClosedBy.LOSS)
        assert session.end.code == 1000
        assert session.outstanding == 0
        adapter.switched(on=True)
        link.again()
        session.finished()
        (turn,) = link.ask(question(5702, "am-00005702"))
        assert turn.outcome is Outcome.OK, turn
        assert session.links_lost == 1
        assert session.strays[StrayKind.UNASKED] == 0
