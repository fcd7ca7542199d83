"""The programs of bench/, each as a user runs it and as small as it can be: it ends, and prints its table."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from required import needs
from synthetic_runs import make_run
from test_docs import PAGES, calls

ROOT = Path(__file__).parents[1]
BENCH = ROOT / "bench"
WHOLE = pytest.mark.skipif("not os.environ.get('ASTROMETER_WHOLE')", reason="minutes: make test-whole")
REAL = pytest.mark.astrbot, WHOLE, pytest.mark.timeout(1200)
LONG = WHOLE, pytest.mark.timeout(600)
BROWSER = pytest.mark.browser, *LONG
SOURCES = {file.name: file.read_text("utf-8") for file in BENCH.glob("*.py")}
# Those that another bench starts are run by it.
PROGRAMS = {
    name
    for name, text in SOURCES.items()
    if "__main__" in text and not any(f'"{name}"' in other for other in SOURCES.values())
}


@dataclass(frozen=True, kw_only=True)
class Run:
    """`shows`: of its table. DIR in `words` is a folder of results for each of `made`."""

    words: str
    shows: str
    made: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()  # a component, and its programs

    @property
    def command(self) -> tuple[str, list[str]]:
        bench, *words = self.words.split()
        return f"{bench}.py", words


def run(words: str, shows: str, *marks: pytest.MarkDecorator, **more: tuple[str, ...]):
    return pytest.param(Run(words=words, shows=shows, **more), marks=marks, id=words)


ACCURACY = "accuracy --rounds 1 --seconds 5 --quiet 100 --step 4x10"
OTHERS = "other_tools --step 2x50 --rounds 1 --seconds 2 --quiet 100"
BLOCKS = tuple(f"{role}/{number}" for role in ("candidate", "baseline") for number in (1, 2, 3))
RUNS_OF_COMPARE = "000-base", "001-base", "001-slow"
VERSIONS = "4.28.2/1/chat", "4.29.3/1/chat"
RUNS = [
    run(f"{ACCURACY} --peer bare --peer locust", "| astrometer: whole load path in Locust |", *LONG),
    run(f"{ACCURACY} --peer client --peer locust_user --hog", "ASTROMETER_CLOCK=user |", *LONG),
    run(f"{ACCURACY} --peer iter_lines --peer httpx_sse --tls", "| httpx-sse under gevent |", *LONG),
    run("block_spread DIR", "| ttft_p50 | ", made=BLOCKS),
    run("capacity_coverage --searches 1", "| M/M/8, 60 s | "),
    run("compare synthetic --repeats 1", "| 5 | 300 | 5% | +15% | "),
    run("compare looks --repeats 1", "| 5% | +15% | "),
    run("compare simulator --repeats 1", "1 run(s) a side, slow: ", *LONG),
    run("compare sessions --repeats 1", "true change +0%: ", *LONG),
    run("drift --runs 1 DIR/steady", "steady, rising 2 % a minute", made=("steady",)),
    run("endurance week --days 3 --speed 10000", "state on disk", *LONG, tools=("faketime", "faketime")),
    run("endurance clock", "clock +3600s: ", *LONG, tools=("faketime", "faketime")),
    run("exporter --targets 1 --settle 1 --seconds 1 --scrapes-per-s 4", "scrape ms: p50, p99, max"),
    run("fuzz --seconds 0.1", "histogram: 500 inputs; ", *LONG),
    run("history series --repeats 4", "| 60 | like the one before (0.6) | ", *LONG),
    run("history pages --repeats 1", "| 10% | +15% | ", *LONG),
    run("history simulator DIR --repeats 1", " left out", *LONG),
    run("history runs DIR", "and then 1 slower ones: ", *LONG, made=RUNS_OF_COMPARE),
    run("master --workers 2 --seconds 4 --streams 2 --events 5", "| 2 | "),
    run("messenger --users 4 --pace 1 --seconds 3", '"reply_time_ms"'),
    run("messenger_session --rounds 1", "us CPU a message"),
    run(f"{OTHERS} --tool astrometer", "| astrometer | ", *LONG),
    run(
        "prometheus --minutes 0.5 --every 1", "PASS: no key in any output", *REAL, pytest.mark.promtool,
        tools=("promtool", "prometheus", "promtool"),
    ),
    run("records --exchanges 1 --users 1 --period 0.5", "us for each record"),
    run("report_page --rounds 1", "opened 1 times", *BROWSER, tools=("browser", "chromium")),
    run("soak --minutes 3 --users 4", "     3 | ", *LONG),
    run("status_page --targets 1 --days 1", "scrape after a run: ", *LONG),
    run("turn_cost --turns 1", "of 200 events, 1% uncertain | ", *LONG, tools=("valgrind", "valgrind")),
    run("versions --rounds 0 --out DIR", "| 4.29.3 | ", *LONG, made=VERSIONS),
    run("versions 4.29.3 --rounds 1 --loads crowd --out DIR", "| 4.29.3 | ", *REAL),
    run("ways_coverage --comparisons 1", "| M/M/8, 60 s; M/D/1, p90, 120 s | ", *LONG),
]  # fmt: skip


@pytest.mark.process
@pytest.mark.parametrize("one", RUNS)
def test_each_bench_ends_and_prints_its_table(one, tmp_path, request):
    if one.tools:
        needs(*one.tools)
    if request.node.get_closest_marker("astrbot"):
        request.getfixturevalue("python_for_astrbot")
    for number, name in enumerate(one.made):
        (tmp_path / name).mkdir(parents=True)
        version = name.partition("/")[0] if "." in name else "4.29.3"
        made = make_run(seed=number + 1, chats=300, duration_s=600.0, version=version)
        (tmp_path / name / "results.json").write_text(json.dumps(made.results))
    file, words = one.command
    done = subprocess.run(
        [sys.executable, BENCH / file, *(word.replace("DIR", str(tmp_path)) for word in words)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    # So small, and beside other tests, it may well miss its limits: then it says so.
    missed = any(line.startswith("FAIL: ") for line in done.stdout.splitlines())
    assert done.returncode == int(missed), done.stdout + done.stderr
    assert one.shows in done.stdout


def shown():
    """Page, bench and words of each command in the pages; what a bench says of itself is a page, too."""
    for page in (*PAGES, *sorted(BENCH.glob("*.py"))):
        text = page.read_text("utf-8")
        for bench in (name for name in SOURCES if f"bench/{name}" in text):
            for words in calls(page, f"python bench/{bench}"):
                yield page.name, bench, words
            for words in filter(None, calls(page, f"bench/{bench}")):  # without any, only the file is meant
                yield page.name, bench, words


COMMANDS = [param.values[0].command for param in RUNS]
SHOWN = list(shown())
WRONG = [("accuracy.py", ["--step", "fast"]), ("soak.py", ["--minute", "3"]), ("compare.py", [])]


@pytest.fixture(scope="module")
def answers():
    """What the parser of its bench says of each command."""
    asked = [*COMMANDS, *((bench, words) for _, bench, words in SHOWN), *WRONG]
    done = subprocess.run(
        [sys.executable, ROOT / "tests" / "helpers" / "bench_options.py"],
        input=json.dumps(asked), capture_output=True, text=True, check=True,
    )  # fmt: skip
    return {str(one): answer for one, answer in zip(asked, json.loads(done.stdout), strict=True)}


@pytest.mark.process
def test_every_bench_and_every_mode_of_it_is_run(answers):
    assert {bench for bench, _ in COMMANDS} == PROGRAMS
    modes = {(bench, mode) for bench, words in COMMANDS for mode in answers[str((bench, words))]["modes"]}
    assert len(modes) > 5
    assert modes <= {(bench, word) for bench, words in COMMANDS for word in words}


@pytest.mark.process
def test_every_bench_command_in_the_pages_exists_with_its_options(answers):
    told = {(page, str((bench, words))): answers[str((bench, words))] for page, bench, words in SHOWN}
    assert {place: answer["complaint"] for place, answer in told.items() if answer["complaint"]} == {}
    assert {page for page, _ in told} > {"RESULTS.md", "distributed.md", "accuracy.py"}
    assert all(answers[str(command)]["complaint"] for command in WRONG)
