"""`python -m astrometer`: the same as `astrometer`, and like it without the working directory on the path."""

import sys
from pathlib import Path

# `python -m` puts it first: a `click.py` that lies there would run.
if not sys.flags.safe_path and str(Path(__file__).parent.parent) != sys.path[0]:
    del sys.path[0]

from astrometer.cli import main

main(prog_name="astrometer")
