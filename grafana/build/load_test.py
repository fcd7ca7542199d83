"""What does the load test do to AstrBot, can its numbers be trusted, and was another run better?"""

import load_compared
import load_generator
import load_graphs
import load_server
import load_top
from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.models import dashboard as model
from leads import places
from page import Page, Section, line_up
from queries import COMPARED, LOOK_BACK, generator, last, load_run
from variables import DATA_SOURCE, GENERATORS_TOO, data_source, of_probes, of_scrape, several, window

NO_RUN = 'label_replace(vector(0), "run", "none", "", "")'


def page() -> Page:
    return Page(
        uid="astrometer-load",
        description="A load test that runs, or one that ran: load, times, outcomes, the generator's health, "
        "the server beside it, another run to compare with, and what the probes saw meanwhile.",
        variables=[
            data_source(),
            *of_scrape(GENERATORS_TOO),
            *runs(),
            scenarios(),
            window("1m,2m,5m,15m", "1m"),
            *of_probes(),
            *places(),
        ],
        time_from="now-30m",
        refresh="10s",
        sections=[
            Section(panels=load_top.panels()),
            Section(
                title="Load",
                panels=line_up(
                    0, 8, (load_graphs.users(), 8), (load_graphs.rates(), 8), (load_graphs.in_flight(), 8)
                ),
            ),
            Section(
                title="How fast",
                panels=[
                    *line_up(
                        0,
                        9,
                        (load_graphs.quantiles("Time to first token over time", load_graphs.TTFT), 12),
                        (load_graphs.ttft_map(), 12),
                    ),
                    *line_up(
                        9,
                        8,
                        (load_graphs.effective(), 8),
                        (load_graphs.gaps(), 8),
                        (load_graphs.quantiles("End to end over time", load_graphs.E2E), 8),
                    ),
                ],
            ),
            Section(
                title="How it ended",
                panels=line_up(
                    0,
                    8,
                    (load_graphs.objectives_over_time(), 9),
                    (load_graphs.outcomes(), 5),
                    (load_graphs.failures(), 5),
                    (load_graphs.tokens(), 5),
                ),
            ),
            Section(title="The server beside the load", panels=load_server.panels()),
            Section(title="Is it the load generator?", panels=load_generator.panels()),
            Section(title="Compared with another run", panels=load_compared.panels()),
            Section(
                title="What the probes saw meanwhile",
                panels=line_up(
                    0, 8, (load_graphs.targets_over_time(), 12), (load_graphs.probed_first_token(), 12)
                ),
            ),
        ],
    )


def scenarios() -> build.QueryVariable:
    started = load_run("started_total")
    return several("scenario", "Scenario", f"label_values({started}, scenario)")


def runs() -> list[build.QueryVariable]:
    """The run to show, and the one to compare it with; each is at first the newest there is.

    `previous`: the seconds between their starts; a week where there is no other, which finds nothing.
    """
    all_runs = f"max by (run) ({last(generator(load_top.STARTS))})"
    began = f"max({last(load_run(load_top.START))})"
    other = generator(load_top.STARTS, 'run!="$run"')
    earlier = f"max by (run) (last_over_time({other}[{LOOK_BACK}])) < on () group_left () {began}"
    compared = f"max(last_over_time({load_run(load_top.START, run=COMPARED)}[{LOOK_BACK}]))"
    name, seconds = '/run="([^"]+)"/', r"/\s(\d+)\s/"
    return [
        _found("run", "Run", f"sort_desc({all_runs} or on () {NO_RUN})", name),
        _found("before", "Compared with", f"sort_desc({earlier} or on () {NO_RUN})", name),
        _found("previous", "Seconds earlier", f"round({began} - {compared}) or vector(604800)", seconds).hide(
            model.VariableHide.HIDE_VARIABLE
        ),
    ]


def _found(name: str, label: str, expr: str, regex: str) -> build.QueryVariable:
    """One choice of what a query finds, in its order."""
    query = f"query_result({expr})"
    return (
        build.QueryVariable(name)
        .label(label)
        .datasource(DATA_SOURCE)
        .query({"query": query, "refId": f"{name}-value", "qryType": 3})
        .definition(query)
        .regex(regex)
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
    )
