"""What a results file says beside its tables, in the order in which every report says it."""

from collections.abc import Mapping
from typing import Any

from astrometer.report.view import run_view, time_lines, uploads_view
from astrometer.report.view.astrbot_lines import bug_lines, provider_limit_lines
from astrometer.report.view.messenger_lines import im_lines, messenger_lines
from astrometer.report.view.server_lines import server_lines

_OF_THE_ANSWER = (bug_lines, provider_limit_lines)  # also of a search
_OF_TIMES = (
    *_OF_THE_ANSWER,
    messenger_lines,
    time_lines.certainty_lines,
    time_lines.worst_lines,
    time_lines.stall_lines,
    time_lines.odd_stream_lines,
    time_lines.network_lines,
    time_lines.uncounted_lines,
)
# Where a report has no other place for them.
_OF_THE_REST = (
    uploads_view.lines,
    im_lines,
    server_lines,
    run_view.trust_lines,
    run_view.steadiness_lines,
    run_view.record_lines,
    run_view.error_lines,
)


def answer_notes(results: Mapping[str, Any]) -> list[str]:
    """On what the figures stand for, which a search needs as well."""
    return [line for lines in _OF_THE_ANSWER for line in lines(results)]


def time_notes(results: Mapping[str, Any]) -> list[str]:
    """On the times: what percentiles do not say."""
    return [line for lines in _OF_TIMES for line in lines(results)]


def notes(results: Mapping[str, Any]) -> list[str]:
    return [*time_notes(results), *(line for lines in _OF_THE_REST for line in lines(results))]
