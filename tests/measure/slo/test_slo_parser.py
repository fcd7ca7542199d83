"""The text of an objective -> an objective, or an error that points at the place."""

import pytest

from astrometer.measure.slo.slo_parser import ObjectiveError, parse_objective


@pytest.mark.parametrize(
    ("text", "metric", "percent", "limit"),
    [
        ("ttft_p95 < 2s", "ttft", 95, 2.0),
        ("ttft_effective_p99<=500ms", "ttft_effective", 99, 0.5),
        ("e2e_max < 1.5m", "e2e", None, 90.0),
        ("errors < 1%", "errors", None, 0.01),
        ("goodput > 95%", "goodput", None, 0.95),
        ("errors < 57%", "errors", None, 0.57),
        ("forbidden < 0.1%", "forbidden", None, 0.001),
        ("throughput > 90/m", "throughput", None, 1.5),
        ("max_gap_max < 3s", "max_gap", None, 3.0),
    ],
)
def test_an_expression_is_read(text, metric, percent, limit):
    objective = parse_objective(text)
    assert (objective.metric, objective.percent, objective.limit) == (metric, percent, pytest.approx(limit))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("fast please", "unknown metric 'fast'"),
        ("ttft_p95 < 2", "the unit \\(us, ms, s, m\\) is missing"),
        ("ttft_p95 2s", "expected < or <="),
        ("ttft_p95 > 2s", "ttft is better when lower: write <"),
        ("chat: errors >= 1%", "errors is better when lower: write <"),
        ("stalled > 1%", "stalled is better when lower: write <"),
        ("throughput < 5/s", "throughput is better when higher: write >"),
        ("goodput <= 99%", "goodput is better when higher: write >"),
        ("ok < 99%", "ok is better when higher: write >"),
        ("ttft_p95 < fast", "expected a number"),
        ("ttft_p95 < 2s or so", "this is too much"),
        ("chat:", "a metric of the scenario 'chat' is missing"),
        ("", "a metric is missing"),
        ("throughput > 5%", "throughput is a rate; its unit is /s or /m or /h"),
        ("tftt_p95 < 2s", "unknown metric 'tftt' \\(did you mean 'ttft'\\?\\)"),
        ("ttft_95 < 2s", "unknown metric 'ttft_95' \\(did you mean 'ttft_p95'\\?\\)"),
        ("ttft < 2s", "which percentile\\? write ttft_p95 or ttft_max"),
        ("ttft_p97 < 2s", "p97 is not measured; there are p50, p90, p95, p99 and max"),
        ("ttft_p95 < 2%", "ttft is a duration"),
        ("errors < 2s", "errors is a share"),
        ("errors_p95 < 1%", "errors has no percentiles"),
        ("server_cpu_per_turn < 5%", "server_cpu_per_turn is a duration; its unit is us or ms or s or m"),
        ("server_cpu_per_turn > 1s", "server_cpu_per_turn is better when lower: write <"),
        ("server_cpu_per_turn_p95 < 1s", "has no percentiles; write server_cpu_per_turn alone"),
        ("server_rss_growth < 20MB", "'/1000 turns' is missing"),
        ("server_rss_growth < 20MB/100 turns", "expected '/1000 turns'"),
        ("server_rss_growth < 20s/1000 turns", "server_rss_growth is a size; its unit is B or kB or MB"),
        ("chat: server_rss_growth < 20MB/1000 turns", "serves all scenarios: leave out 'chat:'"),
        ("server_rss < 20MB", "unknown metric 'server_rss' .did you mean 'server_rss_growth'"),
    ],
)
def test_what_cannot_be_read_is_said_with_what_exists(text, reason):
    with pytest.raises(ObjectiveError, match=reason) as error:
        parse_objective(text)
    assert repr(text) in str(error.value)


@pytest.mark.parametrize(
    ("text", "marked"),
    [
        ("tftt_p95 < 2s", "tftt"),
        ("ttft_p97 < 2s", "p97"),
        ("chat: ttft_p95 < 2%", "%"),
        ("ttft_p95 < 2s or so", "or so"),
    ],
)
def test_a_caret_stands_below_the_place(text, marked):
    with pytest.raises(ObjectiveError) as error:
        parse_objective(text)
    lines = str(error.value).splitlines()
    below = next(index for index, line in enumerate(lines) if set(line.strip()) == {"^"})
    place = slice(lines[below].index("^"), len(lines[below]))
    assert lines[below - 1][place] == marked


def test_an_unknown_metric_is_answered_with_all_that_exist():
    with pytest.raises(ObjectiveError) as error:
        parse_objective("speed_p95 < 2s")
    for known in ("ttft, ", "errors, ", "forbidden", "throughput", "chunk_gap"):
        assert known in str(error.value)


def test_the_scenario_of_an_objective_stands_before_a_colon():
    assert parse_objective("mixed_chat:ttft_p95<2s").scenario == "mixed_chat"
    assert parse_objective("ttft_p95<2s").scenario is None


@pytest.mark.parametrize(
    ("text", "limit", "unit"),
    [
        ("server_cpu_per_turn < 0.1s", 0.1, "cpu_s_per_turn"),
        ("server_cpu_per_turn <= 80ms", 0.08, "cpu_s_per_turn"),
        ("server_rss_growth < 20MB/1000 turns", 20e6, "bytes_per_1000_turns"),
        ("server_rss_growth<1.5MiB/1000turns", 1.5 * 2**20, "bytes_per_1000_turns"),
        ("server_rss_growth < 512 kB / 1000 turns", 512e3, "bytes_per_1000_turns"),
    ],
)
def test_an_objective_on_the_servers_process_is_read(text, limit, unit):
    objective = parse_objective(text)
    assert (objective.limit, objective.unit, objective.percent) == (limit, unit, None)
