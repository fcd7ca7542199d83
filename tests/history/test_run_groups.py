"""Which runs stand in one row, in which order, and what is said of the others."""

from pathlib import Path

from synthetic_runs import make_run

from astrometer.history.found_runs import ASIDE, found_below
from astrometer.history.run_groups import Order, grouped
from astrometer.measure.results import document
from astrometer.release.release_plan import ReleasePlan, Role


def run(name, seed, *, version="4.29.3", command=("locust", "-f", "chat.py"), **more):
    return make_run(name, seed=seed, chats=20, version=version, command=command, **more)


def names(group):
    return [[item.name for item in point.runs] for point in group.points]


def test_by_time_each_run_is_a_point_in_the_order_of_their_starts():
    groups, left_out = grouped([run("late", 9), run("early", 2)], Order.TIME)
    assert [names(group) for group in groups] == [[["early"], ["late"]]]
    assert left_out == []


def test_by_version_all_runs_of_a_version_are_a_point_and_10_comes_after_9():
    runs = [run("c", 1, version="4.26.10"), run("a", 2, version="4.26.9"), run("b", 3, version="4.26.9")]
    groups, _ = grouped(runs, Order.VERSION)
    assert names(groups[0]) == [["a", "b"], ["c"]]


def test_a_version_nobody_can_order_is_left_out_and_named():
    runs = [run("a", 1), run("b", 2, version=None), run("c", 3, version="main")]
    groups, left_out = grouped(runs, Order.VERSION)
    assert names(groups[0]) == [["a"]]
    assert [item.reason for item in left_out] == [
        "b: its AstrBot version is not known",
        "c: 'main' is not a version number",
    ]


def test_the_same_version_with_a_plugin_is_a_point_of_its_own():
    groups, _ = grouped([run("a", 1, version="4.29.3 + plugin hello"), run("b", 2)], Order.VERSION)
    assert names(groups[0]) == [["b"], ["a"]]


def test_another_load_or_prompt_is_kept_apart_with_the_reason():
    longer = run("longer", 4, command=("locust", "-f", "chat.py", "--prompt-suffix", "[[tokens=400]]"))
    groups, _ = grouped([run("a", 1), run("b", 2), run("more", 3, users=99), longer], Order.TIME)
    assert [names(group) for group in groups] == [[["a"], ["b"]], [["more"]], [["longer"]]]
    assert groups[0].apart == ""
    assert groups[1].apart == "different loads: closed model, 20 users in a, closed model, 99 users in more"
    assert groups[2].apart == "--prompt-suffix: default in a, [[tokens=400]] in longer"


def test_what_cannot_be_used_is_left_out_with_its_reason(tmp_path):
    for name in ("weeks/1", "warm-up/baseline", "invalid/candidate-2"):
        document.write(tmp_path / name, run("x", 1).results)
    bad = run("x", 2).results
    bad["verdict"], bad["causes"] = "INVALID", [{"sentence": "a worker was lost"}]
    document.write(tmp_path / "bad", bad)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / document.FILE_NAME).write_text("{")
    found = found_below(tmp_path)
    assert [item.name for item in found.runs] == ["weeks/1"]
    told = {item.name: item.reason for item in found.left_out}
    assert told["bad"] == "bad is INVALID: a worker was lost"
    assert "not valid JSON" in told["broken"]
    assert told["warm-up/baseline"].startswith("warm-up/baseline is the warm-up of a release test")
    assert told["invalid/candidate-2"].endswith("its pair of blocks does not count")


def test_the_folders_of_a_release_test_are_those_that_it_makes():
    plan = ReleasePlan(specs={}, budget_s=1, load=None, model=None, out=Path("out"))
    made = [plan.warm_up_directory(Role.BASELINE), plan.invalid_directory(Role.CANDIDATE, 2)]
    assert [folder.relative_to("out").parts[0] for folder in made] == list(ASIDE)
