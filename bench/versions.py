"""AstrBot versions under the same load -> what each adds to a turn: a table in Markdown, and history.html.

    python bench/versions.py 4.25.6 4.26.5 4.26.6 4.29.3 --out versions --rounds 3

Each version is a sandbox with the same stub model. Two loads for each: `chat` at a rate (what AstrBot adds
to the first token, CPU per turn, growth of memory), and 24 people in a messenger who ask in the same
instant, every six seconds (errors). Then a search: how many chats a second it holds. About four minutes for
each version and round. The versions take turns, and every second round goes backwards, so that what drifts
meets all alike. What is in `--out` already is not measured again; add `--rounds` or versions.

Wants a quiet machine: the last column says how much of it others took, at most. `--rounds 0` only makes the
table and the page again.
"""

import os
import shlex
import subprocess
import sys
from pathlib import Path

from programs import bench_parser
from quiet import Disturbance, Watch

from astrometer.compare.change_text import value_text
from astrometer.history import history_html, history_json, history_view
from astrometer.history.found_runs import found_below
from astrometer.history.run_groups import Order
from astrometer.history.run_history import GroupHistory, RunHistory, history_of
from astrometer.measure.results import document
from astrometer.output_files import json_text, write_whole
from astrometer.targets.messenger.messenger_profile import MessengerProfile
from astrometer.targets.sandbox.box import Box, SandboxOptions, sandbox
from astrometer.targets.script import ModelScript

MODEL = ModelScript(ttft_s=0.2, gap_s=0.02, tokens=40)
AT_ONCE = 24
CROWD = Path(__file__).with_name("crowd_locustfile.py")
SEARCH = "capacity"
LOADS = {  # RSS growth needs 100 turns
    "chat": "load chat --rate 2/s --duration 70s --warmup 10s --whole-answer-percent 0 --arrivals constant",
    "crowd": f"load {CROWD} --users {AT_ONCE} --duration 40s --first-token-timeout 10s",
    SEARCH: "capacity chat --start 4/s --max 16/s --step-time 10s --settle 4s --repeats 1 --precision 10% "
    "--whole-answer-percent 0 --session-turns 1 --arrivals constant --first-token-timeout 10s "
    "--slo 'e2e_p90 < 5s' --slo 'errors < 5%'",
}
COLUMNS = {
    "chat": ("overhead_p50", "chunk_gap_p50", "e2e_p50", "server_cpu_per_turn", "server_rss_growth"),
    CROWD.stem: ("reply_last_p50", "errors"),
}
BUSY = "others.txt"


def main() -> int:
    parser = bench_parser(__doc__)
    parser.add_argument("versions", nargs="*", metavar="VERSION")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--loads", nargs="+", choices=[*LOADS], default=[*LOADS], help="only these")
    asked = parser.parse_args()
    for number in range(1, asked.rounds + 1):
        for version in asked.versions if number % 2 else asked.versions[::-1]:
            measure(version, asked.loads, asked.out / version / str(number))
    found = found_below(asked.out)
    history = history_of(found, Order.VERSION)
    if history.groups:
        write_whole(asked.out / history_html.FILE_NAME, history_html.render_html(history))
        write_whole(asked.out / history_json.FILE_NAME, json_text(history_json.to_json(history)))
    print(markdown(history, asked.out))
    return 0


def measure(version: str, loads: list[str], folder: Path) -> None:
    """The loads of a round; each is tried again when it was INVALID."""
    missing = [name for name in loads if verdict_of(folder / name) in {None, "INVALID"}]
    if not missing:
        return
    watch = Watch.begin()
    options = SandboxOptions(version=version, model=MODEL, messenger=MessengerProfile())
    with sandbox(options) as box:
        for name in missing:
            print(f"{version}, {folder.name}: {LOADS[name]}", file=sys.stderr, flush=True)
            load(box, LOADS[name], folder / name)
    taken = watch.end()
    (folder / BUSY).write_text(f"{share_of(taken)}\n")


def load(box: Box, line: str, out: Path) -> None:
    assert box.messenger is not None
    environ = {
        **os.environ,
        "ASTRBOT_API_KEY": box.keys["all"],
        "ASTRBOT_MESSENGER_URL": box.messenger.url,
        "ASTRBOT_MESSENGER_TOKEN": box.messenger.token,
    }
    command = [sys.executable, "-m", "astrometer", *shlex.split(line), "--host", box.url, "--yes"]
    if "--slo" not in command:
        command += ["--slo", "none"]
    out.parent.mkdir(parents=True, exist_ok=True)
    with (out.parent / f"{out.name}.log").open("wb") as log:
        subprocess.run([*command, "--out", str(out)], env=environ, stdout=log, stderr=log, check=False)
    print(f"  {verdict_of(out) or 'no results: see ' + log.name}", file=sys.stderr, flush=True)


def verdict_of(folder: Path) -> str | None:
    return document.read(folder)["verdict"] if (folder / document.FILE_NAME).exists() else None


def share_of(taken: Disturbance) -> float:
    return 1.0 if taken.steal is None or taken.foreign is None else taken.steal + taken.foreign


def markdown(history: RunHistory, out: Path) -> str:
    """A row for each version, of the groups of both scenarios."""
    groups = {group.group.runs[0].results["scenario"]: group for group in history.groups}  # by locustfile
    columns = [(groups[name], metric) for name, of in COLUMNS.items() if name in groups for metric in of]
    versions = {file.relative_to(out).parts[0] for file in out.rglob(document.FILE_NAME)}
    titles = [title(group, metric) for group, metric in columns]
    lines = [
        f"| AstrBot | {' | '.join(titles)} | chats it holds | others took at most |",
        f"|---|{'--:|' * (len(titles) + 2)}",
    ]
    for version in sorted(versions, key=lambda text: [int(part) for part in text.split(".")[:3]]):
        cells = " | ".join(cell(group, metric, version) for group, metric in columns)
        lines.append(f"| {version} | {cells} | {held(out / version)} | {busiest(out / version)} |")
    lines += ["", "Change points:", ""]
    for name, group in groups.items():
        for line in history_view.change_lines(group):
            lines.append(
                f"- {name}, {line.title}: {line.change} ({line.interval}), {line.verdict}: {line.differs[0]}"
            )
    lines += [f"\nLeft out: {item.reason}" for item in history.left_out if Path(item.name).name != SEARCH]
    return "\n".join(lines)


def title(group: GroupHistory, metric: str) -> str:
    series = next((item for item in group.series if item.name == metric), None)
    name = history_view.SHORT.get(metric) or (metric if series is None else history_view.title(series))
    return f"{name}, {AT_ONCE} at once" if metric == "errors" else name


def cell(group: GroupHistory, metric: str, version: str) -> str:
    series = next((item for item in group.series if item.name == metric), None)
    at = next((at for at, point in enumerate(group.group.points) if point.version == version), None)
    if series is None or at is None or (value := series.values[at]) is None:
        return "–"
    low, high = (value_text(end, series.unit) for end in value.interval)
    return f"{value_text(value.value, series.unit)} ({low} to {high})"


def held(folder: Path) -> str:
    """The searches of a version: from the lowest to the highest, each with its interval."""
    told = []
    for file in sorted(folder.glob(f"*/{SEARCH}/{document.FILE_NAME}")):
        found = document.read(file)["capacity"]
        if found["estimate"] is not None:
            low, high = (found["interval"][end] for end in ("low", "high"))
            told.append(f"{found['estimate']:.1f}/s ({low:.1f} to {high:.1f})")
    return ", ".join(told) or "–"


def busiest(folder: Path) -> str:
    shares = [float(file.read_text()) for file in folder.glob(f"*/{BUSY}")]
    return f"{max(shares):.0%}" if shares else "unknown"


if __name__ == "__main__":
    sys.exit(main())
