"""docs/reference/records.md and the names of a record: nothing undocumented, nothing invented."""

import re
from pathlib import Path

from astrometer.api.metric_table import METRICS
from astrometer.measure.records.exchange_row import COLUMNS

DOC = (Path(__file__).parents[3] / "docs" / "reference" / "records.md").read_text("utf-8")


def test_every_name_of_a_record_has_a_row_or_is_that_of_a_metric():
    rows = re.findall(r"^\| (`.+?) \|", DOC, flags=re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    of_metrics = {f"{metric}{end}" for metric in METRICS for end in ("_s", "_low_s", "_high_s")}
    assert named == COLUMNS.keys() - of_metrics
