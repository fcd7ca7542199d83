import copy
import re
from html.parser import HTMLParser

import pytest

from astrometer.report import formatting
from astrometer.report.html import render_html
from astrometer.report.junit import render_junit
from astrometer.report.summary import render_summary

VOID = {"meta", "br", "link", "img", "input", "hr", "line", "circle"}
# Everything that could make a browser fetch something.
FETCHING_TAGS = {
    "script", "link", "img", "iframe", "object", "embed", "video", "audio", "source", "base", "image", "use",
    "form", "a", "feimage", "foreignobject", "animate", "set",
}  # fmt: skip
FETCHING_ATTRIBUTES = {
    "src", "href", "xlink:href", "srcset", "data", "action", "formaction", "poster", "ping", "background",
    "manifest", "xmlns",
}  # fmt: skip


class Inspector(HTMLParser):
    """Collects what a page is made of, and whether its tags are balanced."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.open: list[str] = []
        self.unbalanced: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.unbalanced.append(tag)


KINDS = ["passed", "failed", "invalid", "tiny", "empty"]


@pytest.fixture(params=KINDS)
def page(request) -> str:
    return render_html(request.getfixturevalue(request.param))


def test_the_page_refers_to_nothing_outside_itself(page):
    inspector = Inspector(page)
    assert not FETCHING_TAGS & set(inspector.tags)
    assert not FETCHING_ATTRIBUTES & {name for name, _ in inspector.attributes}
    assert not [name for name, _ in inspector.attributes if name.startswith("on")]
    assert "@import" not in page
    assert "url(" not in page.lower()
    assert "default-src &#39;none&#39;" in page or "default-src 'none'" in page


def test_the_page_is_well_formed(page):
    inspector = Inspector(page)
    assert inspector.unbalanced == []
    assert inspector.open == []


def test_no_number_leaks_as_nan_none_or_nothing(page, visible):
    text = visible(page)
    assert not re.search(r"\b(nan|None|undefined|null)\b", text)
    assert "nan" not in "".join(value or "" for _, value in Inspector(page).attributes).lower()


def test_the_verdict_comes_first_with_causes_and_objectives(invalid, visible):
    text = visible(render_html(invalid))
    places = [
        text.index(word)
        for word in (
            "INVALID",
            "event-loop lag p99 84 ms",
            "Objectives",
            "Scenarios",
            "Over time",
            "Percentiles",
        )
    ]
    assert places == sorted(places)
    assert places[0] < 60


def test_it_has_every_part_that_was_promised(passed, visible):
    html = render_html(passed)
    text = visible(html)
    for part in (
        "ttft_p95 &lt; 1s", "TTFT over time", "e2e over time", "Started and failed over time",
        "Distribution of TTFT", "Distribution of chunk gap", "Load generator", "Target", "AstrBot 4.29.3",
        "astrometer load mixed --users 20", "How exchanges ended", "rate_limited", "locust",
    ):  # fmt: skip
        assert part in text, part


def test_charts_show_values_limits_and_the_load(make):
    page = render_html(make(chats=1500, calls=0))
    assert re.search(r'<g class="hit"><title>\d+ s: p50 \d+ ms</title>', page)
    over_time = page[page.index("<h2>Over time") : page.index("<h2>Distributions")]
    assert over_time.count("<title>ttft_p95 &lt; 1s</title>") == 1  # on TTFT, and on nothing else
    assert "Red line: ttft_p95 &lt; 1s." in page[page.index("<h2>Distributions") :]
    charts = over_time.count("<figcaption>")
    assert over_time.count('aria-label="Load over time"') == charts >= 3
    assert over_time.count(": 20 users</title>") == charts


def test_the_load_follows_shape_and_search(staged):
    page = render_html(staged)
    assert re.search(r"<title>\d+–\d+ s: 10 users</title>", page)
    assert re.search(r"<title>\d+–\d+ s: 40 users</title>", page)


def test_one_scenario_can_be_chosen_without_a_script(passed, visible):
    page = render_html(passed)
    names = sorted(passed["scenarios"])
    assert [page.count(f'for="part{number}">{name}<') for number, name in enumerate(names, start=1)] == [
        1
    ] * len(names)
    chat = passed["scenarios"]["chat"]["metrics"]["ttft"]
    number = names.index("chat") + 1
    assert f"main:has(#part{number}:checked) .of:not(.part-{number}) {{ display: none; }}" in page
    block = page[page.index("<h2>Percentiles: chat") :]
    assert f"{chat['n']:,}" in visible(block[: block.index("</section>")])
    alone = {**passed, "scenarios": {"chat": passed["scenarios"]["chat"]}}
    assert 'type="radio"' not in render_html(alone)


def test_failures_stand_beside_the_ok_turns_in_the_percentiles(passed, visible):
    text = visible(render_html(passed))
    attempts = passed["metrics_all_attempts"]["ttft"]
    assert re.search(rf"TTFT, all attempts {attempts['n']:,}", text)
    assert "∞" in text


def test_every_percentile_has_its_n(passed, visible):
    text = visible(render_html(passed))
    chat = passed["scenarios"]["chat"]["metrics"]["ttft"]
    assert f"n {chat['n']:,}" in text


def test_too_few_samples_show_the_worst_with_the_reason(tiny, visible):
    text = visible(render_html(tiny))
    assert "≤ the maximum; withheld, too few samples" in text
    assert f"≤ {formatting.duration(tiny['metrics']['ttft']['max'])}" in text


def test_hostile_text_stays_text(make):
    evil = '"><script>alert(1)</script><img src=http://evil/x onerror=y>'
    results = make(
        chats=40, calls=0, scenario=evil, url="http://h/" + evil, version=evil, command=("x", evil)
    )
    results = copy.deepcopy(results)
    results["scenarios"] = {evil: results["scenarios"]["chat"]}
    results["operations"][0]["operation"] = evil
    results["causes"] = [{"kind": evil, "sentence": evil}]
    results["environment"] = {evil: evil}
    results["turns"]["outcomes"][evil] = 4
    results["timeline"]["steps"][0]["turns"]["outcomes"][evil] = 4
    page = render_html(results)
    inspector = Inspector(page)
    assert not FETCHING_TAGS & set(inspector.tags)
    assert not FETCHING_ATTRIBUTES & {name for name, _ in inspector.attributes}
    assert inspector.unbalanced == []
    assert "&lt;script&gt;" in page


def test_a_long_run_stays_a_small_page(make):
    page = render_html(make(chats=2000, calls=0, duration_s=1500))
    assert len(page) < 1_500_000


def test_a_run_of_one_turn_can_be_shown(make, visible):
    text = visible(render_html(make(chats=1, calls=0, slos=(), duration_s=1)))
    assert "NONE" in text
    assert "e2e over time" in text


def test_light_dark_phone_and_paper_are_all_styled(passed):
    page = render_html(passed)
    for rule in ("prefers-color-scheme: dark", "max-width: 560px", "@media print", 'name="viewport"'):
        assert rule in page


@pytest.mark.parametrize("rendered", [render_html, render_summary, render_junit])
def test_nothing_of_a_file_can_steer_a_page_or_a_terminal(rendered, passed):
    """Wherever a text from outside stands in it: every string of the file is poisoned."""
    bad = "\x1b[2J\x9b31m\u202egnp\u2066\x00\x7f"

    def poisoned(value, key=""):
        if isinstance(value, dict):
            free = key in {"outcomes", "environment", "scenarios"}
            return {(name + bad if free else name): poisoned(item, name) for name, item in value.items()}
        if isinstance(value, list):
            return [poisoned(item, key) for item in value]
        kept = {"histogram", "unit", "verdict", "start", "metric", "operator", "kind"}
        return value + bad if isinstance(value, str) and key not in kept and value != "inf" else value

    page = rendered(poisoned(passed))
    assert [char for char in bad if char in page and not char.isprintable()] == []
    assert "\\x1b" in page.replace("\\\\", "\\")


def test_the_errors_of_a_page_are_those_of_the_objective_and_the_ramp_is_named_beside(make):
    results = make(slos=("errors < 50%",), excluded_s=10.0)
    (objective,) = results["objectives"]
    page = " ".join(re.sub(r"<[^>]+>", " ", render_html(results)).split())
    failed = round(objective["value"] * objective["n"])
    assert 0 < objective["n"] < results["turns"]["started"]  # a third of it was the ramp
    assert f"{formatting.count(failed)} of {formatting.count(objective['n'])}" in page
    assert f"turns {formatting.count(objective['n'])} " in page
    excluded = formatting.count(results["turns"]["excluded"])
    note = f"First 10.00 s (ramp-up, warm-up) excluded: {excluded} turns (ok "
    assert note in page
    assert note in render_summary(results).replace("\\", "")
