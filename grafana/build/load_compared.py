"""The chosen run so far against another one."""

from collections.abc import Callable

from grafana_foundation_sdk.builders import table
from looks import BAD, GOOD, cell, colored, prop
from page import At, line_up
from panels import Query, column, rows, shaped
from queries import LOOK_BACK, compared, run_quantile, share, this, total

MEASURES = {
    "TTFT": "time_to_first_token_seconds",
    "gap": "inter_chunk_gap_seconds",
    "end to end": "end_to_end_seconds",
    "TTFT from arrival": "time_to_first_token_effective_seconds",
    "plain calls": "duration_seconds",
}
Values = Callable[..., str]
# Without another run there is one answer, and its values have no letter.
COLUMNS = {
    "measure": "Measure",
    "Value": "This run",
    "Value #A": "This run",
    "Value #B": "Compared with",
    "Value #C": "Change",
}
SAME = (
    "The other run is chosen above: at first the last one that began before this one, of any chosen "
    f"generator, within {LOOK_BACK}. Whether the two are comparable (same locustfile, same load) is for you "
    "to know; `astrometer report --compare` checks it."
)


def panels() -> list[At]:
    return line_up(0, 14, (times(), 14), (counts(), 10))


def times() -> table.Panel:
    def side(values: Values) -> str:
        return " or ".join(
            _named(f"{what} p{percent}", run_quantile(percent, histogram, values))
            for what, histogram in MEASURES.items()
            for percent in (50, 95, 99)
        )

    worse_is_more = colored((None, GOOD), (0.1, "text"), (0.25, BAD))
    return _compared(
        "Times",
        f"Of turns that went well, after the warm-up; a quantile with too few samples is left out. {SAME}",
        side,
    ).override_by_name(
        "Change", [prop("unit", "percentunit"), prop("decimals", 0), worse_is_more, cell("color-text")]
    )


def counts() -> table.Panel:
    def side(values: Values) -> str:
        turns = _sum("turns_total", "", values)
        good = _sum("turns_total", 'outcome="ok"', values)
        figures = {
            "turns begun": _sum("started_total", "", values),
            "turns ended": turns,
            "of them well": good,
            "failed, %": f"100 * (1 - {share(good, turns)})",
            "output tokens": _sum("tokens_total", 'direction="output"', values),
        }
        return " or ".join(_named(name, figure) for name, figure in figures.items())

    return _compared("Counts", f"Of everything that began. {SAME}", side).override_by_name(
        "Change", [prop("unit", "percentunit"), prop("decimals", 0)]
    )


def _compared(title: str, description: str, side: Callable[[Values], str]) -> table.Panel:
    one, other = side(this), side(compared)
    queries: list[Query] = [
        column(one, "A"),
        column(other, "B"),
        column(f"({one})\n  /\n(({other}) > 0) - 1", "C"),
    ]
    unit = "s" if title == "Times" else "none"
    panel = rows(title, description, unit, *queries, none="–")
    return shaped(panel, COLUMNS)


def _sum(name: str, more: str, values: Values) -> str:
    return total(values(name, more))


def _named(measure: str, expr: str) -> str:
    return f'label_replace({expr}, "measure", "{measure}", "", "")'
