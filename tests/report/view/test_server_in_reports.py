"""What the server's process used, in every report; and objectives on it."""

from html import unescape

import pytest
from server_usages import usage

from astrometer.measure.server_usage import ServerEnd, ServerEndKind
from astrometer.report.html import render_html


def read(texts):
    return map(unescape, texts)


def test_every_report_says_what_the_server_used(make, everywhere):
    for text in read(everywhere(make(server=usage()))):
        assert "Server: RSS 280.0 MB → 287.2 MB, +12.0 MB/1000 turns" in text
        assert "CPU 80.0 ms per turn, 80.0 % of a core (600 turns)" in text
        assert "threads 12 → 12; open files 30 → 30" in text
        assert "database 1.0 MB → 2.2 MB, +2.0 MB/1000 turns; WAL at most 4.1 MB" in text
        assert "log: 2 warnings, 1 error" in text


def test_a_server_that_nobody_knows_is_in_no_report(make, everywhere):
    assert make()["server"] is None
    for text in everywhere(make()):
        assert "Server:" not in text
    assert "of the server over time" not in render_html(make())


def test_the_page_shows_it_over_time_below_the_load(make):
    page = render_html(make(server=usage()))
    titles = ["Started and failed over time", "Memory of the server", "CPU of the server", "Database of the"]
    assert [page.index(title) for title in titles] == sorted(page.index(title) for title in titles)
    assert "Database of the" not in render_html(make(server=usage(database_bytes=None, wal_bytes=None)))


def test_a_server_that_ended_is_a_warning_with_the_time_and_its_values_are_withheld(make, everywhere):
    end = ServerEnd(t_s=30.2, how=ServerEndKind.GONE)
    results = make(server=usage(seconds=31, ended=end))
    assert results["server"]["ended"] == {"t_s": 30.2, "how": "gone"}
    assert results["server"]["cpu_per_turn_s"] is None
    for text in read(everywhere(results)):
        assert "Warning: the server's process is gone, 30.20 s after the run began" in text
        assert "per turn" not in text
        assert "RSS 280.0 MB → 283.6 MB;" in text or "RSS 280.0 MB → 283.6 MB " in text


def test_a_short_run_says_so_instead_of_a_value(make, everywhere):
    for text in everywhere(make(server=usage(seconds=6))):
        assert "too short to say more" in text


@pytest.mark.parametrize(
    ("objective", "verdict", "value"),
    [
        ("server_cpu_per_turn < 0.1s", "PASS", "80.0 ms"),
        ("server_cpu_per_turn < 50ms", "FAIL", "80.0 ms"),
        ("server_rss_growth < 20MB/1000 turns", "PASS", "12.0 MB/1000 turns"),
        ("server_rss_growth < 10MiB / 1000 turns", "FAIL", "12.0 MB/1000 turns"),
    ],
)
def test_an_objective_on_it_is_judged(make, everywhere, objective, verdict, value):
    results = make(server=usage(), slos=(objective,))
    assert (results["verdict"], results["objectives"][0]["n"]) == (verdict, 600)
    for text in read(everywhere(results)):
        assert objective in text
        assert value in text


def test_an_objective_on_it_does_not_count_in_goodput_nor_in_a_stage(make, staged):
    plain, judged = make(slos=()), make(server=usage(), slos=("server_cpu_per_turn < 1ms",))
    assert judged["goodput"] == plain["goodput"]
    assert all(stage["objectives"] for stage in staged["stages"])


def test_an_objective_on_a_server_that_ended_makes_the_run_invalid_and_says_when(make, everywhere):
    end = ServerEnd(t_s=30.2, how=ServerEndKind.RESTARTED)
    results = make(server=usage(seconds=31, ended=end), slos=("server_cpu_per_turn < 0.1s",))
    assert results["verdict"] == "INVALID"
    assert results["objectives"][0]["verdict"] == "NO_DATA"
    said = "the server's process ended (restarted) 30.2 s after the run began: what it used cannot be judged"
    for text in read(everywhere(results)):
        assert said in text
    assert make(server=usage(seconds=31, ended=end))["verdict"] == make()["verdict"]


def test_an_objective_with_too_few_samples_is_no_pass(make):
    results = make(server=usage(seconds=9), slos=("server_cpu_per_turn < 9s",))
    assert (results["verdict"], results["causes"][0]["kind"]) == ("INVALID", "too_few_samples")
