"""Locust's statistics in a run of days: each row counts by the second, for ever, and reads the last 12."""

from typing import Any

import gevent

KEPT_S = 60
EVERY_S = 30.0


def prune(stats: Any) -> None:
    """Forget the seconds that no rate is computed from any more. Totals and percentiles do not need them."""
    if stats.last_request_timestamp is None:
        return
    oldest = int(stats.last_request_timestamp) - KEPT_S
    for row in (stats.total, *stats.entries.values()):
        for by_second in (row.num_reqs_per_sec, row.num_fail_per_sec):
            for second in [second for second in by_second if second < oldest]:
                del by_second[second]


def keep_pruned(environment: Any) -> None:
    """From now on. `--json` and `--json-file` print every second, and so need them all."""
    options = environment.parsed_options
    if not options.json and not options.json_file:
        gevent.spawn(_prune_for_ever, environment)


def _prune_for_ever(environment: Any) -> None:
    while True:
        gevent.sleep(EVERY_S)
        prune(environment.stats)
