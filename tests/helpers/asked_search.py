"""A search for the capacity in one line: `asked_search("1/s", "20/s", step_s=10.0)`."""

from astrometer.measure.capacity.search_settings import Level, search_between


def asked_search(start, maximum, **more):
    return search_between(Level.parse(start), Level.parse(maximum), **more)
