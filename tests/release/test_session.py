"""A release test without servers: who runs when, on which installation, and what is left at the end."""

from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from causes import LAG_JSON
from synthetic_runs import make_run

from astrometer.config import loader
from astrometer.load.launch import LoadPlan
from astrometer.measure.results import document
from astrometer.measure.slo.cause_sentences import cause_json
from astrometer.measure.slo.validity import Cause, CauseKind
from astrometer.release.release_plan import ReleasePlan, Role
from astrometer.release.session import Interrupted, Means, ReleaseError, ReleaseSession
from astrometer.report import write_reports
from astrometer.targets.sandbox.install import Installation
from astrometer.targets.script import ModelScript

THIN = cause_json(Cause(kind=CauseKind.TOO_FEW_SAMPLES, objective="ttft_p99 < 2s", value=80))
LAG = LAG_JSON


class Machine:
    """Notes what is asked of it. `causes`: why each run in turn is INVALID; None: it wrote no results.

    Ctrl-C comes while the load of run `interrupted_in` goes on, or while this process is `raising`.
    """

    def __init__(self, *causes, interrupted_in=None, raising=None):
        self.causes = list(causes)
        self.interrupted_in = interrupted_in
        self.raising = raising
        self.installs, self.runs, self.alive = [], [], 0

    @property
    def means(self):
        return Means(
            latest_version=lambda _: "4.29.3", install=self.install, sandbox=self.sandbox, load=self.load
        )

    def install(self, spec, _say):
        self.installs.append(spec)
        version = "4.30.0" if "/" in spec else spec
        return Installation(version=version, directory=f"{spec}-as-it-was-at-{len(self.installs)}")

    @contextmanager
    def sandbox(self, options, _say):
        assert not self.alive, "one server at a time"
        self.alive, self.serving = 1, options.installation
        try:
            yield SimpleNamespace(url="http://127.0.0.1:1", keys={"all": "abk_x"}, sink_url=None)
        finally:
            self.alive = 0

    def load(self, plan, _environ, interrupted, told):  # noqa: ARG002 (launch.run has it)
        self.runs.append((self.serving, plan))
        if self.raising:
            raise self.raising
        plan.out.mkdir(parents=True)
        causes = self.causes.pop(0) if self.causes else ()
        if causes is None:
            return 2
        measured = make_run(seed=len(self.runs), chats=40).results
        verdict = "INVALID" if causes else "NONE"
        document.write(plan.out, {**measured, "verdict": verdict, "causes": list(causes)})
        if len(self.runs) == self.interrupted_in:
            interrupted()
        return 0


def session(tmp_path, machine, *, repeat=1, tries=2, candidate="./AstrBot", baseline="latest"):
    load = LoadPlan(
        locustfile=tmp_path / "chat.py", target=loader.Target(name="none", url="http://127.0.0.1"), users=1,
        spawn_rate=1, duration_s=9, stop_timeout_s=1, processes=None, out=tmp_path, web_port=None,
    )  # fmt: skip
    machine.said = []
    plan = ReleasePlan(
        specs={Role.BASELINE: baseline, Role.CANDIDATE: candidate}, repeat=repeat, load=load,
        model=ModelScript(), out=tmp_path / "out", tries=tries,
    )  # fmt: skip
    return ReleaseSession(plan, machine.said.append, machine.means)


def run(tmp_path, machine, **options):
    test = session(tmp_path, machine, **options)
    return test.execute(test.prepare())


def test_each_side_is_installed_once_and_all_its_runs_are_of_that_installation(tmp_path):
    machine = Machine()
    found = run(tmp_path, machine, repeat=2)
    assert sorted(machine.installs) == ["./AstrBot", "4.29.3"]
    assert [serving.version for serving, _ in machine.runs] == ["4.29.3", "4.30.0", "4.30.0", "4.29.3"]
    assert len({serving.directory for serving, _ in machine.runs}) == 2
    assert [item.name for item in found[Role.CANDIDATE]] == ["candidate 1", "candidate 2"]
    label = machine.runs[1][1].given["version"]
    assert label == "4.30.0 (AstrBot)"


def test_a_path_that_may_lead_nowhere_is_tried_before_the_other_side_is_installed(tmp_path):
    machine = Machine()
    session(tmp_path, machine).prepare()
    assert machine.installs == ["./AstrBot", "4.29.3"]


def test_every_run_has_every_report_in_a_directory_of_its_own(tmp_path):
    run(tmp_path, Machine(), repeat=2)
    for place in ("baseline/1", "baseline/2", "candidate/1", "candidate/2"):
        names = {file.name for file in (tmp_path / "out" / place).iterdir()}
        assert names == {document.FILE_NAME, *write_reports.FILE_NAMES}
    assert not (tmp_path / "out" / "invalid").exists()


@pytest.mark.parametrize("causes", [(LAG,), (LAG, THIN)])
def test_an_invalid_run_is_made_once_more_and_the_spoilt_one_is_kept(tmp_path, causes):
    machine = Machine((), causes)
    found = run(tmp_path, machine)
    assert len(machine.runs) == 3
    assert found[Role.CANDIDATE][0].results["verdict"] == "NONE"
    spoilt = document.read(tmp_path / "out" / "invalid" / "candidate-1-try-1")
    assert spoilt["causes"] == list(causes)


def test_the_last_try_counts_even_when_it_is_invalid(tmp_path):
    machine = Machine((LAG,), (LAG,), (LAG,))
    found = run(tmp_path, machine, tries=3)
    assert len(machine.runs) == 4
    assert found[Role.BASELINE][0].results["verdict"] == "INVALID"


def test_a_run_with_nothing_against_it_but_too_few_samples_is_not_repeated(tmp_path):
    machine = Machine((THIN, THIN))
    found = run(tmp_path, machine)
    assert len(machine.runs) == 2
    assert found[Role.BASELINE][0].results["causes"] == [THIN, THIN]
    assert any("--duration" in line for line in machine.said)


def test_an_interrupted_run_is_the_last_one_and_its_server_is_gone(tmp_path):
    machine = Machine(interrupted_in=2)
    with pytest.raises(Interrupted):
        run(tmp_path, machine, repeat=3)
    assert (len(machine.runs), machine.alive) == (2, 0)


@pytest.mark.parametrize("ending", [KeyboardInterrupt, SystemExit])
def test_whatever_ends_this_process_ends_the_server_first(tmp_path, ending):
    machine = Machine(raising=ending)
    with pytest.raises(ending):
        run(tmp_path, machine)
    assert (len(machine.runs), machine.alive) == (1, 0)


def test_a_run_without_results_ends_the_test_and_says_where_to_look(tmp_path):
    machine = Machine(None)
    with pytest.raises(ReleaseError, match=r"exit code 2; see .*baseline/1/locust\.log"):
        run(tmp_path, machine)
    assert (len(machine.runs), machine.alive) == (1, 0)
