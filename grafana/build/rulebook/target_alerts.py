"""What is wrong with an AstrBot: its server, the model behind it, its keys."""

from collections.abc import Iterator

from astrometer.api.outcome import Layer, Outcome
from rulebook import reasons
from rulebook.alert import COUNT, DURATION, PROBE, TARGET, Rule, alert, at_least, last_run
from rulebook.recording import SIDE_COUNTER, P
from rulebook.thresholds import Thresholds

KEY = "{{ $labels.key }}"
# Deadlines that are also met by a server which says nothing at all.
SILENCES = (Outcome.TIMEOUT_FIRST_TOKEN, Outcome.TIMEOUT_TOTAL)


def down(t: Thresholds) -> Iterator[Rule]:
    target, place = t.by("target"), t.by("instance", "target", "probe")
    # One that is skipped or hangs has nothing to say, and the most frequent of the others takes its place.
    running = f"({P}interval_seconds and on ({place}) {last_run(t, '<=')})"
    silences = reasons.one_of(reason.value for reason in SILENCES)
    enough, window = at_least(t.guard.min_failures), t.down.window
    yield alert(
        t,
        "AstrBotDown",
        f"max by ({target}) (\n"
        f"    {P}success\n"
        f"  and on ({place})\n"
        f"    {running}\n"
        f"      <= on ({target}) group_left () min by ({target}) {running}\n"
        f") == 0\n"
        f"and on ({target}) (\n"
        f'    sum by ({target}) (increase({SIDE_COUNTER}{{side="server"}}[{window}])) {enough}\n'
        f"  or\n"
        # Not even a status line: a frozen server looks to a chat like a model that hangs.
        f"    sum by ({target}) (\n"
        f"        increase({P}failures_total{{{silences}}}[{window}])\n"
        f"      unless on ({place})\n"
        f'        {P}phase_duration_seconds{{phase="headers"}}\n'
        f"    ) {enough}\n"
        f")",
        lasting=t.down.for_,
        severity="page",
        route="server",
        summary=f"AstrBot {TARGET} is down",
        description=(
            "Every one of its most frequent probes failed in its last run, "
            f"{t.guard.min_failures} or more times in {t.down.window} without a usable answer of the server."
        ),
    )


def _counted(t: Thresholds, reason: Outcome, window: str, count: int) -> str:
    place = t.by("target", "probe")
    failed = f"{P}failures_total{{{reasons.one_of([reason])}}}"
    return f"sum by ({place}) (increase({failed}[{window}])) {at_least(count)}"


def _route(reason: Outcome) -> str:
    return "upstream" if reason.layer in (Layer.UPSTREAM, Layer.CONTENT) else "server"


def truncated(t: Thresholds) -> Iterator[Rule]:
    s = t.truncated
    yield alert(
        t,
        "AstrBotTruncated",
        _counted(t, Outcome.TRUNCATED, s.window, s.count),
        severity="ticket",
        route=_route(Outcome.TRUNCATED),
        symptom=True,
        summary=f"AstrBot cuts answers off: {PROBE}",
        description=f"{COUNT} streams in {s.window} ended cleanly and without their `end` event.",
    )


def cert_expiry(t: Thresholds) -> Iterator[Rule]:
    c = t.cert_expiry
    for severity, days in (("page", c.page_days), ("ticket", c.ticket_days)):
        yield alert(
            t,
            "AstrBotCertExpiry",
            f"min by ({t.by('target')}) ({P}cert_expiry_timestamp_seconds) - time() < {days:g} * 86400",
            lasting=c.for_,
            severity=severity,
            route="server",
            summary=f"The TLS certificate of AstrBot {TARGET} expires soon",
            description=f"It is valid for another {DURATION} (limit: {days:g} days).",
        )


def stalled(t: Thresholds) -> Iterator[Rule]:
    s = t.stalled
    yield alert(
        t,
        "AstrBotStalled",
        _counted(t, Outcome.STALLED, s.window, s.count),
        severity="ticket",
        route=_route(Outcome.STALLED),
        symptom=True,
        summary=f"Answers stop in the middle: {PROBE}",
        description=(
            f"{COUNT} answers in {s.window} began and then brought nothing more; heartbeats may have gone on."
        ),
    )


def canary(t: Thresholds) -> Iterator[Rule]:
    s = t.canary_mismatch
    yield alert(
        t,
        "AstrBotCanaryMismatch",
        _counted(t, Outcome.CANARY_MISMATCH, s.window, s.count),
        severity="ticket",
        route=_route(Outcome.CANARY_MISMATCH),
        symptom=True,
        summary=f"AstrBot answers something else than was asked: {PROBE}",
        description=(
            f"{COUNT} answers in {s.window} lacked the nonce of their question, or a download "
            "had other bytes than the upload."
        ),
    )


def scope_leak(t: Thresholds) -> Iterator[Rule]:
    by = t.by("target", "key", "endpoint")
    leak, window = f'{P}scope_violations_total{{kind="leak"}}', t.scope_leak.window
    yield alert(
        t,
        "AstrBotScopeLeak",
        f"sum by ({by}) (increase({leak}[{window}])) > 0\n"
        # An exporter that started and found it before its first scrape: its counter never was 0.
        f"or\n  sum by ({by}) ({leak} > 0 unless last_over_time({leak}[{window}] offset {window}))",
        severity="page",
        route="security",
        summary=f"Scope leak on AstrBot {TARGET}: key {KEY} may use {{{{ $labels.endpoint }}}}",
        description=(
            f"Seen in the last {window}. The key's scopes, as configured, deny this endpoint; "
            "the server let it in."
        ),
    )


def key_rejected(t: Thresholds) -> Iterator[Rule]:
    s = t.key_rejected
    rejected = f'{P}scope_violations_total{{kind="rejected"}}'
    failed = f"{P}failures_total{{{reasons.one_of(reasons.layers()[Layer.AUTH.value])}}}"
    by_key, by_probe = t.by("target", "key"), t.by("target", "probe")
    # The same cell again, or the same probe again: one odd answer wakes nobody.
    seen = {
        "key": (f"key {KEY}", lambda window: f"max by ({by_key}) (increase({rejected}[{window}]))"),
        "probe": (
            "the key of probe {{ $labels.probe }}",
            lambda window: f"sum by ({by_probe}) (increase({failed}[{window}]))",
        ),
    }
    for about, (whose, count) in seen.items():
        yield alert(
            t,
            "AstrBotKeyRejected",
            f"{count(s.window)} {at_least(s.count)}\nand\n  {count(s.still)} > 0",
            lasting=s.for_,
            severity="page",
            route="server",
            symptom=True,
            about=about,
            summary=f"AstrBot {TARGET} rejects {whose}",
            description=(
                f"401 or 403 at least {s.count} times in {s.window} where the config says that it may. "
                "Such runs are not judged: what they watch has no known availability as long as this lasts."
            ),
        )


ALL = (down, truncated, cert_expiry, stalled, canary, scope_leak, key_rejected)
