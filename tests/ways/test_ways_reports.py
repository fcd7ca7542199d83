"""What is said of searches of known answers: in ways.json, in the terminal, in Markdown and in HTML."""

import json
import re
from pathlib import Path

import pytest
from rich.console import Console
from way_searches import OBJECTIVE, done, plan_of, searched, server, windows_around

from astrometer.ways import ways_document, ways_reports, ways_view

DOC = Path(__file__).parents[2] / "docs/reference/results.md"


def found(capacities, *, cpu_s=None, interrupted=False, **more):
    """`capacities`: of each way the loads that passed, one for each search, or results."""
    ends = [
        done(
            way,
            number,
            searched(
                windows_around(load, load + 1), server=server(cpu_s[way]) if cpu_s and way in cpu_s else None
            )
            if isinstance(load, int)
            else load,
        )
        for way, loads in capacities.items()
        for number, load in enumerate(loads, 1)
    ]
    plan = plan_of(ways=tuple(capacities), rounds=len(next(iter(capacities.values()))), **more)
    return ways_document.build(plan, ends, [OBJECTIVE], interrupted=interrupted)


@pytest.fixture(scope="module")
def told():
    return found(
        {"sse": (20, 20), "ws": (28, 28), "messenger": (60, 60)},
        cpu_s={"sse": 83.0, "ws": 53.0, "messenger": 30.0},
    )


def text_of(told, width=100):
    console = Console(width=width, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    console.print(ways_reports.render(told))
    console.file.close()
    return " ".join(console.export_text().split())


def test_each_way_has_its_capacity_and_is_told_beside_the_first(told):
    sse, ws, messenger = told["ways"]
    assert [way["capacity"] for way in told["ways"]] == [20, 28, 60]
    assert (sse["ratio"], sse["change"]) == (None, None)
    assert ws["ratio"] == pytest.approx(1.4, rel=0.05)
    assert messenger["ratio"] == pytest.approx(3, rel=0.05)
    assert messenger["ratio_interval"]["low"] < 3 < messenger["ratio_interval"]["high"]
    assert messenger["change"] == "more"
    assert messenger["objectives"] == ["reply_last_p95 < 3s"]
    assert told["objectives"] == sse["objectives"] == [OBJECTIVE]
    assert [way["server_cpu_s_per_turn"] for way in told["ways"]] == [0.083, 0.053, 0.03]
    assert (told["verdict"], told["unit"], told["rounds"]) == ("PASS", "users", 2)


def test_the_terminal_says_it_in_one_table_and_one_sentence(told):
    said = text_of(told)
    assert "What the server holds: sse about 20 users" in said
    assert "messenger holds more than sse" in said
    assert re.search(r"messenger 60 users ×\d\.\d\d 30\.0/s 500 ms 30\.0 ms 60, 60", said), said
    assert "messenger: judged by reply_last_p95 < 3s" in said
    assert "AstrBot 4.29.3" in said


def test_the_summary_says_the_same(told):
    text = ways_reports.render_summary(told)
    for row in ways_view.rows(told):
        assert row.interval in text
        assert row.change in text
    assert "60 users" in text


def test_what_a_target_says_of_itself_is_text_in_the_summary():
    results = searched(windows_around(20, 21))
    results["target"] = {"url": "http://x", "version": "<b>4</b>|`x`", "kind": None}
    told = found({"sse": (results,), "ws": (28,)})
    assert "\\<b\\>4\\</b\\>\\|\\`x\\`" in ways_reports.render_summary(told)


def test_an_interval_that_nobody_knows_is_said_to_be_none():
    told = found({"sse": (searched([(16, False), (14, True)]),), "ws": (60,)})
    assert told["ways"][0]["interval"] == {"low": None, "high": None}
    assert "sse about 1" in text_of(told)
    assert text_of(told).count("too few windows to say") == 2
    assert told["ways"][1]["change"] == "cannot tell"


def test_cpu_of_a_turn_is_over_the_searches_that_can_say_it():
    def search(**cost):
        return searched(windows_around(20, 21), server=server(**cost))

    told = found(
        {
            "sse": (search(cpu_s=80.0, turns=1000), search(cpu_s=20.0, turns=200)),
            "ws": (search(cpu_s=50.0, turns=1000), search(cpu_s=9.0, turns=9, is_enough=False)),
            "messenger": (60, search(cpu_s=9.0, turns=9, is_enough=False)),
        }
    )
    assert [way["server_cpu_s_per_turn"] for way in told["ways"]] == [100 / 1200, 0.05, None]
    assert [[item["server_cpu_s"] for item in way["searches"]] for way in told["ways"]] == [
        [80.0, 20.0], [50.0, 9.0], [None, 9.0],
    ]  # fmt: skip
    assert "500 ms 83.3 ms 20, 20" in text_of(told)
    assert "500 ms – 60, 20" in text_of(told)


def test_one_round_warns_of_drift():
    told = found({"sse": (20,), "ws": (60,)})
    assert ways_view.ONE_ROUND in ways_view.notes(told)
    assert told["search_spread"] is None
    assert told["ways"][1]["change"] == "more"


def test_searches_that_contradict_each_other_cannot_tell():
    told = found({"sse": (20, 60), "ws": (24, 70)})
    assert told["ways"][1]["change"] == "cannot tell"
    assert "ws CANNOT TELL" in text_of(told)
    assert told["verdict"] == "PASS"  # each way has an answer


def test_a_search_that_is_invalid_does_not_count_and_is_named():
    stopped = searched(windows_around(50, 51), end="stopped", verdict="INVALID")
    told = found({"sse": (20, stopped), "ws": (28, 28)})
    assert told["ways"][0]["capacity"] == 20
    assert told["verdict"] == "PASS"
    assert "sse/2 does not count: it was stopped" in text_of(told)


def test_searches_that_do_not_count_for_one_reason_are_named_together():
    stopped = searched(windows_around(20, 21), verdict="INVALID")
    told = found({"sse": (stopped, stopped), "ws": (28, stopped)})
    assert "sse/1, sse/2, ws/2 do not count: it was stopped" in text_of(told)
    assert [row.ratio for row in ways_view.rows(told)] == ["–", "–"]  # beside nothing


@pytest.mark.parametrize("lost", [searched([(1, True)], end="stopped", verdict="INVALID"), None])
def test_a_way_without_an_answer_makes_the_whole_invalid(lost):
    told = found({"sse": (20, 20), "ws": (lost, lost)})
    assert told["verdict"] == "INVALID"
    assert told["ways"][1]["capacity"] is None
    assert told["ways"][1]["change"] == "cannot tell"
    assert "ws not known" in text_of(told)


def test_a_way_whose_lowest_load_fails_is_a_failure():
    nothing = searched([(load, False) for load in (8, 4, 2, 1, 1)], end="minimum")
    told = found({"sse": (20, 20), "messenger": (nothing, nothing)})
    assert told["verdict"] == "FAIL"
    assert told["ways"][1]["change"] == "fewer"
    assert "at most" in text_of(told)


def test_a_way_that_passes_everywhere_is_at_least_so_much():
    passed = searched([(load, True) for load in (1, 2, 4, 8, 16, 32, 64, 100, 100, 100)], end="maximum")
    told = found({"sse": (20, 20), "messenger": (passed, passed)})
    assert told["verdict"] == "PASS"
    assert "messenger at least 100" in text_of(told)
    assert told["ways"][1]["change"] == "more"


def test_interrupted_says_so_and_keeps_what_is_known():
    told = found({"sse": (20,), "ws": ()}, interrupted=True)
    assert "Interrupted; so far: sse about 20 users" in text_of(told)
    assert told["interrupted"]


def test_a_rate_is_no_whole_number():
    told = found({"sse": (20, 20), "ws": (28, 28)}, start="1/s")
    assert told["unit"] == "per_s"
    assert re.search(r"sse about (19\.\d|20\.?\d?) arrivals/s", text_of(told)), text_of(told)


def test_every_field_is_documented_and_every_documented_field_exists(told):
    section = DOC.read_text("utf-8").partition("\n## ways.json\n")[2].partition("\n## ")[0]
    documented = set(re.findall(r"^\| `([^`]+)` \|", section, re.MULTILINE))
    assert set(paths(told)) == documented


def paths(value, place=""):
    match value:
        case dict() if place not in ("target", "target.url"):
            for name, inner in value.items():
                yield from paths(inner, f"{place}.{name}" if place else name)
        case [dict() as first, *_]:
            yield from paths(first | value[-1], f"{place}[]")
        case list():
            yield f"{place}[]"
        case _:
            yield place


def test_all_files_are_written_and_the_json_is_whole(told, tmp_path):
    ways_reports.write(told, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"ways.json", "summary.md"}
    assert json.loads((tmp_path / "ways.json").read_text()) == told


def test_a_narrow_terminal_leaves_out_the_single_searches_and_breaks_no_word(told):
    assert "each search" in text_of(told)
    console = Console(width=60, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    console.print(ways_reports.render(told))
    console.file.close()
    narrow = console.export_text().splitlines()
    assert narrow[0].split() == ["way", "capacity", "beside", "sse", "answers", "p50", "CPU", "a", "turn"]
    assert max(map(len, narrow)) <= 60
