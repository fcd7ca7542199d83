"""The results of a run -> the last word in Locust's log, and Locust's exit code."""

import logging
from collections.abc import Mapping
from typing import Any

from astrometer import exit_codes
from astrometer.measure.slo.run_verdict import StopReason

log = logging.getLogger(__name__)


def exit_code(measured: Mapping[str, Any]) -> int | None:
    """As `astrometer load` exits. A run that was not judged keeps Locust's own code: None."""
    if (measured["stopped"] or {}).get("by") == StopReason.INTERRUPTED:
        return exit_codes.INTERRUPTED
    verdict = measured["verdict"]
    return None if verdict == "NONE" else exit_codes.BY_VERDICT[verdict]


def announce(measured: Mapping[str, Any]) -> None:
    """Say the verdict, and what it comes from, where no report is at hand."""
    verdict = measured["verdict"]
    if verdict == "NONE":
        return
    why = [cause["sentence"] for cause in measured["causes"]] or [
        item["text"] for item in measured["objectives"] if item["verdict"] == verdict
    ]
    if verdict == "FAIL" and not why:
        why = ["no exchange succeeded"]
    level = logging.INFO if verdict == "PASS" else logging.WARNING
    log.log(level, "verdict %s%s%s", verdict, ": " if why else "", "; ".join(why))
