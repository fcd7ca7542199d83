"""What a results file says beside its tables, in the order in which every report says it."""

from collections.abc import Mapping
from typing import Any

from astrometer.report import uploads_view, view
from astrometer.report.bug_lines import bug_lines
from astrometer.report.certainty import certainty_lines
from astrometer.report.messenger_lines import messenger_lines
from astrometer.report.network_lines import network_lines
from astrometer.report.odd_stream_lines import odd_stream_lines
from astrometer.report.provider_limit_lines import provider_limit_lines
from astrometer.report.server_lines import server_lines
from astrometer.report.worst_lines import worst_lines

_OF_THE_ANSWER = (bug_lines, provider_limit_lines)  # also of a search
_OF_TIMES = (
    *_OF_THE_ANSWER,
    messenger_lines,
    certainty_lines,
    worst_lines,
    view.stall_lines,
    odd_stream_lines,
    network_lines,
    view.uncounted_lines,
)
# Where a report has no other place for them.
_OF_THE_REST = (
    uploads_view.lines,
    view.im_lines,
    server_lines,
    view.trust_lines,
    view.error_lines,
)


def answer_notes(results: Mapping[str, Any]) -> list[str]:
    """On what the figures stand for, which a search needs as well."""
    return [line for lines in _OF_THE_ANSWER for line in lines(results)]


def time_notes(results: Mapping[str, Any]) -> list[str]:
    """On the times: what percentiles do not say."""
    return [line for lines in _OF_TIMES for line in lines(results)]


def notes(results: Mapping[str, Any]) -> list[str]:
    """All of it."""
    return [*time_notes(results), *(line for lines in _OF_THE_REST for line in lines(results))]
