"""What the overview says first, asked of promtool: state of the service, alerts, which target is down."""

import subprocess

import pytest
import yaml
from dashboard_files import queries
from required import needs

from astrometer.probing.status.state_by_layer import State, TargetStatus

pytestmark = [pytest.mark.promtool, pytest.mark.process]
QUERIES = {(q.panel, q.ref): q.expr for q in queries() if q.dashboard == "overview"}
STATUSES = list(TargetStatus)
DOWN, KEY_REJECTED, SLOW, UNKNOWN, OK = (
    STATUSES.index(TargetStatus(name)) for name in ("down", "key_rejected", "slow", "unknown", "ok")
)
LAYER_FAILING, LAYER_DEGRADED, LAYER_UNKNOWN, LAYER_OK, LAYER_NOT_PROBED = range(5)
EVERYTHING = {"job": ".+", "instance": ".+", "target": ".+", "probe": ".+"}


def state(target, status, instance="a:1"):
    """Series of what the exporter calls a target."""
    labels = f'job="a", instance="{instance}", target="{target}"'
    return [
        {
            "series": f'astrbot_probe_target_state{{{labels}, state="{one}"}}',
            "values": f"{int(one == status)}x10",
        }
        for one in STATUSES
    ]


def layer(target, name, reason="ok"):
    """Series of the layer `model` of a target."""
    labels = f'job="a", instance="a:1", target="{target}", layer="model"'
    since = f'astrbot_probe_state_since_timestamp_seconds{{{labels}, reason="{reason}"}}'
    states = [
        {"series": f'astrbot_probe_state{{{labels}, state="{one}"}}', "values": f"{int(one == name)}x10"}
        for one in State
    ]
    return [*states, {"series": since, "values": "0x10"}]


def probe(target, passed, late_s=30):
    """Series of a probe that is due every minute, ten minutes after 0."""
    labels = f'{{job="a", instance="a:1", target="{target}", probe="chat"}}'
    values = {"success": passed, "interval_seconds": 60, "last_run_timestamp_seconds": 600 - late_s}
    return [
        {"series": f"astrbot_probe_{name}{labels}", "values": f"{value}x10"} for name, value in values.items()
    ]


def alert(name, severity="page", **labels):
    told = {"alertname": name, "alertstate": "firing", "severity": severity, **labels}
    labels = ", ".join(f'{label}="{value}"' for label, value in told.items())
    return [{"series": f"ALERTS{{{labels}}}", "values": "1x10"}]


def im_chat(target, reason, late_s=30):
    """Series of a probe that asks in a messenger; no reason: no run has ended yet."""
    labels = f'job="a", instance="a:1", target="{target}", probe="im_chat"'
    values = {"time_to_first_reply_seconds_count": 3, "interval_seconds": 60}
    if reason is not None:
        values |= {"success": int(reason == "ok"), "last_run_timestamp_seconds": 600 - late_s}
    series = [
        {"series": f"astrbot_probe_{name}{{{labels}}}", "values": f"{v}x10"} for name, v in values.items()
    ]
    ended = f'astrbot_probe_last_run_info{{{labels}, reason="{reason}"}}'
    return series + ([] if reason is None else [{"series": ended, "values": "1x10"}])


EXPORTER = [{"series": 'astrbot_probe_exporter_build_info{job="a", instance="a:1"}', "values": "1x10"}]
CHECKED = [
    {
        "series": 'astrbot_probe_last_run_info{job="a", instance="a:1", target="c", probe="im", '
        'reason="lost_link"}',
        "values": "1x10",
    }
]
NO_LINK, SILENT, FAILS, OLD, ANSWERS, LINK_ONLY, NOT_YET, NOT_SET_UP = range(8)
LINKED = [
    {"series": f'astrbot_probe_state{{job="a",instance="a:1",target="c",layer="messenger",state="{name}"}}',
     "values": f"{int(name == 'ok')}x10"}
    for name in ("ok", "unknown")
]  # fmt: skip
TEN_WELL = [series for number in range(10) for series in probe(f"t{number}", 1)]
TEN_OK = [series for number in range(10) for series in state(f"t{number}", "ok")]
OTHER_JOB = [
    {
        "series": 'astrbot_probe_target_state{job="b", instance="b:1", target="o", state="ok"}',
        "values": "1x10",
    }
]
LEAK = alert("AstrBotScopeLeak", job="a", target="t1")
NONE_AT_ALL = alert("AstrBotProbeAbsent")
WATCHDOG = alert("AstrBotProbeWatchdog", severity="none")
CASES = {
    "all are well": ("Service", TEN_OK, {}, OK),
    "one of ten is down": ("Service", [*TEN_OK, *state("u", "down")], {}, DOWN),
    "the worst names the whole": (
        "Service", [*TEN_OK, *state("u", "slow"), *state("v", "key_rejected")], {}, KEY_REJECTED,
    ),
    "one that was not chosen is down": (
        "Service", [*TEN_OK, *state("u", "down")], {"target": "(t1|t2)"}, OK,
    ),
    "nobody knows of one": ("Service", [*TEN_OK, *state("u", "unknown")], {}, UNKNOWN),
    "two exporters disagree": ("Service", [*state("u", "ok"), *state("u", "slow", "b:1")], {}, SLOW),
    "a layer is well": (
        "Layer model", [*layer("t", "ok"), *layer("u", "unknown", "not_probed")], {}, LAYER_OK,
    ),
    "a layer fails somewhere": (
        "Layer model", [*layer("t", "degraded", "slow"), *layer("u", "failing", "reset")], {}, LAYER_FAILING,
    ),
    "a layer is slow": ("Layer model", layer("t", "degraded", "slow"), {}, LAYER_DEGRADED),
    "a budget is spent": (
        "Layer model", [*layer("t", "ok"), *layer("u", "unknown", "budget")], {}, LAYER_UNKNOWN,
    ),
    "nobody probes a layer": ("Layer model", layer("t", "unknown", "not_probed"), {}, LAYER_NOT_PROBED),
    "no exporter for a layer": ("Layer model", [], {}, None),
    "nobody asks": ("Service", [], {}, None),
    "nobody has a messenger": ("Messenger", [*TEN_WELL, *EXPORTER], {}, NOT_SET_UP),
    "a messenger that was not asked yet": ("Messenger", [*EXPORTER, *im_chat("u", None)], {}, NOT_YET),
    "a messenger answers": ("Messenger", [*TEN_WELL, *im_chat("u", "ok"), *im_chat("v", None)], {}, ANSWERS),
    "a messenger that is not asked any more": (
        "Messenger", [*im_chat("u", "ok"), *im_chat("v", "ok", late_s=300)], {}, OLD,
    ),
    "a model that fails a messenger": (
        "Messenger", [*im_chat("u", "ok"), *im_chat("v", "llm_error")], {}, FAILS,
    ),
    "a silent messenger": ("Messenger", [*im_chat("u", "llm_error"), *im_chat("v", "silent")], {}, SILENT),
    "a messenger's adapter that is off": (
        "Messenger", [*im_chat("u", "silent"), *im_chat("v", "connect")], {}, NO_LINK,
    ),
    "a link check that finds nobody": ("Messenger", [*TEN_WELL, *im_chat("u", "ok"), *CHECKED], {}, NO_LINK),
    "a link check that finds somebody, and no question": (
        "Messenger", [*TEN_WELL, *EXPORTER, *LINKED], {}, LINK_ONLY,
    ),
    "a link check of one target, and questions at another": (
        "Messenger", [*EXPORTER, *LINKED, *im_chat("u", "ok")], {}, ANSWERS,
    ),
    "a silent messenger that was not chosen": (
        "Messenger", [*im_chat("u", "ok"), *im_chat("v", "silent")], {"target": "u"}, ANSWERS,
    ),
    "no exporter, no messenger": ("Messenger", [], {}, None),
    "no alert but the watchdog": ("Alerts", [*TEN_OK, *WATCHDOG], {}, 0),
    "the watchdog, and nothing is watched": ("Alerts", WATCHDOG, {}, None),
    "an alert of a target and one of nobody": ("Alerts", [*LEAK, *NONE_AT_ALL], {}, 2),
    "an alert of a target that was not chosen": ("Alerts", [*LEAK, *NONE_AT_ALL], {"target": "t2"}, 1),
    "an alert of a job that was not chosen": ("Alerts", [*LEAK, *WATCHDOG, *OTHER_JOB], {"job": "b"}, 0),
    "one alert over two windows": (
        "Alerts", [*LEAK, *alert("AstrBotScopeLeak", target="t1", window="1h")], {}, 1,
    ),
    "no rules, no alert": ("Alerts", TEN_OK, {}, None),
    "nothing fires": ("What fires", [*TEN_OK, *WATCHDOG], {}, {'{alertname="nothing fires"}': 0}),
    "nobody evaluates the rules": ("What fires", TEN_OK, {}, None),
    "one dead address among ten": (
        "Probes that failed, over time",
        [*TEN_WELL, *probe("u", 0)],
        {"__range": "10m"},
        {'{probe="chat", target="u"}': 0, '{target="all others"}': 1},
    ),
    "which target is what": (
        "Targets",
        [*state("u", "down"), *state("v", "slow"), *state("w", "ok"), *state("w", "unknown", "b:1")],
        {},
        {'{target="u"}': DOWN, '{target="v"}': SLOW, '{target="w"}': UNKNOWN},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_overview_says(case, tmp_path):
    needs("promtool", "promtool")
    panel, series, chosen, said = CASES[case]
    expr = QUERIES[panel, "A"]
    for name, choice in {**EVERYTHING, **chosen}.items():
        expr = expr.replace(f"${name}", choice)
    values = said if isinstance(said, dict) else {"{}": said}
    samples = [{"labels": labels, "value": value} for labels, value in values.items() if value is not None]
    check = {"expr": expr, "eval_time": "10m", "exp_samples": samples}
    test = {"interval": "1m", "input_series": series, "promql_expr_test": [check]}
    (tmp_path / "case.yaml").write_text(yaml.safe_dump({"tests": [test]}))
    command = ["promtool", "test", "rules", str(tmp_path / "case.yaml")]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
