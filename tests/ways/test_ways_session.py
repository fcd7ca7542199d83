"""Searches one after the other, without Locust: their order, their directories, and how they are ended."""

import json

import pytest
from synthetic_runs import make_run
from way_searches import plan_of

from astrometer.measure.results import document
from astrometer.report import write_reports
from astrometer.ways.ways_session import WaysSession


class FakeLocust:
    """Leaves results of each search, but for what `ends` says of the search with that number."""

    def __init__(self, **ends):
        self.plans, self.ends = [], ends

    def __call__(self, plan, _environ, *, interrupted, on_results):
        self.plans.append(plan)
        results = make_run(seed=len(self.plans), chats=30).results
        match self.ends.get(f"search_{len(self.plans)}"):
            case "leaves nothing":
                return 2
            case "cannot write":
                on_results(json.dumps(results).encode())
                return 0
            case "hears Ctrl-C":
                interrupted()
        document.write(plan.out, results)
        return 0


@pytest.fixture
def execute(tmp_path):
    def execute(locust, **more):
        said = []
        plan = plan_of(tmp_path, ways=("sse", "messenger"), rounds=2)
        session = WaysSession(plan=plan, say=said.append, load=locust, environ={}, **more)
        session.execute()
        return session, said

    return execute


def test_each_search_has_its_way_and_a_directory_with_every_report(execute, tmp_path):
    locust = FakeLocust()
    session, _ = execute(locust)
    assert [plan.given["transport"] for plan in locust.plans] == ["sse", "messenger", "messenger", "sse"]
    assert [item.directory for item in session.done] == ["sse/1", "messenger/1", "messenger/2", "sse/2"]
    for item in session.done:
        names = {file.name for file in (tmp_path / item.directory).iterdir()}
        assert names == {document.FILE_NAME, *write_reports.FILE_NAMES}
    assert not session.interrupted


def test_a_search_that_is_interrupted_is_kept_and_is_the_last(execute):
    session, _ = execute(FakeLocust(search_2="hears Ctrl-C"))
    assert [item.directory for item in session.done] == ["sse/1", "messenger/1"]
    assert session.done[1].results is not None
    assert session.interrupted


def test_a_search_without_results_ends_it_and_names_the_log(execute, tmp_path):
    session, said = execute(FakeLocust(search_3="leaves nothing"))
    assert len(session.done) == 3
    assert session.done[2].results is None
    assert str(tmp_path / "messenger" / "2" / "locust.log") in said[-1]


def test_results_that_locust_could_not_write_are_written_here(execute, tmp_path):
    session, _ = execute(FakeLocust(search_1="cannot write"))
    assert document.read(tmp_path / "sse" / "1") == session.done[0].results
