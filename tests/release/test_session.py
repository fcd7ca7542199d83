"""A release test without servers and without waiting: who is loaded when, when it ends, and what is left."""

from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace

import pytest
from astrbot_plugins import write_plugin
from causes import LAG_JSON
from server_usages import usage
from synthetic_runs import make_run

from astrometer.compare.gates import parse_gate
from astrometer.compare.output import compare_json
from astrometer.compare.sequence_state import SequenceEnd
from astrometer.config.settings import Target
from astrometer.load.launch import LoadPlan
from astrometer.measure.results import document
from astrometer.measure.results.result_parts import server_json
from astrometer.measure.slo.cause_sentences import cause_json
from astrometer.measure.slo.validity import Cause, CauseKind
from astrometer.output_files import json_text, write_all
from astrometer.release.earlier_blocks import NONE, EarlierError, earlier_blocks
from astrometer.release.release_page import judged
from astrometer.release.release_plan import ReleasePlan, Role
from astrometer.release.session import Interrupted, Means, ReleaseError, ReleaseSession, ServerGone
from astrometer.release.sides import SideSpec
from astrometer.report import write_reports
from astrometer.targets.sandbox.astrbot_plugin import read_plugin
from astrometer.targets.sandbox.config_patch import ConfigPatch
from astrometer.targets.sandbox.install import Installation
from astrometer.targets.sandbox.server_process import ChildError
from astrometer.targets.script import ModelScript

THIN = cause_json(Cause(kind=CauseKind.TOO_FEW_SAMPLES, objective="ttft_p99 < 2s", value=80))
BLOCK_S = 20.0
ARRIVALS = {"process": "poisson", "seed": 1, "expected": 54.0, "intended": 54, "kinds": 1}


class Machine:
    """Notes what is asked of it; its clock goes on only while a block of load runs.

    `causes`: why each block in turn is INVALID; None: it wrote no results. `ttft_s`: of the candidate.
    In block `interrupted_in` Ctrl-C comes, in block `dead_in` the candidate's server ends.
    """

    def __init__(
        self, *causes, ttft_s=0.3, interrupted_in=None, dead_in=None, raising=None, refuses=None, slos=()
    ):
        self.causes = list(causes)
        self.ttft_s, self.slos = ttft_s, slos
        self.interrupted_in, self.dead_in, self.raising, self.refuses = (
            interrupted_in,
            dead_in,
            raising,
            refuses,
        )
        self.busy = (None, None)  # of a core: each server while it warms up
        self.installs, self.started, self.warmed, self.loaded = [], [], [], []
        self.alive, self.now_s = set(), 0.0

    @property
    def means(self):
        return Means(
            latest_version=lambda _: "4.29.3", install=self.install, with_libraries=self.with_libraries,
            sandbox=self.sandbox, load=self.load, now=lambda: self.now_s,
        )  # fmt: skip

    def install(self, spec, _say):
        self.installs.append(spec)
        version = "4.30.0" if "/" in spec else spec
        return Installation(version=version, directory=f"{spec}-as-it-was-at-{len(self.installs)}")

    def with_libraries(self, installation, requirements, _say):
        return replace(installation, directory=(installation.directory, *requirements))

    @contextmanager
    def sandbox(self, options, _say):
        self.started.append(options)
        version = options.installation.version
        if version == self.refuses:
            raise ChildError(f"AstrBot {version} ended (exit 1) before it was ready")
        self.alive.add(version)

        def fault():
            is_dead = self.dead_in is not None and version == "4.30.0" and len(self.loaded) >= self.dead_in
            return "AstrBot 4.30.0 ended (exit -9):\nMemoryError" if is_dead else None

        try:
            access = SimpleNamespace(url="ws://127.0.0.1:2/ws", token="tok-box")
            yield SimpleNamespace(
                url=f"http://{version}", keys={"all": "abk_x"}, sink_url=None, fault=fault, pid=1,
                messenger=access if options.messenger else None,
            )  # fmt: skip
        finally:
            self.alive.remove(version)

    def load(self, plan, _environ, interrupted, on_results):  # noqa: ARG002 (launch.run has it)
        assert self.alive == {"4.29.3", "4.30.0"}, "both servers run all the time"
        if "warm-up" in plan.out.parts:
            self.warmed.append(plan)
            share = self.busy[len(self.warmed) % 2]
            server = None if share is None else {**server_json(usage()), "cpu_share": share}
            document.write(plan.out, {**make_run().results, "server": server})
            return 0
        self.loaded.append(plan)
        self.now_s += BLOCK_S + 5
        if self.raising:
            raise self.raising
        plan.out.mkdir(parents=True)
        causes = self.causes.pop(0) if self.causes else ()
        if causes is None:
            return 2
        is_candidate = plan.target.url == "http://4.30.0"
        measured = make_run(
            seed=len(self.loaded), chats=150, ttft_s=self.ttft_s if is_candidate else 0.3, slos=self.slos,
            url=plan.target.url, version=plan.given["version"], users=1, duration_s=BLOCK_S,
        ).results  # fmt: skip
        if (unit := plan.given.get("rate_unit")) is not None:
            measured = {**measured, "arrivals": {**ARRIVALS, "rate_per_s": plan.users * float(unit)}}
        if causes:
            measured = {**measured, "verdict": "INVALID", "causes": list(causes)}
        document.write(plan.out, measured)
        if len(self.loaded) == self.interrupted_in:
            interrupted()
        return 0


def session(
    tmp_path, machine, *, budget_s=600.0, gates=("any worse",), candidate="./AstrBot", messenger=False,
    more=False, fits=False,
):  # fmt: skip
    load = LoadPlan(
        locustfile=tmp_path / "chat.py", target=Target(name="none", url="http://127.0.0.1"), users=1,
        spawn_rate=1, duration_s=BLOCK_S, stop_timeout_s=1, out=tmp_path,
        given={"warmup": "3s"},
    )  # fmt: skip
    machine.said = []
    plan = ReleasePlan(
        specs={Role.BASELINE: SideSpec(astrbot="latest"), Role.CANDIDATE: SideSpec(astrbot=candidate)},
        budget_s=budget_s, load=load, fits_rate=fits, fits_block=fits, model=ModelScript(),
        out=tmp_path / "out",
        gates=[parse_gate(text) for text in gates], messenger=messenger,
    )  # fmt: skip
    earlier = earlier_blocks(plan) if more else NONE
    return ReleaseSession(plan, machine.said.append, machine.means, earlier=earlier)


def run(tmp_path, machine, **options):
    test = session(tmp_path, machine, **options)
    test.execute(test.prepare())
    return test


def page_of(test):
    return judged(test.blocks)


def verdicts(page):
    return {line.name: line.verdict for line in page.groups[0][1]}


def test_the_same_server_is_called_the_same_before_the_budget_is_spent(tmp_path):
    machine = Machine()
    test = run(tmp_path, machine)
    assert test.blocks.end is SequenceEnd.DECIDED
    assert test.blocks.pairs < test.blocks.planned == 12
    page = page_of(test)
    assert page.verdict == "PASS"
    assert {verdicts(page)[name] for name in ("ttft_p50", "e2e_p50", "errors")} == {"same"}
    assert page.progress[0].startswith(
        f"Ended after {test.blocks.pairs} pairs of blocks of 20.00 s each (of at most 12)"
    )
    assert len(page.progress) == 1


def test_a_slower_candidate_is_worse_after_few_pairs(tmp_path):
    test = run(tmp_path, Machine(ttft_s=0.36))
    page = page_of(test)
    assert (page.verdict, test.blocks.end) == ("FAIL", SequenceEnd.DECIDED)
    assert verdicts(page)["ttft_p50"] == "worse"
    assert test.blocks.pairs <= 6
    lines = {line.name: line for line in page.groups[0][1]}
    assert lines["ttft_p50"].decided == f"decided after {test.blocks.pairs} pairs"
    # One that is worse is enough; of the others some are open.
    assert {line.decided for line in lines.values() if line.verdict == "cannot tell"} == {""}


def test_what_is_as_large_as_the_limit_spends_the_budget_and_says_what_is_undecided(tmp_path):
    machine = Machine(ttft_s=0.315)
    test = run(tmp_path, machine, gates=("ttft_p50 worse by 5%", "errors worse by 5pp"))
    page = page_of(test)
    assert (page.verdict, test.blocks.end) == ("CANNOT TELL", SequenceEnd.BUDGET)
    assert machine.now_s == 600
    assert "the budget is spent" in page.progress[0]
    assert [
        line for line in page.progress[1:] if line.startswith("Undecided: ttft_p50 (same or worse); ")
    ] == list(page.progress[1:])


def test_a_budget_too_short_says_about_how_much_longer_it_would_take(tmp_path):
    test = run(tmp_path, Machine(ttft_s=0.31), budget_s=160.0, gates=("ttft_p95 worse by 4.5%",))
    (line,) = page_of(test).progress[1:]
    assert line.startswith("Undecided: ttft_p95 (same or worse); about ")
    assert line.endswith(" more would decide it.")


def test_three_pairs_are_measured_however_short_the_budget(tmp_path):
    test = run(tmp_path, Machine(), budget_s=60.0, gates=("ttft_p95 worse by 0.1%",))
    assert (test.blocks.pairs, test.blocks.end) == (3, SequenceEnd.BUDGET)


def test_the_sides_take_turns_and_each_is_installed_once(tmp_path):
    machine = Machine()
    run(tmp_path, machine)
    assert machine.installs == ["./AstrBot", "4.29.3"]  # a path that may lead nowhere is tried first
    assert [plan.given["version"] for plan in machine.loaded[:6]] == [
        "4.29.3", "4.30.0 (AstrBot)", "4.30.0 (AstrBot)", "4.29.3", "4.29.3", "4.30.0 (AstrBot)",
    ]  # fmt: skip
    # The two blocks of a pair ask the same at the same times, and the next pair something else.
    assert [plan.given["arrival_seed"] for plan in machine.loaded[:6]] == ["2", "2", "3", "3", "4", "4"]
    assert not machine.alive
    assert [(plan.given["version"], plan.out.name) for plan in machine.warmed] == [
        ("4.29.3", "baseline"), ("4.30.0 (AstrBot)", "candidate"),
    ]  # fmt: skip
    for place in ("baseline/1", "baseline/2", "candidate/1", "candidate/2"):
        names = {file.name for file in (tmp_path / "out" / place).iterdir()}
        assert names == {document.FILE_NAME, *write_reports.FILE_NAMES}
    assert not (tmp_path / "out" / "invalid").exists()


def test_only_the_candidate_has_the_plugin_its_libraries_and_the_patch(tmp_path):
    plugin = read_plugin(write_plugin(tmp_path / "plugin", "slow", requirements="emoji\n"))
    patch = ConfigPatch(name="fast.json", values={"t2i": True})
    machine = Machine()
    test = session(tmp_path, machine)
    test.plan.specs[Role.CANDIDATE] = SideSpec(astrbot="./AstrBot", plugins=[plugin], config_patch=patch)
    test.execute(test.prepare())
    baseline, candidate = machine.started
    assert (*baseline.plugins, baseline.config_patch, baseline.installation.directory[1:]) == (None, ())
    assert (candidate.plugins, candidate.config_patch) == ([plugin], patch)
    assert candidate.installation.directory[1:] == (plugin.requirements,)
    sides = page_of(test).sides
    assert [side.version for side in sides] == [
        "AstrBot 4.29.3", "AstrBot 4.30.0 (AstrBot) + plugin slow + config fast.json",
    ]  # fmt: skip


def test_the_pair_of_an_invalid_block_does_not_count_and_is_kept(tmp_path):
    machine = Machine((), (), (LAG_JSON, THIN))
    test = run(tmp_path, machine)
    assert [item.name for item in test.blocks.runs[Role.CANDIDATE]][:2] == ["candidate 1", "candidate 3"]
    assert document.read(tmp_path / "out" / "invalid" / "candidate-2")["causes"] == [LAG_JSON, THIN]
    assert (tmp_path / "out" / "invalid" / "baseline-2").exists()
    assert any(
        line.startswith("pair 2 does not count: the block of the candidate is INVALID")
        for line in machine.said
    )
    assert page_of(test).verdict == "PASS"


def test_pair_after_pair_that_is_invalid_ends_it(tmp_path):
    machine = Machine(*[(LAG_JSON,)] * 20)
    test = run(tmp_path, machine)
    assert (len(machine.loaded), test.blocks.pairs, test.blocks.end) == (6, 0, SequenceEnd.INVALID)


def test_too_few_samples_for_an_objective_are_no_reason_against_a_block(tmp_path):
    machine = Machine(slos=("ttft_p99 < 2s", "errors < 1%"))
    test = run(tmp_path, machine)
    assert test.blocks.runs[Role.CANDIDATE][0].results["verdict"] == "INVALID"
    page = page_of(test)
    assert [(check.text, check.verdict) for check in page.checks[:2]] == [
        ("candidate: ttft_p99 < 2s", "PASS"), ("candidate: errors < 1%", "PASS"),
    ]  # fmt: skip
    assert test.blocks.pairs >= 7  # 1,000 samples
    assert page.reasons == ()


def test_ctrl_c_ends_both_servers_and_says_what_is_known(tmp_path):
    machine = Machine(ttft_s=0.45, interrupted_in=7)
    test = session(tmp_path, machine, gates=("ttft_p95 worse by 0.1%", "errors worse by 0.1pp"))
    with pytest.raises(Interrupted):
        test.execute(test.prepare())
    assert (len(machine.loaded), machine.alive, test.blocks.pairs) == (7, set(), 3)
    assert {file.name for file in (tmp_path / "out" / "invalid").iterdir()} == {"candidate-4"}
    assert not (tmp_path / "out" / "candidate" / "4").exists()
    page = page_of(test)
    assert page.progress[0].endswith("interrupted.")
    assert verdicts(page)["ttft_p50"] == "worse"


def test_a_server_that_dies_is_named_with_its_log_and_what_was_measured_is_kept(tmp_path):
    machine = Machine(dead_in=6)
    test = session(tmp_path, machine)
    with pytest.raises(ServerGone, match=r"in block 3: AstrBot 4.30.0 ended \(exit -9\):\nMemoryError"):
        test.execute(test.prepare())
    assert (machine.alive, test.blocks.pairs) == (set(), 2)
    assert verdicts(page_of(test))["ttft_p50"] == "cannot tell"
    assert (tmp_path / "out" / "candidate" / "2" / document.FILE_NAME).exists()


def test_a_server_that_does_not_start_ends_the_other_one(tmp_path):
    machine = Machine(refuses="4.30.0")
    with pytest.raises(ChildError):
        run(tmp_path, machine)
    assert (machine.loaded, machine.alive) == ([], set())


@pytest.mark.parametrize("ending", [KeyboardInterrupt, SystemExit])
def test_whatever_ends_this_process_ends_the_servers_first(tmp_path, ending):
    machine = Machine(raising=ending)
    with pytest.raises(ending):
        run(tmp_path, machine)
    assert (len(machine.loaded), machine.alive) == (1, set())


def test_a_block_without_results_ends_the_test_and_says_where_to_look(tmp_path):
    machine = Machine(None)
    with pytest.raises(ReleaseError, match=r"exit code 2; see .*baseline/1/locust\.log"):
        run(tmp_path, machine)
    assert (len(machine.loaded), machine.alive) == (1, set())


def test_each_server_has_a_messenger_of_its_own_where_one_is_wanted(tmp_path):
    machine = Machine()
    run(tmp_path, machine, messenger=True)
    for plan in machine.loaded:
        assert "--messenger ws://127.0.0.1:2/ws" in " ".join(plan.command())
        environment = plan.environment({"ASTRBOT_MESSENGER_TOKEN": "another's"})
        assert environment["ASTRBOT_MESSENGER_TOKEN"] == "tok-box"


def undecided(tmp_path, machine, **options):
    """A test that spent its budget, with its reports."""
    test = run(tmp_path, machine, budget_s=200.0, gates=("ttft_p95 worse by 4.5%",), **options)
    assert test.blocks.end is SequenceEnd.BUDGET
    write_all(test.plan.out, {compare_json.FILE_NAME: json_text(compare_json.to_json(page_of(test)))})
    return test


def test_a_test_that_ended_undecided_goes_on_where_it_ended(tmp_path):
    machine = Machine((), (), (LAG_JSON,), ttft_s=0.31)
    first = undecided(tmp_path, machine)
    loaded = len(machine.loaded)
    more = run(tmp_path, machine, gates=("ttft_p95 worse by 4.5%",), more=True)
    assert more.blocks.runs[Role.BASELINE][: first.blocks.pairs] == first.blocks.runs[Role.BASELINE]
    assert machine.loaded[loaded].out.name == str(loaded // 2 + 1)  # what did not count has a number, too
    assert more.blocks.planned == first.blocks.pairs + 12
    page = page_of(more)
    assert page.verdict == "PASS"
    assert "Continued 1 time (--more): the chance of an error is up to 1.5 times as high." in page.progress[0]
    sequence = compare_json.to_json(page)["sequence"]
    assert sequence["continued"] == 1
    assert sequence["elapsed_s"] == pytest.approx(machine.now_s)


def test_another_load_or_another_version_is_no_continuation(tmp_path):
    machine = Machine(ttft_s=0.31)
    test = undecided(tmp_path, machine)
    load = replace(test.plan.load, users=2)
    with pytest.raises(EarlierError, match=r"has users: 1, not 2; use the options of before"):
        earlier_blocks(replace(test.plan, load=load))
    with pytest.raises(EarlierError, match=r"is of 4.30.0 \(AstrBot\), not 4.29.4"):
        run(tmp_path, machine, more=True, candidate="4.29.4")
    with pytest.raises(EarlierError, match=r"no compare.json of a release test"):
        earlier_blocks(replace(test.plan, out=tmp_path))


@pytest.mark.parametrize(
    ("busy", "per_s", "why"),
    [
        ((0.31, 0.25), 1.3, "busy for 40% of the time; blocks of 26 s"),  # of the slower one
        ((0.031, None), 10.0, "busy for 40% of the time; blocks of 20 s"),  # as many as are of use
        ((2.5, 3.0), 0.2, "busy for 40% of the time; blocks of 50 s"),
        ((None, None), 1.0, "not known; blocks of 33 s"),
    ],
)
def test_the_rate_fits_the_machine_or_is_that_of_before(tmp_path, busy, per_s, why):
    machine = Machine()
    machine.busy = busy
    test = run(tmp_path, machine, fits=True)
    assert rates_of(machine) == {per_s}
    assert {plan.duration_s for plan in machine.loaded} == {test.plan.block_s}
    assert [line for line in machine.said if line.startswith(f"load: {per_s:g} arrivals") and why in line]
    assert all(plan.users == 1 for plan in machine.warmed), "as the plan says"


def test_a_test_that_is_continued_keeps_its_rate(tmp_path):
    first, second = Machine(ttft_s=0.31), Machine(ttft_s=0.31)
    first.busy, second.busy = (0.15, 0.15), (0.8, 0.8)
    undecided(tmp_path, first, fits=True)
    run(tmp_path, second, gates=("ttft_p95 worse by 4.5%",), fits=True, more=True)
    assert rates_of(first) == rates_of(second) == {2.7}


def test_other_arrivals_are_no_continuation(tmp_path):
    machine = Machine(ttft_s=0.31)
    machine.busy = (0.15, 0.15)
    test = undecided(tmp_path, machine, fits=True)
    load = test.plan.load.with_given(arrivals="constant")
    with pytest.raises(EarlierError, match=r"has arrivals: poisson, not constant; use the options of before"):
        earlier_blocks(replace(test.plan, load=load))


def rates_of(machine):
    return {round(plan.users * float(plan.given["rate_unit"]), 6) for plan in machine.loaded}
