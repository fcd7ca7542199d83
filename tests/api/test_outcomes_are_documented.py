"""docs/reference/outcomes.md names every outcome with its layer, and no other."""

import re
from pathlib import Path

from astrometer.api.outcome import Outcome

DOC = (Path(__file__).parents[2] / "docs" / "reference" / "outcomes.md").read_text("utf-8")


def test_the_table_is_the_list():
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \|", DOC, flags=re.MULTILINE)
    assert rows == [(outcome.value, outcome.layer.value) for outcome in Outcome]
