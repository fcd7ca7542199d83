"""Where a whole process stands still in mid-load: twice in Locust 2.47, and in Python's garbage collection.

What stands still measures nothing: every running stream gets a gap that was not the server's, and every
arrival that is due meanwhile starts late.
"""

import gc
import inspect
from typing import Any

from locust import argument_parser


def know_own_options() -> None:
    """For workers: Locust builds its parser anew for every option of every message "spawn".

    4 ms, 130 times: half a second at each step of a ramp or of a profile. The answer never changes.
    """
    known: dict[str, Any] = argument_parser.default_args_dict()
    argument_parser.default_args_dict = lambda: known


def know_own_sources() -> None:
    """Locust asks for the whole stack when it stops, for a line of its debug log.

    The first time that takes 60 ms and more, since `inspect` looks up the file of every module there is;
    later ones take half a millisecond.
    """
    inspect.stack()


def collect_rarely() -> None:
    """For a process that is about to load: what the imports left is never looked through again.

    That would be a pause of 30 ms at each full collection. What a load makes is freed without the collector
    but for rare cycles, so the young are looked at after 50,000 of them, not 700: a tenth of the CPU time of
    1,000 streams.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
