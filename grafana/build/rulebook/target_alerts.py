"""What is wrong with an AstrBot: its server, the model behind it, its keys."""

from collections.abc import Iterator

from astrometer.api.outcome import Layer, Outcome
from rulebook import reasons
from rulebook.alert import COUNT, DURATION, PROBE, TARGET, Rule, alert, at_least
from rulebook.recording import (
    ASKS_IN_MESSENGER,
    DOWN_AT,
    MOST_FREQUENT,
    SIDE_COUNTER,
    SILENCES,
    P,
    ended,
    unanswered,
)
from rulebook.thresholds import Thresholds

KEY = "{{ $labels.key }}"


def down(t: Thresholds) -> Iterator[Rule]:
    target, on = t.by("target"), f"on ({t.by('instance', 'target', 'probe')})"
    window = t.down.window
    failures = f'increase({SIDE_COUNTER}{{side="server"}}[{window}])'
    silences = unanswered(t, f"increase({P}failures_total{{{SILENCES}}}[{window}])")
    # All three parts are about the same probes: their last runs, and how often they failed. A run that ends
    # with a rejected key is an answer of the server.
    yield alert(
        t,
        "AstrBotDown",
        f"group by ({target}) ({DOWN_AT})\n"
        f"and on ({target}) (\n  sum by ({target}) (\n"
        f"      ({failures} or ({silences}))\n    and {on}\n      {MOST_FREQUENT}\n"
        f"  ) {at_least(t.guard.min_failures)}\n)",
        lasting=t.down.for_,
        severity="page",
        route="server",
        summary=f"AstrBot {TARGET} is down",
        description=(
            "Every one of its most frequent probes failed on the server's side in its last run, and they "
            f"did so {t.guard.min_failures} or more times in {window}."
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
    auth = reasons.one_of(reasons.layers()[Layer.AUTH.value])
    place, by_key, by_probe = (
        t.by("instance", "target", "probe"),
        t.by("target", "key"),
        t.by("target", "probe"),
    )
    # The same cell again, or the same probe again: one odd answer wakes nobody.
    count = (
        f"sum by ({place}) (increase({P}failures_total{{{auth}}}[{s.probe_window}]))"
        f" unless on ({place}) {ASKS_IN_MESSENGER}"  # which has a token of an adapter, and no key
    )
    by_cell = (
        f"max by ({by_key}) (\n  increase({rejected}[{s.window}]) {at_least(s.count)}\n"
        f"  and increase({rejected}[{s.still}]) > 0\n)"
    )
    by_last_run = (
        f"max by ({by_probe}) (\n  ({count}) {at_least(s.count)}\n  and on ({place}) {ended(auth)}\n)"
    )
    seen = {
        "key": (f"key {KEY}", s.window, by_cell),
        "probe": ("the key of probe {{ $labels.probe }}", s.probe_window, by_last_run),
    }
    for about, (whose, window, expr) in seen.items():
        yield alert(
            t,
            "AstrBotKeyRejected",
            expr,
            lasting=s.for_,
            severity="page",
            route="server",
            about=about,
            summary=f"AstrBot {TARGET} rejects {whose}",
            description=(
                f"401 or 403 at least {s.count} times in {window} where the config says that it may. "
                "Such runs are not judged: what they watch has no known availability as long as this lasts."
            ),
        )


ALL = (down, truncated, cert_expiry, stalled, canary, scope_leak, key_rejected)
