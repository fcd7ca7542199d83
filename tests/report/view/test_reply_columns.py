"""Runs of people in a messenger: tables have columns for when replies came, beside chats a marked cell."""

import io
import re

import pytest
from rich.console import Console

from astrometer.measure.slo.stages import LoadStage
from astrometer.report import formatting
from astrometer.report.html import render_html
from astrometer.report.summary import render_summary
from astrometer.report.table import render


def shown(results, width=80) -> str:
    out = io.StringIO()
    Console(file=out, width=width, no_color=True, _environ={}).print(render(results))
    return out.getvalue()


@pytest.fixture(scope="module")
def replies(make):
    return make(
        chats=0, calls=0, replies=400, slos=("reply_first_p95 < 1s",), scenario="im_chat", messenger={}
    )


@pytest.fixture(scope="module")
def mixed(make):
    return make(chats=200, calls=30, replies=400, slos=(), messenger={"links_lost": 1, "stray_late": 2})


def test_a_table_of_replies_alone_has_their_columns_and_none_of_streams(replies):
    text = shown(replies)
    head = " ".join(text.split("─")[0].split())
    assert head == "first first last scenario turns outcomes reply p50 reply p95 reply p95 goodput"
    metrics = replies["metrics"]
    for name, percent in (("reply_first", "p50"), ("reply_first", "p95"), ("reply_last", "p95")):
        assert formatting.duration(metrics[name][percent]) in text
    assert "silent 20" in text
    assert "TTFT" not in text
    assert "Replies of" not in text  # said once


def test_without_any_reply_the_columns_are_still_those_of_replies(make):
    silent = make(
        chats=0,
        calls=0,
        replies=40,
        silent=True,
        slos=(),
        scenario="im_chat",
        messenger={},
        stages=(LoadStage(name="step 1", start_s=0, end_s=30, peak=10),),
    )
    assert "| outcomes | first reply p50 | first reply p95 | last reply p95 | goodput |" in render_summary(
        silent
    )
    assert "silent 40" in shown(silent)
    for text in (shown(silent), render_summary(silent), render_html(silent)):
        assert "TTFT" not in text


def test_parts_of_an_answer_count_from_its_first_message_to_its_last(replies):
    first, last = (replies["metrics"][name] for name in ("reply_first", "reply_last"))
    assert last["p95"] == pytest.approx(first["p50"] + 4, abs=0.5)
    assert "40 replies came in" in shown(replies)
    text = " ".join(shown(replies).split())
    assert "380 replies (1.2 messages each) matched to the questions: 380 as nobody else waited there" in text


@pytest.mark.parametrize("width", [80, 100, 140])
def test_beside_chats_the_last_reply_stands_marked_in_the_column_of_e2e(mixed, width):
    text = shown(mixed, width)
    last = formatting.duration(mixed["scenarios"]["im_chat"]["metrics"]["reply_last"]["p95"])
    assert re.search(rf"^im_chat .*{re.escape(last)}‡", text, flags=re.MULTILINE)
    assert "‡ to the last message of a reply in a messenger" in text
    assert "† duration of plain calls (no stream)" in text
    assert re.search(r"Replies of im_chat: first p50 \d+ ms, p95 \d+ ms; last p50", text)
    assert max(len(line) for line in text.splitlines()) <= width
    head = next(line for line in text.splitlines() if line.startswith("scenario"))
    assert head.endswith("goodput")
    for row in (mixed, *mixed["scenarios"].values()):
        assert formatting.share(row["goodput"]["share"]) in text


def test_the_longest_of_a_few_replies_is_said_once(make):
    text = " ".join(shown(make(chats=5, calls=0, replies=3, slos=(), messenger={})).split())
    assert re.search(r"Replies of im_chat: first at most \d+ ms; last at most \d+ ms", text)


def test_lost_links_and_messages_that_nobody_waited_for_are_told(mixed):
    text = " ".join(shown(mixed).split())
    assert "Warning: the link to AstrBot was lost 1 time" in text
    assert "2 messages of the bot belonged to no open question (late 2)" in text


def test_markdown_and_html_show_the_same_columns(replies, mixed):
    assert "| outcomes | first reply p50 | first reply p95 | last reply p95 | goodput |" in render_summary(
        replies
    )
    assert "(last reply) <sub>n 380</sub>" in render_summary(mixed)
    page = render_html(replies)
    assert '<th scope="col" class="num">first<br>reply p50</th>' in page
    assert "TTFT" not in page
    assert '<span class="name">first reply p50</span>' in page
    assert "‡ to the last message of a reply in a messenger." in render_html(mixed)
