"""`python -m astrometer`: the same as `astrometer`."""

from astrometer.cli import main

main(prog_name="astrometer")
