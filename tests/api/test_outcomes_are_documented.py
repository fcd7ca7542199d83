"""The docs name every outcome: with its layer, and where it stands in a target's state."""

import re
from itertools import zip_longest
from pathlib import Path

from astrometer.api.outcome import Layer, Outcome

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"
DOC = (REFERENCE / "outcomes.md").read_text("utf-8")
STATES = (
    (REFERENCE / "alerting.md").read_text("utf-8").partition("\n## State by layer\n")[2].partition("\n## ")[0]
)
DEADLINES = {Outcome.TIMEOUT_FIRST_TOKEN, Outcome.STALLED, Outcome.TIMEOUT_TOTAL}  # "every deadline"


def test_the_table_is_the_list():
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \|", DOC, flags=re.MULTILINE)
    meant = [(outcome.value, outcome.layer.value) for outcome in Outcome]
    differs = next((pair for pair in zip_longest(rows, meant) if pair[0] != pair[1]), None)
    assert differs is None, (
        "docs/reference/outcomes.md: the first row that differs, and what `Outcome` has there"
    )


def test_the_row_of_its_layer_in_the_state_names_every_outcome():
    rows = {
        row[0].lower(): row[1] for row in re.findall(r"^\| (\w+) \| (.*) \|$", STATES, flags=re.MULTILINE)
    }
    row_of = {Layer.SERVER: "astrbot", Layer.CLIENT: "astrbot", Layer.UPSTREAM: "model", Layer.AUTH: "key"}
    named = [
        outcome
        for outcome in set(Outcome) - DEADLINES
        if outcome is Outcome.CLIENT_ERROR or outcome.layer not in (Layer.NONE, Layer.CLIENT)
    ]
    found = {outcome: rows[row_of.get(outcome.layer, outcome.layer.value)] for outcome in named}
    missing = [outcome.value for outcome, row in found.items() if f"`{outcome.value}`" not in row]
    assert missing == [], 'docs/reference/alerting.md, "State by layer"'
