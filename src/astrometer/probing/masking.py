"""Text that may hold a key -> the same text without it. A server can echo what it was sent."""

from collections.abc import Iterable
from urllib.parse import quote

MASK = "***"
LEAST_SHOWN = 6  # characters of a key's beginning that say nothing yet


def mask(text: str, secrets: Iterable[str]) -> str:
    """Replace every secret, plain or percent-encoded, and the beginning of one at a cut end of `text`."""
    for secret in secrets:
        for form in {secret, quote(secret, safe="")}:
            text = text.replace(form, MASK)
            text = _mask_cut(text, form)
    return text


def _mask_cut(text: str, secret: str) -> str:
    """A text that was shortened before it came here may end in the middle of a secret."""
    shown = text.rstrip("…'\"")
    for length in range(len(secret) - 1, LEAST_SHOWN, -1):
        if shown.endswith(secret[:length]):
            return shown[:-length] + MASK + text[len(shown) :]
    return text
