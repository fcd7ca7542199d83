"""The tab "Streams" of Locust's web UI: its rows, and how a real Chromium shows them while a test runs."""

import os
import re
import shutil
import subprocess

import pytest
from waiting import until
from web_locust import web_locust

pytestmark = pytest.mark.process

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)


def rows(web):
    """Measure -> the texts of its line."""
    (table,) = [item["data"] for item in web.stats()["extended_stats"] if item["key"] == "streams"]
    return {row.pop("measure"): list(row.values()) for row in table}


def test_the_rows_tell_what_came_of_each_scenario(sim):
    with web_locust(sim, "mixed") as web:
        assert web.swarm(user_count="30", spawn_rate="30")["success"]
        enough = until(lambda: rows(web) if rows(web)["ok"][0] >= "3" else None)
    assert len(enough["begun"]) == 5  # four scenarios and all of them
    assert set(enough) >= {
        "in flight", "ok", "dropped", "TTFT p50 / p95 / p99 (n)", "chunk gap p50 / p99 (n)", "longest gap",
        "generator: event-loop lag p99", "generator: CPU of the busiest process", "generator: processes",
    }  # fmt: skip
    assert re.fullmatch(r".+ / .+ \([\d,]+\)", enough["chunk gap p50 / p99 (n)"][0])
    assert enough["longest gap"][2] == "–"  # reads have no stream
    assert enough["generator: processes"] == ["1, 0 lost"]


def test_a_failure_has_a_line_by_its_name(sim):
    with web_locust(sim, "chat", "--prompt-suffix", "[sim:cut:3]", "--whole-answer-percent", "0") as web:
        assert web.swarm(user_count="3", spawn_rate="3")["success"]
        assert until(lambda: rows(web).get("reset"))
        assert list(rows(web)["ok"]) == ["0"]


def test_before_the_first_test_it_is_there_and_empty(sim):
    with web_locust(sim, "chat") as web:
        assert rows(web)["begun"] == ["0"]
        assert rows(web)["TTFT p50 / p95 / p99 (n)"] == ["–"]


@pytest.mark.browser
def test_a_browser_shows_the_numbers_of_a_running_test(sim, tmp_path):
    if CHROMIUM is None:
        if "browser" in os.environ.get("ASTROMETER_REQUIRE", ""):
            pytest.fail("Chromium is required (ASTROMETER_REQUIRE) and not installed")
        pytest.skip("Chromium is not installed")
    with web_locust(sim, "chat") as web:
        assert web.swarm(shape="20:60s")["success"]
        until(
            lambda: (
                int(web.metrics()['astrbot_load_time_to_first_token_seconds_count{scenario="chat"}']) >= 20
            )
        )
        done = subprocess.run(
            [
                CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
                "--disable-background-networking", "--disable-component-update", "--disable-sync",
                f"--user-data-dir={tmp_path / 'profile'}", "--enable-logging=stderr",
                "--virtual-time-budget=5000", "--dump-dom", f"{web.url}/?tab=streams",
            ],
            capture_output=True, text=True, timeout=60, check=True,
        )  # fmt: skip
    table = re.search(r"<table.*?</table>", done.stdout, re.DOTALL)[0]
    lines = [
        re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", line)
        for line in re.findall(r"<tr.*?</tr>", table, re.DOTALL)
    ]
    shown = {line[0]: line[1:] for line in lines}
    assert shown[""] == ["chat"]
    assert re.fullmatch(r"[\d.]+ ms / .+ / .+ \(\d+\)", shown["TTFT p50 / p95 / p99 (n)"][0])
    assert int(shown["ok"][0].replace(",", "")) >= 20
    assert list(shown)[-1] == "generator: processes"  # in the order in which they were sent
    assert "CONSOLE" not in done.stderr
