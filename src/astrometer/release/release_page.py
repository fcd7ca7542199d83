"""Pairs of measured blocks -> what every report on them says: conditions, objectives, the verdict."""

from collections.abc import Mapping
from typing import Any

from astrometer.compare.gates import evaluate_gates
from astrometer.compare.output.compare_view import ConditionView, Page, page
from astrometer.release.block_sequence import BlockSequence
from astrometer.report import formatting
from astrometer.report.view import run_view


def judged(blocks: BlockSequence) -> Page:
    """A condition on a scenario that did not run is undecided. Needs a pair."""
    compared = blocks.compared()
    checks = [_objective_check(item, blocks.pairs) for item in blocks.objectives()]
    gates = evaluate_gates(blocks.plan.gates, compared)
    return page(compared, gates, checks=checks, sequence=blocks.state(compared))


def _objective_check(item: Mapping[str, Any], pairs: int) -> ConditionView:
    """The candidate has to meet it in all blocks together."""
    shown = run_view.judged(item)
    return ConditionView(
        text=f"candidate: {shown.text}",
        verdict=shown.verdict if shown.verdict in {"PASS", "FAIL"} else "UNDECIDED",
        why=f"{shown.value} (n {shown.n}) in {formatting.plural(pairs, 'block')}",
    )
