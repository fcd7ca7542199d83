"""Every query of every panel gives data when real programs are scraped by a real Prometheus."""

import os
import time

import dashboard_past
import pytest
from dashboard_files import NAMES, panels, queries, variables
from dashboard_grafana import Grafana
from dashboard_site import ALL, ALL_PROBES, SCRAPE_S, STREAM_FAULTS, World, certificate, fault, says_no
from required import needs
from waiting import until

from astrometer.probing.status.state_by_layer import TargetStatus
from astrometer.targets.serving import serve

pytestmark = [pytest.mark.promtool, pytest.mark.timeout(660), pytest.mark.process]
GIVE_UP_S = 420  # a p95 needs 200 turns, and a busy machine skips the chats that would overlap
WHOLE = "ASTROMETER_WHOLE"
WELL, BROKEN = ("probes", "load"), ("broken_probes", "broken_load")
# Where nothing failed, there is nothing to see: the panel, and the letters of its queries.
EMPTY_WHEN_WELL = {
    "overview": {"Failures by layer": "ABCDEFGH", "Skipped runs": "A"},
    "streaming": {"Broken streams by cause": "A", "Questions in a messenger by outcome": "B"},
    "auth": {"Violations": "A", "Refused runs by answer": "ABCD"},
    "slo": {"Skipped runs": "A", "Deletions that failed": "A"},
    # The broken load is a capacity search.
    "load_test": {
        "Failed turns": "A",
        "Capacity search": "A",
        "Search so far": "ABC",
        "Users and stage": "CD",
    },
}
# What no run of a minute has: 1000 turns for a p99, 200 in the run before, a search that fails, a database.
OF_A_LONG_RUN = {
    *((f"{times} over time", letter) for times in ("Time to first token", "End to end") for letter in "CD"),
    ("Search so far", "D"),
    ("Users and stage", "E"),
    ("Warnings and errors in the server's log", "A"),
    ("Warnings and errors in the server's log", "B"),
    ("Memory and database of the server", "B"),
    ("Memory and database of the server", "C"),
}
OBJECTIVES = [
    part
    for text in (
        "ttft_p95 < 1m",
        "e2e_p95 < 1m",
        "errors < 99%",
        "throughput > 1/h",
        "chunk_gap_p50 < 1m",
        "ttft_effective_p95 < 1m",
    )
    for part in ("--slo", text)
]


@pytest.fixture(scope="module", params=["simulator", pytest.param("astrbot", marks=pytest.mark.astrbot)])
def grafana(request, tmp_path_factory):
    if request.param == "astrbot" and not os.environ.get(WHOLE):
        pytest.skip(f"takes minutes; {WHOLE}=1 runs it against a real AstrBot, too")
    needs("promtool", "prometheus", "openssl")
    with World(tmp_path_factory.mktemp("world")) as world:
        box = request.getfixturevalue("real_astrbot")("latest") if request.param == "astrbot" else None
        url, keys = world.simulator() if box is None else (box.url, box.keys)
        all_is_well(world, box)
        much_is_broken(world)
        first = world.load("load", url, keys["all"], "--shape", "8/s:12s")
        since = int(time.time())
        prometheus = world.prometheus()
        first.wait(150)
        server = () if box else ("--server-pid", str(os.getpid()))
        world.load("load", url, keys["all"], "--shape", "6/s:8s,10/s:90s", *server, *OBJECTIVES)
        found = Grafana(prometheus, since, SCRAPE_S)
        world.callback(found.close)
        found.past = Grafana(prometheus, since - dashboard_past.BEGAN_S, SCRAPE_S)
        world.callback(found.past.close)
        yield found


def all_is_well(world, box):
    """A healthy server with TLS, a daily cap and a model that reasons; and a real AstrBot if there is one."""
    tls = certificate(world.folder)
    url, keys = world.simulator(tls=tls, model={"reasoning_tokens": 3, "gap_s": 0.03, "tokens": 8})
    targets = [world.target("prod", url, {"all": (keys["all"], ALL)}, "budget.tokens_per_day = 50000000")]
    if box is not None:
        targets.append(world.target("real", box.url, {"all": (box.keys["all"], ALL)}))
    world.exporter(
        "probes",
        {"chat": "350ms", "upload": "3s", "scopes": "3s", "im_chat": "450ms"},
        *targets,
        world.messenger("prod", url),
        rest="3s" if box is None else None,
        environment={"SSL_CERT_FILE": str(tls[0])},
    )


def much_is_broken(world):
    """A target for each layer that can fail."""
    streams, stream_keys = world.simulator(
        *(fault(kind, 0.2) for kind in STREAM_FAULTS),
        *(fault("http_429", 0.1), fault("http_500", 0.1), fault("silence", endpoint="messenger")),
    )
    model, model_keys = world.simulator(model={"fail": "500"})
    doors, door_keys = world.simulator(fault("http_500", endpoint="session_delete"))
    no = world.enter_context(serve(says_no()))
    world.exporter(
        "broken_probes",
        {"chat": "1s", "scopes": "3s", "im_chat": "1s"},
        world.target("gone", "http://127.0.0.1:9", {"all": ("abk_none", ALL)}),
        world.target("streams", streams, {"all": (stream_keys["all"], ALL)}),
        world.messenger("streams", streams),
        world.target("model", model, {"all": (model_keys["all"], ALL)}),
        world.target(
            "doors",
            doors,
            {
                "all": (door_keys["all"], ALL),
                "opens_too_much": (door_keys["all"], ["config"]),
                "opens_nothing": (door_keys["config"], ["chat"]),
            },
        ),
        world.target("revoked", doors, {"all": (door_keys["revoked"], ALL)}),
        world.target("forbidden", doors, {"all": (door_keys["config"], ["chat"])}),
        world.target("says_no", no, {"all": ("abk_any", ALL)}),
        world.target("spent", doors, {"all": (door_keys["all"], ALL)}, "budget.runs_per_day = 1"),
    )
    search = ("--capacity", "--start", "4", "--max", "4", "--step-time", "30s", "--settle", "1s")
    objective = ("--repeats", "3", "--slo", "errors < 99%")
    world.load("broken_load", streams, stream_keys["all"], *search, *objective)


@pytest.fixture(scope="module")
def seen(grafana):
    """(place, well or broken) of the queries that gave data: asked until they do, or the time is up."""
    steps = {
        (name, panel["title"], target["refId"]): target.get("interval", "")
        for name in NAMES
        for panel in panels(name)
        for target in panel["targets"]
    }
    places = all_places()
    open_ = {(place, True) for place in places} | {(place, False) for place in empty_places()}
    found = set()
    give_up = time.monotonic() + GIVE_UP_S
    while time.monotonic() < give_up:
        values = {
            (name, well): grafana.choose(name, WELL if well else BROKEN)
            for name in NAMES
            for well in (True, False)
        }
        for place, well in sorted(open_ - found):
            asked, chosen = grafana, values[place[0], well]
            if well and place[0] == "load_test" and place[1:] in OF_A_LONG_RUN:
                asked, chosen = grafana.past, {**chosen, **dashboard_past.CHOSEN}
            if asked.answer(places[place], chosen, steps[place]):
                found.add((place, well))
        if all(well and place in empty_places() for place, well in open_ - found):
            break
        time.sleep(1)
    return found


def all_places():
    return {(query.dashboard, query.panel, query.ref): query for query in queries()}


def empty_places():
    return {
        (name, panel, letter)
        for name, titles in EMPTY_WHEN_WELL.items()
        for panel, letters in titles.items()
        for letter in letters
    }


def test_every_query_of_every_panel_gives_data(seen):
    asked = set(all_places())
    healthy = {place for place, well in seen if well}
    assert sorted(asked - healthy - empty_places()) == []


def test_what_is_empty_on_a_healthy_system_is_so_and_shows_a_fault(seen):
    broken = {place for place, well in seen if not well}
    assert sorted(empty_places() - broken) == []
    # On a machine that is busy otherwise, a chat every 500 ms overlaps the one before, and that is a skip.
    may_be = {("slo", "Skipped runs", "A"), ("overview", "Skipped runs", "A")}
    assert sorted(empty_places() & {place for place, well in seen if well} - may_be) == []


def value(grafana, query, name, jobs):
    """The one number of a panel; asked again while a scrape of a busy machine has timed out."""
    found = until(lambda: grafana.answer(query, grafana.choose(name, jobs)), f"{query.panel} of {jobs}")
    return found[0]["value"][1]


def test_the_state_tells_well_from_broken(grafana, seen):
    state = next(query for query in queries() if (query.dashboard, query.panel) == ("overview", "Service"))
    # What is well: on a machine that is busy otherwise, loopback sends segments again, and chats end late.
    known = (TargetStatus.OK, TargetStatus.UNKNOWN, TargetStatus.DEGRADED)
    fine = {str(list(TargetStatus).index(status)) for status in known}
    assert value(grafana, state, "overview", WELL) in fine
    # until three runs have failed
    until(lambda: value(grafana, state, "overview", BROKEN) == "0", "one target is gone: DOWN", GIVE_UP_S)
    doors = next(query for query in queries() if (query.dashboard, query.panel) == ("auth", "Scopes"))
    well, broken = (value(grafana, doors, "auth", jobs) for jobs in (WELL, BROKEN))
    assert (well, broken) == ("1", "3")


def test_the_drop_downs_offer_what_is_there(grafana, seen):
    everywhere = {"job", "instance", "target", "probe"}
    for name in NAMES:
        offered = {each: grafana.options(name, each, WELL) for each in everywhere & set(variables(name))}
        assert set(offered["job"]) >= {"probes", "broken_probes"}
        assert set(offered["target"]) - {"real"} == {"prod"}
        assert offered["probe"] in (list(ALL_PROBES), ["chat", "im_chat", "scopes", "upload"])
    assert set(grafana.options("load_test", "job", WELL)) == {*WELL, *BROKEN}
    assert "chat" in grafana.options("load_test", "scenario", WELL)


def test_load_tests_are_marked_on_every_dashboard(grafana, seen):
    marks = grafana.marks("overview")
    starts = {value for series in marks["Load test starts"] for _, value in series["values"]}
    assert len(starts) == 3  # two of one generator, one of the other
    assert all(time.time() - 600 < float(start) / 1000 < time.time() for start in starts)
    assert {series["metric"]["job"] for series in marks["Load test"]} == {"load", "broken_load"}
    assert {series["metric"]["scenario"] for series in marks["Load test"]} == {"mixed"}
