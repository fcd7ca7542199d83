"""The built rules: up to date, valid, tested by promtool, and in step with the code and the runbooks."""

import importlib.util
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
import yaml
from prometheus_client import CollectorRegistry
from required import needs

from astrometer.probing.exporter.metrics import ProbeMetrics, SelfMetrics

ROOT = Path(__file__).parents[2]
RULES = ROOT / "grafana/rules"
BUILD = ROOT / "grafana/build/rules.py"
TESTS = sorted((RULES / "tests").glob("*.yaml"))
ALERTMANAGER = ROOT / "grafana/alertmanager/alertmanager.yml"
# Always firing: it has no step below, and must not end.
ENDLESS = {"AstrBotProbeWatchdog"}
BELOW = re.compile(r'"below-')


@cache
def rules() -> list[dict]:
    read = [yaml.safe_load((RULES / name).read_text("utf-8")) for name in ("recording.yaml", "alerts.yaml")]
    return [rule for file in read for group in file["groups"] for rule in group["rules"]]


def alerts() -> list[dict]:
    return [rule for rule in rules() if "alert" in rule]


def alert_names() -> list[str]:
    return sorted({rule["alert"] for rule in alerts()})


@pytest.fixture(scope="module")
def build():
    """`grafana/build/rules.py` as a function; it finds its package beside itself, as when it is run."""
    before = list(sys.path)
    sys.path.insert(0, str(BUILD.parent))
    try:
        spec = importlib.util.spec_from_file_location("build_rules", BUILD)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.path[:] = before
    return lambda *arguments: module.main([str(argument) for argument in arguments])


# --- built


def test_the_committed_rules_are_what_the_thresholds_build(build, capsys):
    assert (build("--check"), capsys.readouterr().err) == (0, "")


def test_a_changed_threshold_is_noticed_and_built(build, tmp_path):
    text = (RULES / "thresholds.toml").read_text("utf-8")
    changed = tmp_path / "thresholds.toml"
    changed.write_text(text.replace("availability = 0.99 ", "availability = 0.98 "))
    assert build("--thresholds", changed, "--check") == 1
    assert build("--thresholds", changed, "--out", tmp_path / "built") == 0
    assert '{side="server"} > 0.288' in (tmp_path / "built/alerts.yaml").read_text("utf-8")
    assert build("--thresholds", changed, "--out", tmp_path / "built", "--check") == 0


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("ttft_seconds = 3 ", "ttft_seconds = 2 ", "slo.ttft_seconds: 2 is no boundary of the exporter's"),
        ("ttft = 0.95 ", "ttft = 0.9 ", "burn factor 14.4 with slo.ttft = 0.9 asks for 144% bad runs"),
        ("min_failures", "min_failure", "guard.min_failure: unknown key"),
        ('for = "10m"', 'for = "ten"', "loop_lag.for: 'ten' is not a duration of one unit"),
        ("seconds = 0.5", "seconds = 0", "loop_lag.seconds: 0 is not positive"),
        ("seconds = 0.5", "second = 0.5", "loop_lag.seconds: missing"),
        ("page_days = 3", "page_days = 3\nlast_days = 1", "cert_expiry.last_days: unknown key"),
        ("[stale]", "[stael]", "stale: missing"),
        ('p50 = ["12h", "3d"]', 'p50 = ["12h"]', "degraded compares medians: add 3d to quantiles.p50"),
        ("[guard]", "[guard", "is not valid TOML"),
    ],
)
def test_thresholds_that_cannot_be_used_are_refused_with_place_and_cure(
    build, tmp_path, capsys, old, new, said
):
    text = (RULES / "thresholds.toml").read_text("utf-8")
    assert old in text
    changed = tmp_path / "thresholds.toml"
    changed.write_text(text.replace(old, new))
    assert build("--thresholds", changed, "--out", tmp_path) == 2
    shown = capsys.readouterr().err
    assert said in shown
    assert str(changed) in shown


# --- promtool


@pytest.mark.process
@pytest.mark.promtool
def test_promtool_finds_nothing_to_say_about_the_rules():
    needs("promtool", "promtool")
    command = ["promtool", "check", "rules", str(RULES / "recording.yaml"), str(RULES / "alerts.yaml")]
    checked = subprocess.run(command, check=False, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "duplicate" not in checked.stdout


@pytest.mark.timeout(300)  # a slow machine takes 70 s and more for days of samples
@pytest.mark.process
@pytest.mark.promtool
@pytest.mark.parametrize("file", TESTS, ids=lambda file: file.stem)
def test_promtool_passes(file):
    needs("promtool", "promtool")
    command = ["promtool", "test", "rules", str(file)]
    tested = subprocess.run(command, check=False, capture_output=True, text=True)
    assert tested.returncode == 0, tested.stdout + tested.stderr


# --- every alert has its tests


@cache
def all_tests() -> list[dict]:
    return [test for file in TESTS for test in yaml.safe_load(file.read_text("utf-8"))["tests"]]


def checks_of(alert: str) -> list[tuple[dict, dict]]:
    """Every check of an alert, with the test that it stands in."""
    return [
        (test, check)
        for test in all_tests()
        for check in test.get("alert_rule_test", [])
        if check["alertname"] == alert
    ]


def minutes(time: str) -> float:
    units = {"s": 1 / 60, "m": 1, "h": 60, "d": 1440}
    return sum(int(number) * units[unit] for number, unit in re.findall(r"(\d+)([smhd])", time))


@pytest.mark.parametrize("alert", alert_names())
def test_every_alert_is_seen_to_fire_not_to_fire_one_step_below_and_to_resolve(alert):
    checks = checks_of(alert)
    fired = [(test, check) for test, check in checks if check["exp_alerts"]]
    assert fired, "never seen to fire"
    variants = [rule["labels"] for rule in alerts() if rule["alert"] == alert]
    shown = [one["exp_labels"] for _, check in fired for one in check["exp_alerts"]]
    for variant in variants:
        assert any(variant.items() <= labels.items() for labels in shown), f"{variant} never seen to fire"
    if alert in ENDLESS:
        return
    below = [
        check
        for test, check in fired
        if any(BELOW.search(series["series"]) for series in test["input_series"])
        and not any(
            str(value).startswith("below-")
            for one in check["exp_alerts"]
            for value in one["exp_labels"].values()
        )
    ]
    assert below, "nothing named below-... beside what fires"
    resolved = [
        check
        for test, check in fired
        for later in test["alert_rule_test"]
        if later["alertname"] == alert
        and minutes(later["eval_time"]) > minutes(check["eval_time"])
        and len(later["exp_alerts"]) < len(check["exp_alerts"])
    ]
    assert resolved, "never seen to end"


# --- in step with the code and the docs


def defined_metrics() -> set[str]:
    """Every sample name that the exporter can bring out."""
    registry = CollectorRegistry()
    ProbeMetrics(registry)
    SelfMetrics(registry)
    return set(registry._names_to_collectors)


def test_every_metric_that_a_rule_names_exists_in_the_exporter():
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    known = defined_metrics()
    assert "astrbot_probe_runs_total" in known
    for rule in rules():
        names = re.findall(r"[a-zA-Z_:][a-zA-Z0-9_:]*", re.sub(r'"[^"]*"', "", rule["expr"]))
        for name in names:
            if ":" in name:
                assert name in recorded, f"{name} is not recorded"
            elif name.startswith("astrbot_"):
                assert name in known, f"{name} is no metric of the exporter"


def test_every_alert_has_a_runbook_section_and_every_section_an_alert():
    text = (ROOT / "docs/runbooks.md").read_text("utf-8")
    sections = re.split(r"^## ", text, flags=re.MULTILINE)[1:]
    by_title = {section.splitlines()[0].strip(): section for section in sections}
    assert sorted(by_title) == alert_names()
    for title, section in by_title.items():
        for part in ("**Means**", "**See**", "**Do**"):
            assert part in section, f"{title}: no {part}"
        assert "job=" not in section, f"{title}: a job is called otherwise elsewhere"
    for rule in alerts():
        annotations = rule["annotations"]
        assert set(annotations) == {"summary", "description", "runbook_url"}
        assert annotations["runbook_url"].endswith(f"#{rule['alert'].lower()}")
        assert rule["labels"]["severity"] in {"page", "ticket", "none"}
        assert rule["labels"]["route"] in {"server", "upstream", "security", "monitoring"}


def test_every_reason_of_the_code_is_judged_once(build):
    from rulebook import reasons

    names = [reason.value for reason in reasons.REASONS]
    assert sorted(name for layer in reasons.layers().values() for name in layer) == sorted(names)
    answered = {"cleanup", "leak"}
    sides = [*reasons.side("server"), *reasons.side("llm"), *reasons.unjudged(), *answered]
    assert sorted(sides) == sorted(names)
    assert "llm_error" in reasons.side("llm")
    assert "unauthorized" in reasons.unjudged()
    assert "client_error" in reasons.side("server")


def test_what_fails_in_a_messenger_is_a_reply_or_the_link(build):
    from rulebook import reasons

    messenger = reasons.layers()["messenger"]
    assert set(messenger) == {*reasons.replies(), "lost_link"}
    assert {"lost_link", "connect", "forbidden"} < set(reasons.link())
    assert not set(reasons.link()) & {*reasons.replies(), *reasons.side("llm"), "cleanup", "slow"}


# --- Alertmanager


def test_a_scope_leak_is_inhibited_by_nothing():
    config = yaml.safe_load(ALERTMANAGER.read_text("utf-8"))
    leaks = [rule for rule in alerts() if rule["alert"] == "AstrBotScopeLeak"]
    assert leaks
    for leak in leaks:
        assert "kind" not in leak["labels"]
        assert "for" not in leak
        assert leak["labels"]["severity"] == "page"
        labels = {**leak["labels"], "alertname": leak["alert"]}
        assert not any(matches(inhibit["target_matchers"], labels) for inhibit in config["inhibit_rules"])
    down = config["inhibit_rules"][0]
    burn = next(rule for rule in alerts() if rule["alert"] == "AstrBotAvailabilityBurn")
    assert matches(down["source_matchers"], {"alertname": "AstrBotDown"})
    assert matches(down["target_matchers"], {**burn["labels"], "alertname": burn["alert"]})


def test_a_rejected_key_is_inhibited_by_nothing():
    config = yaml.safe_load(ALERTMANAGER.read_text("utf-8"))
    rejected = [rule for rule in alerts() if rule["alert"] == "AstrBotKeyRejected"]
    assert len(rejected) == 1
    for rule in rejected:
        labels = {**rule["labels"], "alertname": rule["alert"]}
        assert not any(matches(inhibit["target_matchers"], labels) for inhibit in config["inhibit_rules"])


@pytest.mark.parametrize("alert", ["AstrBotMessengerSilent", "AstrBotMessengerLinkDown"])
def test_a_messenger_alert_is_inhibited_by_a_server_that_is_down_and_inhibits_the_burn_of_its_probe(alert):
    inhibits = yaml.safe_load(ALERTMANAGER.read_text("utf-8"))["inhibit_rules"]
    place = {"job": "astrometer", "target": "prod", "probe": "im_chat"}

    def inhibited(source: dict, about: dict) -> bool:
        return any(
            matches(rule["source_matchers"], source)
            and matches(rule["target_matchers"], about)
            and all(source.get(label) == about.get(label) for label in rule["equal"])
            for rule in inhibits
            if "equal" in rule
        )

    down, burn = (
        {**place, **next(rule["labels"] for rule in alerts() if rule["alert"] == name), "alertname": name}
        for name in ("AstrBotDown", "AstrBotAvailabilityBurn")
    )
    del down["probe"]
    for rule in alerts():
        if rule["alert"] == alert:
            told = {**place, **rule["labels"], "alertname": alert}
            assert inhibited(down, told)
            assert inhibited(told, burn) is (rule["labels"]["severity"] == "page")
            assert not inhibited(told, {**burn, "probe": "chat"})


def matches(matchers: list[str], labels: dict[str, str]) -> bool:
    """As Alertmanager does it."""
    for matcher in matchers:
        name, operator, wanted = re.fullmatch(r'(\w+)(=~|!=|=)"(.*)"', matcher).groups()
        value = labels.get(name, "")
        good = re.fullmatch(wanted, value) if operator == "=~" else (value == wanted) is (operator == "=")
        if not good:
            return False
    return True


def amtool(*arguments: str) -> subprocess.CompletedProcess:
    needs("promtool", "amtool")
    return subprocess.run(["amtool", *arguments], check=False, capture_output=True, text=True)


@pytest.mark.process
def test_amtool_accepts_the_example():
    checked = amtool("check-config", str(ALERTMANAGER))
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.process
@pytest.mark.parametrize(
    ("alert", "severity", "receiver"),
    [
        ("AstrBotDown", "page", "pages"),
        ("AstrBotPartlyDown", "ticket", "tickets"),
        ("AstrBotAvailabilityBurn", "page", "pages"),
        ("AstrBotAvailabilityBurn", "ticket", "tickets"),
        ("AstrBotUpstreamLLMFailing", "page", "upstream-pages"),
        ("AstrBotStalled", "ticket", "upstream-tickets"),
        ("AstrBotMessengerSilent", "page", "pages"),
        ("AstrBotMessengerSilent", "ticket", "upstream-tickets"),
        ("AstrBotMessengerLinkDown", "page", "pages"),
        ("AstrBotScopeLeak", "page", "security"),
        ("AstrBotProbeAbsent", "page", "pages"),
        ("AstrBotProbeStale", "ticket", "tickets"),
        ("AstrBotProbeWatchdog", "none", "dead-mans-switch"),
    ],
)
def test_an_alert_reaches_its_people(alert, severity, receiver):
    labels = next(r["labels"] for r in alerts() if (r["alert"], r["labels"]["severity"]) == (alert, severity))
    shown = [f"{name}={value}" for name, value in {**labels, "alertname": alert}.items()]
    routed = amtool("config", "routes", "test", f"--config.file={ALERTMANAGER}", *shown)
    assert (routed.returncode, routed.stdout.strip()) == (0, receiver)
