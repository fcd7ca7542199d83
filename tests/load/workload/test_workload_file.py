"""A workload file that was edited or damaged is named with its place and the cure."""

import pytest
from workloads import a_workload

from astrometer.load.workload.workload_file import WorkloadError, read, write


def test_what_is_written_is_read(tmp_path):
    file = tmp_path / "w.toml"
    file.write_text(write(a_workload(output_tokens=(0.00012, 123456.0))))
    assert read(file) == a_workload(output_tokens=(0.00012, 123500.0))


def test_the_busiest_hour_as_arrivals_and_as_users():
    workload = a_workload()
    assert workload.conversations_per_s == 0.25
    assert workload.users == 0.5 * (20 + 5)
    assert workload.paused_s == 20


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("format = 1", "format = 9", "format 9 is not 1"),
        ("format = 1", "format = [", "is not TOML"),
        ("turns_per_s = 0.5", "turns_per_s = 0", r"busiest_hour.turns_per_s: 0 is not a number, more than 0"),
        ("turns_per_s = 0.5", "", r"busiest_hour.turns_per_s is missing; make it again"),
        ("[spreads]", "[other]", r"\[spreads\] is missing"),
        ("turns = [1, 3]", "turns = [0.5]", r"spreads.turns: a conversation has at least 1 turn"),
        ("pause_s = [10, 30]", "pause_s = [-1]", r"spreads.pause_s: -1 is not a number, 0 or more"),
        ("pause_s = [10, 30]", "pause_s = [nan]", r"spreads.pause_s: nan is not a number"),
        ("pause_s = [10, 30]", "pause_s = []", r"spreads.pause_s: write a list of 1 to 1000 numbers"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_with_the_place(tmp_path, old, new, complaint):
    text = write(a_workload())
    assert old in text
    file = tmp_path / "w.toml"
    file.write_text(text.replace(old, new))
    with pytest.raises(WorkloadError, match=complaint):
        read(file)
    with pytest.raises(WorkloadError, match="cannot be read"):
        read(tmp_path / "none.toml")
