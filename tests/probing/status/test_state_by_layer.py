"""Runs over time -> states: what is well, since when not, and why. Times are made up."""

from dataclasses import replace
from types import MappingProxyType

import pytest

from astrometer.api.chat.chat_turn import ChatTurn
from astrometer.api.outcome import Layer, Outcome
from astrometer.api.timings import Timings
from astrometer.config.secret import Secret
from astrometer.config.settings import Key, Target
from astrometer.probing.plan import Plan
from astrometer.probing.probe_files import Probe
from astrometer.probing.run_record import Limits
from astrometer.probing.status.layer_evidence import Sign, StateLayer, evidence_of
from astrometer.probing.status.state_by_layer import StateBook, TargetState, states_of_once
from astrometer.probing.verdict import ProbeReason, ProbeRun, Verdict

MINUTE, HALF_HOUR = 60.0, 1800.0
KEYS = MappingProxyType({"k": Key(name="k", secret=Secret("s"))})
TARGET = Target(name="prod", url="http://prod:6185", keys=KEYS)


def plan_of(name: str, interval_s: float, *, asks: bool = False, **options) -> Plan:
    probe = Probe(
        name=name,
        function=None,
        interval_s=interval_s,
        scopes=(),
        costs_tokens=asks,
        summary="",
    )
    limits = Limits(total_s=30)
    return Plan(target=TARGET, probe=probe, interval_s=interval_s, limits=limits, options=options)


READS, CHAT = plan_of("reads", MINUTE), plan_of("chat", HALF_HOUR, asks=True)
IM = plan_of("im", 300.0, adapters=["onebot"])


def turn(outcome: Outcome, *, server_ttft_s: float | None = None, headers: bool = True, beats: int = 0):
    times = Timings(
        t_intended=0.0,
        t_send=0.0,
        t_headers=0.1 if headers else None,
        t_token1=4.0,
        t_text1=4.0,
        server_ttft_s=server_ttft_s,
        streamed=True,
    )
    return ChatTurn(outcome=outcome, timings=times, events={"heartbeat": beats})


class Watch:
    """A book, and runs that end at a time."""

    def __init__(self, *plans: Plan) -> None:
        self.plans = {plan.probe.name: plan for plan in plans}
        self.book = StateBook()
        self.book.keep(plans, 0.0)

    def run(self, probe: str, at: float, reason: str = "ok", **more) -> None:
        self.book.add(run_of(self.plans[probe], at, reason, **more))

    def at(self, now: float) -> TargetState:
        return self.book.states(now)["prod"]

    def layers(self, now: float) -> dict[str, tuple[str, str]]:
        return {one.layer.value: (one.state.value, one.reason) for one in self.at(now).layers}


def run_of(plan: Plan, at: float, reason: str = "ok", **more) -> ProbeRun:
    known = ProbeReason(reason) if reason in list(ProbeReason) else Outcome(reason)
    turns = more.pop("turns", (turn(known if isinstance(known, Outcome) else Outcome.OK),))
    return ProbeRun(
        target="prod",
        url=plan.target.url,
        probe=plan.probe.name,
        verdict=Verdict(reason=known),
        started_at=at - 1.0,
        duration_s=1.0,
        used_key=reason not in ("connect", "dns"),
        turns=turns if plan.probe.costs_tokens else (),
        **more,
    )


def test_before_the_first_run_nothing_is_known_and_the_target_is_not_ok():
    watch = Watch(READS, CHAT)
    assert watch.at(5.0).title == "UNKNOWN"
    assert watch.layers(5.0)["network"] == ("unknown", "no_run")
    assert watch.layers(5.0)["messenger"] == ("unknown", "not_probed")


def test_what_nobody_probes_makes_no_target_unknown():
    watch = Watch(READS, CHAT)
    watch.run("reads", 10)
    watch.run("chat", 11)
    assert watch.at(12.0).title == "OK"
    assert watch.layers(12.0) == {
        **dict.fromkeys(("network", "astrbot", "key", "model", "content"), ("ok", "ok")),
        "messenger": ("unknown", "not_probed"),
    }


def test_three_failures_make_it_fail_since_the_first_of_them_and_two_good_runs_end_it():
    watch = Watch(READS)
    watch.run("reads", 0)
    for at in (60, 120):
        watch.run("reads", at, "connect")
    assert watch.at(121).title == "OK"  # one step below
    watch.run("reads", 180, "connect")
    down = watch.at(181)
    assert (down.title, down.worst.since, down.worst.reason) == ("DOWN", 60.0, "connect")
    watch.run("reads", 240)
    assert watch.at(241).title == "PARTLY DOWN"  # something gets through
    watch.run("reads", 300)
    assert (watch.at(301).title, watch.layers(301)["network"]) == ("OK", ("ok", "ok"))


def test_failures_of_different_probes_are_not_added_up():
    watch = Watch(READS, plan_of("auth", 300.0), plan_of("scopes", 300.0))
    for at, probe in enumerate(("reads", "auth", "scopes")):
        watch.run(probe, at, "connect")
    assert watch.layers(3)["network"] == ("unknown", "too_few_runs")


def test_failures_that_are_further_apart_than_the_window_do_not_make_it_fail():
    watch = Watch(READS)
    for at in (0, 800, 1600):
        watch.run("reads", at, "connect")
        watch.run("reads", at + 60)
    assert watch.at(1661).title == "OK"


def test_a_restart_of_the_server_is_one_failure():
    watch = Watch(READS)
    for at, reason in ((0, "ok"), (60, "connect"), (120, "ok"), (180, "ok")):
        watch.run("reads", at, reason)
        assert watch.at(at + 1).title == "OK"


def test_a_probe_that_fails_while_others_get_through_is_partly_down_and_stays_so_between_its_runs():
    watch = Watch(READS, CHAT)
    for at in range(0, 5401, 60):
        watch.run("reads", at)
        if at % 1800 == 0:
            watch.run("chat", at + 1, "server_error")
    assert watch.at(5402).title == "PARTLY DOWN"
    assert watch.layers(5402)["astrbot"] == ("failing", "server_error")
    assert watch.layers(5402)["model"] == ("unknown", "no_run")


def test_what_failed_while_the_server_was_down_counts_no_more_once_it_is_back():
    watch = Watch(READS, plan_of("auth", 300.0))
    for at in range(0, 901, 60):
        watch.run("reads", at, "connect")
        if at % 300 == 0:
            watch.run("auth", at + 1, "connect")
    assert watch.at(902).title == "DOWN"
    watch.run("reads", 960)
    watch.run("reads", 1020)
    assert watch.at(1021).title == "OK"


@pytest.mark.parametrize(
    ("reason", "title", "layer"),
    [
        ("unauthorized", "KEY REJECTED", "key"),
        ("forbidden", "KEY REJECTED", "key"),
        ("llm_error", "MODEL FAILING", "model"),
        ("empty_answer", "MODEL FAILING", "model"),
        ("canary_mismatch", "WRONG CONTENT", "content"),
        ("agent_error", "DOWN", "astrbot"),
        ("truncated", "DOWN", "astrbot"),
    ],
)
def test_each_reason_names_its_layer_and_clears_those_before_it(reason, title, layer):
    watch = Watch(CHAT)
    for at in (0, 1800, 3600):
        watch.run("chat", at, reason)
    state = watch.at(3601)
    assert (state.title, state.worst.layer.value, state.worst.since) == (title, layer, 0.0)
    path = ["network", "astrbot", "key", "model", "content"]
    layers = watch.layers(3601)
    assert {layers[name][0] for name in path[: path.index(layer)]} <= {"ok"}
    assert {layers[name][0] for name in path[path.index(layer) + 1 :]} <= {"unknown"}


OF_LAYER = {
    Layer.NETWORK: "network",
    Layer.AUTH: "key",
    Layer.SERVER: "astrbot",
    Layer.UPSTREAM: "model",
    Layer.MESSENGER: "messenger",
    Layer.CONTENT: "content",
}
DEADLINES = {Outcome.TIMEOUT_FIRST_TOKEN, Outcome.STALLED, Outcome.TIMEOUT_TOTAL}
SAID_IN_A_REPLY = {Outcome.AGENT_ERROR, Outcome.NOT_ASKED}  # and the server's other failures are not


def blamed(plan: Plan, outcome: Outcome) -> str | None:
    found = evidence_of(run_of(plan, 0, outcome.value), plan)
    return next((layer.value for layer, told in found.items() if told.sign is not Sign.GOOD), None)


@pytest.mark.parametrize("outcome", Outcome, ids=lambda outcome: outcome.value)
def test_every_outcome_blames_its_own_layer(outcome):
    expected = "astrbot" if outcome is Outcome.CLIENT_ERROR else OF_LAYER.get(outcome.layer)
    assert blamed(CHAT, outcome) == (None if outcome in DEADLINES else expected)


@pytest.mark.parametrize("outcome", Outcome, ids=lambda outcome: outcome.value)
def test_in_a_messenger_every_outcome_blames_the_messenger_but_for_what_a_reply_says(outcome):
    plan = replace(CHAT, probe=replace(CHAT.probe, needs_messenger=True))
    expected = OF_LAYER.get(outcome.layer)
    is_of_model = outcome.layer in (Layer.UPSTREAM, Layer.CONTENT) and outcome not in DEADLINES
    if (expected or outcome is Outcome.CLIENT_ERROR) and not is_of_model and outcome not in SAID_IN_A_REPLY:
        expected = "messenger"
    assert blamed(plan, outcome) == expected


def test_one_leak_is_enough_and_names_the_target():
    watch = Watch(READS, plan_of("scopes", 300.0))
    watch.run("reads", 0)
    watch.run("scopes", 1, "leak")
    state = watch.at(2)
    assert (state.title, state.worst.layer, state.worst.reason) == ("LEAK", StateLayer.KEY, "leak")


def test_a_spent_budget_makes_the_model_unknown_and_never_ok():
    watch = Watch(READS, CHAT)
    watch.run("chat", 0)
    for at in range(0, 7201, 60):
        watch.run("reads", at)
        if at and at % 1800 == 0:
            watch.book.skip(CHAT, "budget", at)
    assert watch.layers(7201)["model"] == ("unknown", "budget")
    assert watch.at(7201).title == "UNKNOWN"
    assert watch.layers(7201)["astrbot"] == ("ok", "ok")


def test_an_exporter_that_hears_nothing_for_two_intervals_knows_nothing():
    watch = Watch(READS)
    watch.run("reads", 0)
    assert watch.at(150).title == "OK"  # two intervals, and the 30 s that a run may take
    assert (watch.at(151).title, watch.layers(151)["network"]) == ("UNKNOWN", ("unknown", "late"))


@pytest.mark.parametrize(
    ("turns", "layer", "title"),
    [
        (turn(Outcome.TIMEOUT_FIRST_TOKEN, beats=3), "model", "MODEL FAILING"),
        (turn(Outcome.TIMEOUT_FIRST_TOKEN, headers=False), "astrbot", "DOWN"),
    ],
)
def test_a_deadline_is_the_models_only_while_astrbot_gives_signs_of_life(turns, layer, title):
    watch = Watch(CHAT)
    for at in (0, 1800, 3600):
        watch.run("chat", at, "timeout_first_token", turns=(turns,))
    state = watch.at(3601)
    assert (state.title, state.worst.layer.value) == (title, layer)


def test_a_deadline_that_nobody_can_explain_blames_nobody():
    watch = Watch(READS, CHAT)
    for at in range(0, 3601, 60):
        watch.run("reads", at)
        if at % 1800 == 0:
            watch.run("chat", at, "timeout_first_token", turns=(turn(Outcome.TIMEOUT_FIRST_TOKEN),))
    assert watch.layers(3601)["astrbot"] == ("ok", "ok")
    assert watch.layers(3601)["model"] == ("unknown", "no_run")


@pytest.mark.parametrize(("server_s", "whose"), [(3.5, "model"), (0.5, "AstrBot"), (None, "AstrBot")])
def test_slow_is_theirs_whose_time_it_was(server_s, whose):
    watch = Watch(CHAT)
    for at in (0, 1800, 3600):
        watch.run("chat", at, "slow", turns=(turn(Outcome.OK, server_ttft_s=server_s),))
    state = watch.at(3601)
    assert state.title == f"SLOW ({whose})"
    assert watch.layers(3601)["content"] == ("ok", "ok")  # a late answer is an answer


def test_a_network_that_loses_segments_in_each_run_is_degraded():
    watch = Watch(READS)
    lossy = {"networks": (Lossy(),)}
    for at in (0, 60, 120):
        watch.run("reads", at, **lossy)
    assert (watch.at(121).title, watch.layers(121)["network"]) == ("DEGRADED", ("degraded", "retransmits"))
    watch.run("reads", 180)
    assert watch.at(181).title == "OK"


class Lossy:
    retransmits, out_of_order = 1, 0


def test_an_adapter_that_is_cut_fails_the_messenger_and_nothing_else():
    watch = Watch(READS, IM)
    for at in (0, 300, 600):
        watch.run("reads", at)
        watch.run("im", at + 1, "lost_link")
    assert watch.at(602).title == "MESSENGER FAILING"
    assert {name for name, (state, _) in watch.layers(602).items() if state == "failing"} == {"messenger"}
    for at in (900, 1200):
        watch.run("im", at)
        watch.run("reads", at)
    assert watch.at(1201).title == "OK"


def test_another_server_by_the_same_name_is_another():
    watch = Watch(READS)
    watch.run("reads", 0)
    moved = Plan(
        target=Target(name="prod", url="http://other", keys=KEYS), probe=READS.probe, interval_s=60.0
    )
    watch.book.keep([moved], 10.0)
    assert watch.at(11).title == "UNKNOWN"


def test_a_run_on_our_side_says_nothing():
    watch = Watch(READS)
    for at in (0, 60, 120):
        watch.run("reads", at, "internal")
    assert watch.layers(121)["astrbot"] == ("unknown", "no_run")


def test_once_one_failure_is_enough():
    runs = [run_of(READS, 10, "connect"), run_of(CHAT, 11, "connect")]
    assert states_of_once([READS, CHAT], runs, 12.0)["prod"].title == "DOWN"


def test_once_a_lost_segment_is_not_enough():
    runs = [run_of(READS, 10, networks=(Lossy(),))]
    assert states_of_once([READS], runs, 12.0)["prod"].title == "OK"
