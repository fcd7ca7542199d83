"""A name that is not known -> the end of an error's sentence: what was probably meant."""

import difflib
from collections.abc import Collection


def did_you_mean(name: str, known: Collection[str]) -> str:
    """What was probably meant, or else what there is."""
    return probably(name, known) or (f" (there are: {', '.join(known)})" if known else "")


def probably(name: str, known: Collection[str]) -> str:
    """What was probably meant; empty where nothing is close. For a sentence that lists what there is."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f' (did you mean "{close[0]}"?)' if close else ""
