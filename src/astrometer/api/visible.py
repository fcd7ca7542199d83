"""Text -> whether a reader sees anything of it. Pure.

Nothing is seen of white space, of control and format characters (a zero-width space, a byte order mark), of
fillers and variation selectors. Combining marks, private and unassigned characters count as seen: they may be
letters of a font, or an emoji that is newer than this Python.
"""

import re
import unicodedata

_INVISIBLE_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp", "Zs"})
# Invisible, though Unicode calls them letters, marks or symbols: fillers, joiners, variation selectors, and
# the pattern of Braille without a dot.
_INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
# Format characters with a shape: the signs that Arabic, Syriac and Kaithi write around numbers and verses.
_SHOWN = re.compile("[\u0600-\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd]")


def is_visible(text: str) -> bool:
    """Whether `text` has a character that is seen."""
    if text[:1].isalnum() and text[0] < "\u0300":  # most pieces of an answer
        return True
    return any(_is_seen(character) for character in text)


def _is_seen(character: str) -> bool:
    if unicodedata.category(character) in _INVISIBLE_CATEGORIES:
        return _SHOWN.match(character) is not None
    return _INVISIBLE.match(character) is None
