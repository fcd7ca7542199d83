"""Requests that a locustfile makes itself: in the results, and never among the exchanges."""

import pytest
from web_locust import FAST

from astrometer.measure.results.other_requests import (
    MAX_REASONS,
    MAX_ROWS,
    REST,
    REST_OF_REASONS,
    OtherRequests,
    other_requests_json,
)

MAKES_ITS_OWN = """
from locust import constant, task
from astrometer.load import ChatUser

class Asker(ChatUser):
    scenario = "chat"
    wait_time = constant(0.1)
    @task
    def say(self):
        self.ask(self.prompt())
        fire = self.environment.events.request.fire
        for name, failure in (("lookup", None), ("lookup", ValueError("no")), ("write", None)):
            fire(request_type="DB", name=name, response_time=40.0, response_length=1, exception=failure)
"""


@pytest.mark.process
@pytest.mark.parametrize("processes", [(), ("--processes", "2")], ids=["one process", "two workers"])
def test_they_are_a_list_of_their_own(sim, tmp_path, processes):
    file = tmp_path / "own.py"
    file.write_text(MAKES_ITS_OWN)
    results, _ = sim.locust(str(file), *FAST, *processes, "--stop-timeout", "10", out=tmp_path)
    turns = results["turns"]
    lookup, write = results["other_requests"]
    assert (lookup["type"], lookup["name"], write["name"]) == ("DB", "lookup", "write")
    assert 0 < write["n"] <= turns["started"]
    assert (lookup["n"], lookup["failed"], write["failed"]) == (2 * write["n"], write["n"], 0)
    assert (lookup["failures"], lookup["bytes"]) == ({"ValueError": write["n"]}, lookup["n"])
    assert lookup["per_s"] == pytest.approx(lookup["n"] / results["window"]["duration_s"])
    assert lookup["response_time"]["max"] == pytest.approx(0.04, rel=0.01)
    assert turns["outcomes"] == {"ok": turns["started"]}
    assert [item["operation"] for item in results["operations"]] == ["chat"]


def test_names_without_end_are_kept_in_one_row():
    requests = OtherRequests()
    for number in range(MAX_ROWS + 50):
        requests.add("GET", f"/item/{number}", 0.1, length=9, failure=f"Error{number}")
    merged = OtherRequests()
    merged.merge(requests.take())
    rows = other_requests_json(merged.rows, 10.0)
    assert len(rows) == MAX_ROWS + 1
    rest = next(row for row in rows if row["name"] == REST)
    assert (rest["n"], rest["per_s"], rest["bytes"], rest["failed"]) == (50, 5.0, 450, 50)
    assert (len(rest["failures"]), rest["failures"][REST_OF_REASONS]) == (MAX_REASONS + 1, 40)
    assert requests.rows == {}
