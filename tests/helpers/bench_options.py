"""Commands of bench/ on stdin -> what each bench's own parser says of them, on stdout.

In: [[file, [word, ...]], ...]. Out, for each: {"complaint": text or null, "modes": [words that choose one]}.
A bench runs as it is typed until it asks for its options. This is a process of its own: Locust patches it.
"""

import argparse
import json
import runpy
import sys
from functools import cache
from pathlib import Path

BENCH = Path(__file__).parents[2] / "bench"


class Asked(BaseException):
    """Ends a bench that asks its parser; nothing of it may catch this."""


class Refused(Exception):
    """The text says why."""


def ask(parser):
    raise Asked(parser)


def refuse(_parser, message):
    raise Refused(message)


@cache
def parser_of(file):
    try:
        runpy.run_path(str(BENCH / file), run_name="__main__")
    except Asked as asked:
        return asked.args[0]
    raise LookupError(f"{file} did not ask for its options")


def said(file, words):
    parser = parser_of(file)
    modes = [mode for action in parser._get_positional_actions() for mode in action.choices or ()]
    try:
        _, unknown = parser.parse_known_args(words)
    except Refused as exc:
        return {"complaint": str(exc), "modes": modes}
    return {"complaint": f"unknown: {' '.join(unknown)}" if unknown else None, "modes": modes}


if __name__ == "__main__":
    sys.path.insert(0, str(BENCH))
    argparse.ArgumentParser.parse_args = ask
    argparse.ArgumentParser.error = refuse
    json.dump([said(file, words) for file, words in json.load(sys.stdin)], sys.stdout)
