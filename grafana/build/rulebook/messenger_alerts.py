"""What users of a messenger suffer while the HTTP API may be well: no reply, a wrong one, no link at all.

Silent only while the server is down: then its messenger is, too, and AstrBotDown says so.
"""

from collections.abc import Iterator

from rulebook import reasons
from rulebook.alert import COUNT, PROBE, TARGET, Rule, alert, at_least
from rulebook.recording import ASKS_IN_MESSENGER, ASKS_THE_MODEL, TELLING, P, ended
from rulebook.thresholds import AlertTable, Thresholds

REPLIES = reasons.one_of(reasons.replies())
LINK = reasons.one_of(reasons.link())
LOST_LINK = reasons.one_of(["lost_link"])


def _failing(t: Thresholds, s: AlertTable, matcher: str, whose: str) -> str:
    """Probes that failed so `s.count` times, the last time among them. `whose`: `and` or `unless`."""
    place, each = t.by("target", "probe"), t.by("instance", "target", "probe")
    on = f"on ({each})"
    failed = f"sum by ({each}) (increase({P}failures_total{{{matcher}}}[{s.window}]))"
    return (
        f"max by ({place}) (\n  {failed} {at_least(s.count)}\n"
        f"  and {on} {ended(matcher)}\n  and {on} {TELLING}\n  {whose} {on} {ASKS_IN_MESSENGER}\n)"
    )


def silent(t: Thresholds) -> Iterator[Rule]:
    s, target = t.messenger_silent, t.by("target")
    on = f"on ({t.by('instance', 'target', 'probe')})"
    asked = _failing(t, s, REPLIES, "and")
    model_fails = (
        f"({ended(reasons.one_of(reasons.side('llm')))} and {on} {ASKS_THE_MODEL} and {on} {TELLING})"
    )
    said = (
        f"{COUNT} questions in {s.window} got no reply in the messenger, or a wrong one, the last one "
        "among them."
    )
    yield alert(
        t,
        "AstrBotMessengerSilent",
        f"{asked}\nunless on ({target})\n  {model_fails}",
        lasting=s.for_,
        kept=s.keep_firing_for,
        severity="page",
        route="server",
        symptom=True,
        about="messenger",
        summary=f"AstrBot does not answer in the messenger: {PROBE}",
        description=f"{said} No chat over HTTP says that the model fails: look at AstrBot first.",
    )
    yield alert(
        t,
        "AstrBotMessengerSilent",
        f"{asked}\nand on ({target})\n  {model_fails}",
        lasting=s.for_,
        kept=s.keep_firing_for,
        severity="ticket",
        route="upstream",
        symptom=True,
        about="model",
        summary=f"AstrBot does not answer in the messenger, and its model fails: {PROBE}",
        description=f"{said} The model fails a chat over HTTP, too: look at the model first.",
    )


def link_down(t: Thresholds) -> Iterator[Rule]:
    s = t.messenger_link_down
    yield alert(
        t,
        "AstrBotMessengerLinkDown",
        _failing(t, s, LOST_LINK, "unless"),
        lasting=s.for_,
        kept=s.keep_firing_for,
        severity="page",
        route="server",
        symptom=True,
        about="adapter",
        summary=f"No messenger is connected to AstrBot {TARGET}",
        description=(
            f"{COUNT} link checks of {PROBE} in {s.window} found an adapter without a messenger, the last "
            "one among them: nobody there is answered."
        ),
    )
    yield alert(
        t,
        "AstrBotMessengerLinkDown",
        _failing(t, s, LINK, "and"),
        lasting=s.for_,
        kept=s.keep_firing_for,
        severity="page",
        route="server",
        symptom=True,
        about="probe",
        summary=f"The probe's messenger adapter on AstrBot {TARGET} cannot be reached",
        description=(
            f"{COUNT} runs of {PROBE} in {s.window} got no link to its adapter, or lost it, the last one "
            "among them: nobody knows whether users in a messenger are answered."
        ),
    )


ALL = (silent, link_down)
