"""The example in docs/how-to/write-a-locustfile.md is a locustfile that works as the page says."""

import re
from pathlib import Path

import httpx
import pytest

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "write-a-locustfile.md"


def example():
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), flags=re.DOTALL)
    return code


def test_the_example_is_short():
    assert len([line for line in example().splitlines() if line.strip()]) <= 15


@pytest.mark.process
def test_the_example_asks_twice_in_one_session_and_names_its_scenario(sim, tmp_path):
    file = tmp_path / "support.py"
    file.write_text(example(), "utf-8")
    results, _ = sim.locust(
        str(file), "--slo", "support: errors < 1%", "--stop-timeout", "10",
        "--prompt-suffix", "[[ttft=0.05 gap=0.01 tokens=5]]",
        out=tmp_path / "out", seconds=3, users=2,
    )  # fmt: skip
    turns = results["turns"]
    assert turns["outcomes"] == {"ok": turns["started"]}
    assert turns["started"] >= 2
    assert set(results["scenarios"]) == {"support"}
    # Met, whether or not this machine is too busy for the run to be trusted.
    assert [(item["scenario"], item["value"]) for item in results["objectives"]] == [("support", 0.0)]
    sessions = httpx.get(f"{sim.url}/sim/stats").json()["sessions"]
    assert 1 <= sessions < turns["started"]
