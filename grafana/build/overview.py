"""Is AstrBot well, since when not, and whose fault is it?"""

import exporter_health
import messenger
import overview_alerts
import overview_details
from grafana_foundation_sdk.builders import stat, statetimeline
from leads import places, to_target
from looks import BAD, GOOD, WARN, colored
from page import At, Page, Section, line_up
from panels import line, now, number, timeline
from queries import RANGE, count, exporter, probe, probe_quantile, share, target, total
from service import PASSED, layer, service
from variables import EXPORTERS, data_source, of_probes, of_scrape, window

from astrometer.probing.status.layer_evidence import StateLayer

DAY_S = 86400
PASSING = ((None, BAD), (0.95, WARN), (0.99, GOOD))
TTFT = "time_to_first_token_seconds"


def page() -> Page:
    return Page(
        uid="astrometer-overview",
        description="Is AstrBot well, since when not, and in which layer is the cause? All from the probes.",
        variables=[data_source(), *of_scrape(EXPORTERS), *of_probes(), window(), *places()],
        sections=[
            Section(panels=top()),
            Section(
                title="Why",
                panels=[
                    *line_up(0, 9, (overview_details.by_layer(), 12), (overview_details.by_reason(), 12)),
                    *line_up(9, 8, (timeline_of_probes(), 24)),
                ],
            ),
            Section(
                title="How fast",
                panels=line_up(0, 8, (overview_details.first_token(), 12), (overview_details.duration(), 12)),
            ),
            Section(
                title="Messenger",
                panels=line_up(
                    0, 8, (messenger.state_now(), 5), (messenger.over_time(), 9), (messenger.replies(), 10)
                ),
            ),
            Section(title="The exporter itself", panels=exporter_health.panels()),
        ],
    )


def top() -> list[At]:
    return [
        *line_up(0, 6, (service(), 5), (overview_details.targets(), 19)),
        *line_up(6, 3, *((layer(name), 4) for name in StateLayer)),
        At(panel=overview_alerts.listed(), x=0, y=9, w=14, h=6),
        At(panel=overview_alerts.counted(), x=14, y=9, w=5, h=3),
        At(panel=ttft(), x=19, y=9, w=5, h=3),
        At(panel=passed(), x=14, y=12, w=5, h=3),
        At(panel=scrapes(), x=19, y=12, w=5, h=3),
        *line_up(15, 3, (failing(), 6), (oldest(), 6), (runs(), 6), (certificate(), 6)),
        *line_up(18, 7, (timeline_of_targets(), 24)),
    ]


def failing() -> stat.Panel:
    success = probe("success")
    return number(
        "Failing now",
        "Probes whose last run failed, counted for each target and exporter.",
        "none",
        now(f"count({success}) - sum({success})"),
        colors=((None, GOOD), (1, BAD)),
    )


def passed() -> stat.Panel:
    failures = total(f"increase({probe('failures_total')}[{RANGE}])")
    finished = total(f"increase({probe('runs_total')}[{RANGE}])")
    return number(
        "Runs passed",
        "Share of the finished runs that passed, over the time range. Skipped runs do not count. "
        "The objective, which leaves out what is not the server's fault, is on SLO and cost.",
        "percentunit",
        now(f"1 - {share(failures, finished)}"),
        colors=PASSING,
        decimals=2,
    )


def ttft() -> stat.Panel:
    return number(
        "Time to first token",
        "Of the answers in the time range. p50 is withheld below 20 answers, p95 below 200.",
        "s",
        now(probe_quantile(50, TTFT, RANGE), "p50"),
        now(probe_quantile(95, TTFT, RANGE), "p95"),
        none="too few",
    )


def oldest() -> stat.Panel:
    return number(
        "Oldest news",
        "Time since the last run of the probe that ran longest ago. The state of the service, left, says "
        "whether that is too long.",
        "s",
        now(f"max(time() - {probe('last_run_timestamp_seconds')})"),
        decimals=0,
    )


def runs() -> stat.Panel:
    return number(
        "Runs",
        "Finished runs in the time range: what the figures on this page rest on.",
        "short",
        now(count(probe("runs_total"))),
    )


def certificate() -> stat.Panel:
    return number(
        "Certificate",
        "Until the first certificate of the chosen targets expires; nothing without TLS.",
        "s",
        now(f"min({target('cert_expiry_timestamp_seconds')} - time())"),
        colors=((None, BAD), (3 * DAY_S, WARN), (14 * DAY_S, GOOD)),
        none="none seen",
        decimals=0,
    )


def scrapes() -> stat.Panel:
    known = f"count by (job, instance) (last_over_time({exporter(EXPORTERS)}[{RANGE}]))"
    there = f"({exporter('up')} == 1 and on (job, instance) {exporter(EXPORTERS)})"
    return number(
        "Exporters",
        "Exporters that answer Prometheus, and those of the time range that do not any more.",
        "none",
        now(f"count({there})", "answer"),
        now(f"count({known} unless on (job, instance) {there}) or 0 * count({known})", "gone"),
        colors=((None, BAD), (1, GOOD)),
        none="none",
    ).override_by_name("gone", [colored((None, GOOD), (1, BAD))])


def timeline_of_targets() -> statetimeline.Panel:
    return timeline(
        "Targets over time",
        "Red while the last run of any chosen probe of the target failed. A gap: no exporter was there.",
        line(f"min by (target) ({probe('success')})", "{{target}}"),
        PASSED,
    ).override_by_regexp("/.*/", [to_target()])


def timeline_of_probes() -> statetimeline.Panel:
    success = probe("success")
    ever = f"min_over_time({success}[{RANGE}] @ end()) == 0"
    others = f"{success} unless ({ever})"
    return timeline(
        "Probes that failed, over time",
        "Red while the last run failed, a line for each target and probe that failed in the time range: what "
        "fails for good hides nothing else. All the others have one line together.",
        line(
            f"min by (target, probe) ({success} and ({ever}))\n"
            f'or label_replace(1 + 0 * count({others}), "target", "all others", "", "")',
            "{{target}} {{probe}}",
        ),
        PASSED,
    ).override_by_regexp("/.*/", [to_target()])
