"""Does every key open exactly the doors it should?"""

from grafana_foundation_sdk.builders import stat, table, timeseries
from grafana_foundation_sdk.models import dashboard as model
from leads import places, to_target
from looks import BAD, GOOD, PLAIN, WARN, States, cell, fixed, prop, worded
from page import At, Page, Section, line_up
from panels import NOBODY, column, faults, graph, line, now, number, rows, shaped, state
from queries import RANGE, RATE, after, count, failed_for, probe, target, total, where
from service import service
from variables import EXPORTERS, data_source, of_probes, of_scrape

from astrometer.api.outcome import Outcome

CELLS: States = {
    0: ("unknown", "#707684"),
    1: ("allowed", "dark-green"),
    2: ("denied", "dark-blue"),
    3: ("REJECTED", WARN),
    4: ("LEAK", BAD),
}
DOORS: States = {
    0: ("NOT CHECKED", "#707684"),
    1: ("AS STATED", GOOD),
    2: ("REJECTED", WARN),
    3: ("LEAK", BAD),
}
CHECKS = target("scope_checks_total")
NOT_CHECKED = "no scope was checked: state a key's scopes in the config"
BY_CELL = ("target", "key", "endpoint")
WHO = "target / key"
REFUSALS = {
    Outcome.UNAUTHORIZED: ("401 unauthorized", BAD),
    Outcome.FORBIDDEN: ("403 forbidden", WARN),
    Outcome.RATE_LIMITED: ("429 rate limited", "purple"),
    Outcome.API_ERROR: ("200, status: error", PLAIN),
}


def page() -> Page:
    return Page(
        uid="astrometer-auth",
        description="Which key opens which door, against what the config states; refusals of all probes.",
        variables=[data_source(), *of_scrape(EXPORTERS), *of_probes(), *places()],
        sections=[
            Section(panels=top()),
            Section(title="Keys and endpoints", panels=line_up(0, 11, (matrix(), 24))),
            Section(
                title="What was not as stated",
                panels=line_up(0, 8, (violations(), 10), (violated_cells(), 14)),
            ),
            Section(title="Refusals", panels=line_up(0, 8, (refusals(), 12), (checks(), 12))),
        ],
    )


def top() -> list[At]:
    figures = ((leaks(), 3), (rejections(), 3), (checked(), 4), (refused(), 4))
    return line_up(0, 5, (service(), 5), (doors(), 5), *figures)


def _violations(kind: str, window: str) -> str:
    return f"increase({target('scope_violations_total', where('kind', kind))}[{window}])"


def doors() -> stat.Panel:
    made = total(f"increase({target('scope_checks_total')}[{RANGE}])")
    leak, rejected = (f"{total(_violations(kind, RANGE))} > bool 0" for kind in ("leak", "rejected"))
    any_check = f"({made} > bool 0)"
    return state(
        "Scopes",
        "Over the time range. LEAK: a key opened what its scopes deny. REJECTED: a key was kept from what "
        "its scopes allow. AS STATED: neither. NOT CHECKED: the scopes probe has not run, or the config "
        "states no scopes.",
        now(f"clamp_max({any_check} + ({rejected}) + 2 * ({leak}), 3) * {any_check}"),
        DOORS,
        none="NO DATA",
        none_color=BAD,
    )


def leaks() -> stat.Panel:
    return number(
        "Leaks",
        "Checks in the time range in which a key opened a door that its scopes deny.",
        "none",
        now(after(f"increase({CHECKS}[{RANGE}])", total(_violations("leak", RANGE)))),
        colors=((None, GOOD), (0.5, BAD)),
        none=NOBODY,
        decimals=0,
    )


def rejections() -> stat.Panel:
    return number(
        "Rejections",
        "Checks in the time range in which a key was kept from what its scopes allow: revoked, expired or "
        "changed.",
        "none",
        now(after(f"increase({CHECKS}[{RANGE}])", total(_violations("rejected", RANGE)))),
        colors=((None, GOOD), (0.5, WARN)),
        decimals=0,
    )


def checked() -> stat.Panel:
    return number(
        "Checks",
        "Doors tried in the time range with a clear answer. A 5xx or a timeout is no answer and not counted.",
        "short",
        now(count(target("scope_checks_total"))),
    )


def refused() -> stat.Panel:
    return number(
        "Runs refused",
        "Runs of all chosen probes in the time range that ended in 401, 403, 429 or an API error in HTTP "
        "200.",
        "none",
        now(
            after(
                f"increase({probe('runs_total')}[{RANGE}])",
                total(f"increase({probe('failures_total', failed_for(REFUSALS))}[{RANGE}])"),
            )
        ),
        colors=((None, GOOD), (0.5, WARN)),
        decimals=0,
    )


def matrix() -> table.Panel:
    by = ", ".join(BY_CELL)

    def cells(series: str, value: int) -> str:
        return f"(0 * (sum by ({by}) ({series}) > 0) + {value})"

    ways = [
        cells(_violations("leak", RANGE), 4),
        cells(_violations("rejected", RANGE), 3),
        cells(f"increase({target('scope_checks_total', where('expected', 'denied'))}[{RANGE}])", 2),
        cells(f"increase({target('scope_checks_total', where('expected', 'allowed'))}[{RANGE}])", 1),
        f"0 * sum by ({by}) ({target('scope_checks_total')})",
    ]
    panel = rows(
        "Matrix",
        "Each key at each endpoint, over the time range: allowed and denied are as the config states. "
        "LEAK: opened against the config. REJECTED: kept shut against the config. A door whose answer "
        "proves nothing (5xx, timeout) is unknown. The worst that was seen in the range wins.",
        "none",
        column(f'label_join({" or ".join(ways)}, "who", " / ", "target", "key")', "A"),
    )
    # Columns and rows keep their places whatever was found there.
    by_endpoint, by_name = ({"sort": [{"field": field, "desc": False}]} for field in ("endpoint", WHO))
    turned = {"columnField": "endpoint", "rowField": "who", "valueField": "Value", "emptyValue": "null"}
    return (
        panel.with_transformation(model.DataTransformerConfig(id_val="sortBy", options=by_endpoint))
        .with_transformation(model.DataTransformerConfig(id_val="groupingToMatrix", options=turned))
        .with_transformation(
            model.DataTransformerConfig(
                id_val="organize",
                options={
                    "renameByName": {"who\\endpoint": WHO},
                    "indexByName": {},
                    "excludeByName": {},
                },
            )
        )
        .with_transformation(model.DataTransformerConfig(id_val="sortBy", options=by_name))
        .override_by_field_type(
            "number",
            [
                worded(CELLS),
                cell("color-background"),
                prop("custom.align", "center"),
                prop("custom.minWidth", 80),
            ],
        )
        .override_by_name(WHO, [prop("custom.width", 170)])
    )


def violations() -> timeseries.Panel:
    return (
        faults(
            "Violations",
            "Checks that were not as stated, over time.",
            "none",
            line(f"sum by (kind) (increase({target('scope_violations_total')}[{RATE}])) > 0", "{{kind}}"),
            seen=f"increase({CHECKS}[{RATE}])",
            none=NOT_CHECKED,
        )
        .override_by_name("leak", [fixed(BAD)])
        .override_by_name("rejected", [fixed(WARN)])
    )


def violated_cells() -> table.Panel:
    made = total(f"increase({CHECKS}[{RANGE}])")
    panel = rows(
        "Where",
        "The doors that were not as stated in the time range, and how often. What to do: docs/runbooks.md.",
        "none",
        column(
            "sum by (target, key, endpoint, expected, kind) "
            f"(increase({target('scope_violations_total')}[{RANGE}])) > 0\n"
            f"or on () label_replace(0 * ({made} > 0), 'kind', 'none: everything as stated', '', '')",
            "A",
        ),
        none=NOT_CHECKED,
    )
    names = {
        "target": "Target",
        "key": "Key",
        "endpoint": "Endpoint",
        "expected": "Stated",
        "kind": "Seen as",
        "Value": "Checks",
    }
    return (
        shaped(panel, names, sort_by="Target")
        .override_by_name("Checks", [prop("decimals", 0)])
        .override_by_name("Target", [to_target("${__value.raw}")])
    )


def refusals() -> timeseries.Panel:
    queries = [
        line(f"sum(increase({probe('failures_total', failed_for([outcome.value]))}[{RATE}])) > 0", text)
        for outcome, (text, _) in REFUSALS.items()
    ]
    panel = faults(
        "Refused runs by answer",
        "401: the key is bad, revoked or expired. 403: it lacks the scope. 429: a limit before AstrBot. An "
        "API error in HTTP 200 is AstrBot's own way to say no.",
        "none",
        *queries,
        seen=f"increase({probe('runs_total')}[{RATE}])",
    )
    for text, color in REFUSALS.values():
        panel = panel.override_by_name(text, [fixed(color)])
    return panel


def checks() -> timeseries.Panel:
    return graph(
        "Checks a minute by key",
        "Doors tried with a clear answer. A line that falls to 0: the scopes probe has stopped, "
        "or the answers prove nothing.",
        "short",
        line(f"60 * sum by (key) (rate({target('scope_checks_total')}[{RATE}]))", "{{key}}"),
    )
