"""Text that may hold a key -> the same text without it. A server can echo what it was sent."""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from urllib.parse import quote

MASK = "***"
# An argument of this name holds a secret, unless it names the file or the variable that does.
_TELLING = re.compile(r"(?i)^-.*(key|token|secret|passw|auth|cookie|credential)")
_HARMLESS = re.compile(r"(?i)(file|path|env|cert|timeout|budget|tokens|first-token)")
_USERINFO = re.compile(r"(?<=://)[^/\s@]+@")
LEAST_SHOWN = 6  # characters of a key's beginning that say nothing yet


def mask(text: str, secrets: Iterable[str]) -> str:
    """Replace every secret, plain or percent-encoded, and the beginning of one at a cut end of `text`."""
    for secret in secrets:
        for form in _forms(secret):
            text = text.replace(form, MASK)
            text = _mask_cut(text, form)
    return text


@lru_cache
def _forms(secret: str) -> frozenset[str]:
    return frozenset({secret, quote(secret, safe="")})


def _mask_cut(text: str, secret: str) -> str:
    """A text that was shortened before it came here may end in the middle of a secret."""
    shown = text.rstrip("…'\"")
    if shown[-1:] not in secret:  # nearly always
        return text
    for length in range(len(secret) - 1, LEAST_SHOWN, -1):
        if shown.endswith(secret[:length]):
            return shown[:-length] + MASK + text[len(shown) :]
    return text


def mask_command(arguments: Sequence[str], secrets: Iterable[str] = ()) -> list[str]:
    """A command line that may be shown: no key, nothing after a flag such as --password, no user in a URL."""
    known = [secret for secret in secrets if secret]
    masked: list[str] = []
    hide_next = False
    for argument in arguments:
        flag, equals, _ = argument.partition("=")
        tells = _TELLING.match(flag) is not None and _HARMLESS.search(flag) is None
        if hide_next and not argument.startswith("--"):
            masked.append(MASK)
        elif tells and equals:
            masked.append(f"{flag}={MASK}")
        else:
            masked.append(_USERINFO.sub(f"{MASK}@", mask(argument, known)))
        hide_next = tells and not equals
    return masked
