"""`astrometer learn`: a copy of AstrBot's database, or an export of conversations -> a workload file."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from astrometer.cli.shared.terminal import print_rich
from astrometer.output_files import reason, write_whole
from astrometer.units import format_duration, plain_number

if TYPE_CHECKING:
    from rich.console import RenderableType

    from astrometer.load.workload.learning import Learnt
    from astrometer.load.workload.spread import Spread

FEW_TURNS = 200  # one per cent of fewer is nothing that repeats
_QUANTILES = ((0.5, "half"), (0.9, "90 %"), (0.99, "99 %"))


@click.command(short_help="Learn a workload from your own traffic, without texts and ids.")
@click.argument("source", type=click.Path(path_type=Path, dir_okay=False, exists=True), metavar="FILE")
@click.option(
    "-o", "--out", type=click.Path(path_type=Path, dir_okay=False), default="workload.toml",
    show_default=True, help="The workload file to write.",
)  # fmt: skip
@click.option(
    "--since",
    type=click.DateTime(["%Y-%m-%d"]),
    metavar="YYYY-MM-DD",
    help="Ignore questions before this day.",
)
@click.option(
    "--exclude", multiple=True, metavar="PATTERN",
    help="Ignore chats whose unified message origin matches, such as 'probe:*'. Repeatable.",
)  # fmt: skip
@click.option("--with-own", is_flag=True, help="Include the users of astrometer's own load runs.")
def command(
    *, source: Path, out: Path, since: datetime | None, exclude: tuple[str, ...], with_own: bool
) -> None:
    """Learn how people use your AstrBot: arrivals by hour, people, turns, pauses and sizes.

    FILE is a copy of data/data_v4.db (AstrBot 4.22.3 or newer), which is opened read-only, or an export of
    conversations (JSONL) from the WebUI. The workload file holds numbers only: no texts, names or ids.

    \b
    astrometer learn data_v4.db --exclude 'probe:*'
    astrometer load chat --workload workload.toml --scale 2
    astrometer capacity chat --workload workload.toml --slo 'ttft_p95 < 2s'

    Exit codes: 0 written; 2 usage, or FILE has nothing to learn from.
    """
    from astrometer.load.workload import learning, workload_file

    patterns = exclude if with_own else (*exclude, learning.OWN)
    learnt = learning.learn(source, since.timestamp() if since else 0.0, patterns)
    try:
        write_whole(out, workload_file.write(learnt.workload))
    except OSError as exc:
        raise click.UsageError(f"{out}: cannot be written ({reason(exc)})") from exc
    print_rich(_table(learnt), *_lines(learnt), str(out))


def _table(learnt: "Learnt") -> "RenderableType":
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for number, name in enumerate(("", "mean", *(name for _, name in _QUANTILES))):
        table.add_column(name, justify="right" if number else "left")
    spreads = learnt.workload.spreads
    for name, title, is_time in (
        ("turns", "questions of a conversation", False),
        ("pause_s", "pause before the next one", True),
        ("answer_s", "answer takes", True),
        ("prompt_tokens", "question, tokens", False),
        ("input_tokens", "sent to the model, tokens", False),
        ("output_tokens", "answer, tokens", False),
    ):
        if name in spreads:
            table.add_row(title, *_cells(spreads[name], is_time=is_time))
    return table


def _cells(spread: "Spread", *, is_time: bool) -> list[str]:
    values = [spread.mean, *(spread.quantile(share) for share, _ in _QUANTILES)]
    return [format_duration(value) if is_time else _figure(value) for value in values]


def _figure(value: float) -> str:
    return f"{value:,.3g}" if value < 100 else f"{value:,.0f}"


def _people(number: int) -> str:
    return "1 person" if number == 1 else f"{number:,} people"


def _lines(learnt: "Learnt") -> list[str]:
    workload = learnt.workload
    busiest = workload.busiest_hour
    began = datetime.fromtimestamp(learnt.busiest_s).astimezone().strftime("%Y-%m-%d %H:%M")
    days = workload.days
    span = f"{days:,.1f} days" if days >= 1 else format_duration(days * 86400)
    seen = (
        f"{learnt.turns:,} questions in {learnt.conversations:,} conversations of {_people(workload.people)}"
    )
    most = f"{busiest.turns_per_s * 3600:,.0f} questions an hour by {_people(busiest.people)}"
    rate = plain_number(float(f"{workload.conversations_per_s:.3g}"))
    users = f"{max(1, round(workload.users)):,}"
    lines = [
        f"{seen} in {span}; {workload.web_share * 100:.0f} % by API and WebUI, the others in messengers",
        f"Busiest hour: from {began}, {most}",
        f"As a load: {rate} conversations per second, or {users} users who wait for their answers",
    ]
    if learnt.left_out:
        lines.append(f"{learnt.left_out:,} chats were left out")
    if learnt.turns < FEW_TURNS:
        lines.append(f"Warning: fewer than {FEW_TURNS} questions: the rare ones among them are not told")
    return lines
