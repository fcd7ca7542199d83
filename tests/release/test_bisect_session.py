"""A bisection without servers and without waiting: what is tested, what is skipped, what is said."""

import re
from contextlib import contextmanager
from functools import partial
from types import SimpleNamespace

import pytest
from synthetic_runs import make_run

from astrometer.compare.gates import parse_gate
from astrometer.config.settings import Target
from astrometer.load.launch import LoadPlan
from astrometer.measure.results import document
from astrometer.release.bisect_answer import answer_of, release_links, to_json
from astrometer.release.bisect_session import BisectSession, OpenEndError, WrongEndError
from astrometer.release.bisection import Mark
from astrometer.release.release_plan import ReleasePlan
from astrometer.release.revisions import Revision, RevisionRange
from astrometer.release.session import Interrupted, Means
from astrometer.release.sides import SideSpec
from astrometer.targets.sandbox.install import Installation, InstallError
from astrometer.targets.sandbox.server_process import ChildError
from astrometer.targets.script import ModelScript

NAMES = ("4.26.5", "4.26.6", "4.26.7", "4.26.8", "4.27.0")


class Machine:
    """`ttft_s`: of each version; one that is an exception cannot be installed or started."""

    def __init__(self, *ttft_s, interrupted_in=None):
        self.ttft_s = dict(zip(NAMES, ttft_s, strict=True))
        self.installs, self.blocks, self.now_s, self.interrupted_in = [], 0, 0.0, interrupted_in

    def install(self, version, _say):
        self.installs.append(version)
        if isinstance(self.ttft_s[version], InstallError):
            raise self.ttft_s[version]
        return Installation(version=version, directory=version)

    @contextmanager
    def sandbox(self, options, _say):
        version = options.installation.version
        if isinstance(self.ttft_s[version], ChildError):
            raise self.ttft_s[version]
        yield SimpleNamespace(
            url=f"http://{version}", keys={"all": "k"}, sink_url=None, fault=lambda: None, pid=1,
            messenger=None,
        )  # fmt: skip

    def load(self, plan, _environ, interrupted, on_results):  # noqa: ARG002 (launch.run has it)
        self.blocks += 1
        self.now_s += 25.0
        plan.out.mkdir(parents=True)
        url = plan.target.url
        ttft_s = self.ttft_s[url.removeprefix("http://")]
        measured = make_run(seed=self.blocks, chats=80, duration_s=5.0, ttft_s=ttft_s, url=url)
        document.write(plan.out, measured.results)
        if self.blocks == self.interrupted_in:
            interrupted()
        return 0


def session(tmp_path, machine, *, is_mended=False):
    load = LoadPlan(
        locustfile=tmp_path / "chat.py", target=Target(name="none", url="http://127.0.0.1"), users=1,
        spawn_rate=1, duration_s=20.0, stop_timeout_s=1, out=tmp_path,
    )  # fmt: skip
    plan = ReleasePlan(
        specs={}, budget_s=160.0, load=load, model=ModelScript(), out=tmp_path / "out",
        gates=[parse_gate("ttft_p50 worse by 20%")],
    )  # fmt: skip
    names = NAMES[::-1] if is_mended else NAMES
    machine.said, machine.kept = [], []
    return BisectSession(
        plan,
        RevisionRange(
            revisions=[Revision(name=name, side=partial(SideSpec, astrbot=name)) for name in names],
            is_mended=is_mended,
            means=Means(
                install=machine.install, sandbox=machine.sandbox, load=machine.load,
                now=lambda: machine.now_s,
            ),
        ),
        machine.said.append,
        lambda page, directory: machine.kept.append((directory.name, page.verdict)),
    )  # fmt: skip


def test_each_step_is_a_release_test_against_the_good_end_after_both_ends(tmp_path):
    machine = Machine(0.3, 0.3, 0.3, 0.45, 0.45)
    test = session(tmp_path, machine)
    test.execute()
    assert machine.kept == [
        ("01-4.26.5", "PASS"), ("02-4.27.0", "FAIL"), ("03-4.26.7", "PASS"), ("04-4.26.8", "FAIL"),
    ]  # fmt: skip
    assert machine.installs[::2] == ["4.26.5"] * 4
    answer = answer_of(test)
    assert answer.sentence() == ("4.26.8 broke it: it is the first bad one; 4.26.7 is the last good one.")
    last = to_json(test, answer, [])["steps"][-1]
    assert last["changes"]["ttft_p50"]["change"] == pytest.approx(0.5, abs=0.05)
    assert re.search(r"^4.26.8: bad: ttft_p50 \+\d\d\.\d % \(\+\d", "\n".join(machine.said), re.MULTILINE)
    assert (tmp_path / "out" / "04-4.26.8" / "candidate" / "1" / document.FILE_NAME).exists()


def test_an_older_bad_end_asks_what_mended_it(tmp_path):
    test = session(tmp_path, Machine(0.45, 0.3, 0.3, 0.3, 0.3), is_mended=True)
    test.execute()
    assert answer_of(test).sentence() == (
        "4.26.6 mended it: it is the first good one; 4.26.5 is the last bad one."
    )


def test_what_does_not_start_or_cannot_be_told_is_skipped_and_the_answer_is_a_range(tmp_path):
    # 0.36 s is at the limit: nothing tells it, with twice the budget either.
    machine = Machine(0.3, 0.36, ChildError("AstrBot 4.26.7 ended (exit 1)"), InstallError("no wheel"), 0.45)
    test = session(tmp_path, machine)
    test.execute()
    answer = answer_of(test)
    assert not answer.is_found
    assert answer.sentence() == (
        "Not found out. After 4.26.5 (good) and up to 4.27.0 (bad), one of these broke it: "
        "4.26.6, 4.26.7, 4.26.8, 4.27.0."
    )
    assert {step.name: step.why for step in test.steps if step.pairs == 0} == {
        "4.26.7": "AstrBot 4.26.7 ended (exit 1)", "4.26.8": "no wheel",
    }  # fmt: skip
    once, again = (step for step in test.steps if step.name == "4.26.6")
    assert (once.mark, again.mark) == (None, Mark.SKIPPED)
    assert again.pairs > once.pairs
    assert any(line.startswith("4.26.6 cannot be told (fail if ttft_p50") for line in machine.said)


@pytest.mark.parametrize(
    ("ttft_s", "kind", "told"),
    [
        ((0.3, 0.3, 0.3, 0.3, 0.3), WrongEndError, "4.27.0 is not bad: ttft_p50"),
        ((0.3, 0.3, 0.3, 0.3, 0.36), OpenEndError, "the bad end, 4.27.0: fail if ttft_p50"),
        ((0.3, 0.3, 0.3, 0.3, ChildError("ended")), ChildError, "ended"),
        ((InstallError("not there"), 0.3, 0.3, 0.3, 0.45), InstallError, "not there"),
    ],
)
def test_an_end_that_is_not_what_it_was_said_to_be_ends_it(tmp_path, ttft_s, kind, told):
    test = session(tmp_path, Machine(*ttft_s))
    with pytest.raises(kind, match=re.escape(told)):
        test.execute()
    assert len(test.steps) <= 3
    assert not answer_of(test).is_found


def test_ctrl_c_leaves_what_is_known_so_far(tmp_path):
    test = session(tmp_path, Machine(0.3, 0.3, 0.3, 0.45, 0.45, interrupted_in=28))
    with pytest.raises(Interrupted):
        test.execute()
    assert answer_of(test).sentence() == (
        "Not found out. After 4.26.7 (good) and up to 4.27.0 (bad), one of these broke it: 4.26.8, 4.27.0."
    )


def test_the_links_are_of_the_repository_that_the_package_names(tmp_path):
    info = tmp_path / "lib" / "python3.12" / "site-packages" / "astrbot-4.26.8.dist-info"
    info.mkdir(parents=True)
    text = (
        "Name: AstrBot\nProject-URL: Repository, https://github.com/Some/Bot\nLicense: AGPL\n\nProject-URL: x"
    )
    (info / "METADATA").write_text(text)
    installed = Installation(version="4.26.8", directory=tmp_path)
    assert release_links(installed, "4.26.7", "4.26.8") == [
        "https://github.com/Some/Bot/compare/v4.26.7...v4.26.8",
        "https://github.com/Some/Bot/releases/tag/v4.26.8",
    ]
    assert release_links(installed, "4.26.7", "4.27.0b1") == []
    (info / "METADATA").write_text("Name: AstrBot\n")
    assert release_links(installed, "4.26.7", "4.26.8") == []
