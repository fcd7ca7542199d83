"""What is wrong with an AstrBot: its server, the model behind it, its keys."""

from collections.abc import Iterator

from astrometer.api.outcome import Layer, Outcome
from astrometer.probing.verdict import ProbeReason
from rulebook import reasons
from rulebook.alert import COUNT, DURATION, PROBE, TARGET, Rule, alert, at_least
from rulebook.recording import DOWN_AT, P
from rulebook.thresholds import Thresholds

KEY = "{{ $labels.key }}"


def down(t: Thresholds) -> Iterator[Rule]:
    yield alert(
        t,
        "AstrBotDown",
        f"group by ({t.by('target')}) ({DOWN_AT})",
        lasting=t.down.for_,
        kept=t.down.keep_firing_for,
        severity="page",
        route="server",
        summary=f"AstrBot {TARGET} is down",
        description=(
            "Network or AstrBot fails, by three runs of a probe, and nothing has got through since. "
            f"Why: {_reasons(('network', 'astrbot'))}."
        ),
    )


def partly_down(t: Thresholds) -> Iterator[Rule]:
    yield alert(
        t,
        "AstrBotPartlyDown",
        f'group by ({t.by("target")}) ({P}target_state{{state="partly_down"}} == 1)',
        lasting=t.partly_down.for_,
        kept=t.partly_down.keep_firing_for,
        severity="ticket",
        route="server",
        symptom=True,
        summary=f"AstrBot {TARGET} fails for some probes",
        description=(
            "Network or AstrBot fails, by three runs of a probe, while other runs get through. "
            f"Why: {_reasons(('network', 'astrbot'))}."
        ),
    )


def _reasons(layers: tuple[str, ...]) -> str:
    """The reasons of failing layers, as a template."""
    since = f"{P}state_since_timestamp_seconds{{target='%s',layer=~'{'|'.join(layers)}',reason!='ok'}}"
    failing = f"{P}state{{state='failing'}} == 1"
    query = f"group by (reason) ({since} and on (instance, layer, target) {failing})"
    return f'{{{{ range printf "{query}" .Labels.target | query }}}}{{{{ .Labels.reason }}}} {{{{ end }}}}'


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


def not_restarted(t: Thresholds) -> Iterator[Rule]:
    yield alert(
        t,
        "AstrBotNotRestarted",
        f"max by ({t.by('target')}) ({P}target_outdated) == 1",
        lasting=t.not_restarted.for_,
        severity="ticket",
        route="server",
        summary=f"AstrBot {TARGET} was updated and not restarted",
        description="The code on its disk is another version than the one that runs.",
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
    failing = f'{P}state{{layer="key",state="failing"}} == 1'
    leaking = f'{P}state_since_timestamp_seconds{{layer="key",reason="{ProbeReason.LEAK}"}}'
    each = t.by("instance", "target")
    violations = f"{P}scope_violations_total{{target='%s',kind='rejected'}}"
    keys = f"sum by (key) (increase({violations}[{t.key_rejected.window}])) > 0"
    yield alert(
        t,
        "AstrBotKeyRejected",
        f"group by ({t.by('target')}) ({failing} unless on ({each}) {leaking})",
        lasting=t.key_rejected.for_,
        kept=t.key_rejected.keep_firing_for,
        severity="page",
        route="server",
        summary=f"AstrBot {TARGET} rejects a key",
        description=(
            "401 or 403, in three runs of a probe, where the config says that the key may. Known keys: "
            f'{{{{ range printf "{keys}" .Labels.target | query }}}}{{{{ .Labels.key }}}} '
            "{{ else }}the config states no scopes {{ end }}. "
            "Such runs are not judged: what they watch has no known availability as long as this lasts."
        ),
    )


ALL = (down, partly_down, not_restarted, truncated, cert_expiry, stalled, canary, scope_leak, key_rejected)
