"""The directory of a release test that ended -> its pairs of blocks, to continue it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from astrometer.compare.comparable import ComparedRun
from astrometer.compare.output import compare_json
from astrometer.measure.results import document
from astrometer.release.release_plan import ReleasePlan, Role


class EarlierError(ValueError):
    """It cannot be continued; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierBlocks:
    """`pairs` that count; `last`: the highest number of any block; `continued`: how often it was before.

    `rate_per_s`: the arrivals of their blocks, in the open model; `block_s`: how long each was.
    """

    pairs: tuple[Mapping[Role, ComparedRun], ...] = ()
    last: int = 0
    elapsed_s: float = 0.0
    continued: int = 0
    rate_per_s: float | None = None
    block_s: float | None = None


NONE = EarlierBlocks()


def earlier_blocks(plan: ReleasePlan) -> EarlierBlocks:
    """In the directory of the plan, under its load. Raises EarlierError, ResultsError."""
    out = plan.out
    measured = [_numbers(out / role, document.FILE_NAME) for role in Role]
    both = sorted(set.intersection(*measured))
    try:
        sequence = json.loads((out / compare_json.FILE_NAME).read_text("utf-8"))["sequence"]
        elapsed_s, continued = float(sequence["elapsed_s"]), int(sequence["continued"])
    except (OSError, ValueError, LookupError, TypeError) as exc:
        raise EarlierError(f"{out}: no {compare_json.FILE_NAME} of a release test ({exc})") from exc
    if not both:
        raise EarlierError(f"{out}: no pair of blocks in it")
    pairs = [
        {
            role: ComparedRun(name=f"{role} {number}", results=document.read(out / role / str(number)))
            for role in Role
        }
        for number in both
    ]
    for run in (run for pair in pairs for run in pair.values()):
        _check_load(plan, run)
    return EarlierBlocks(
        pairs=tuple(pairs),
        last=max(set.union(*(_numbers(out / part) for part in (*Role, "invalid")))),
        elapsed_s=elapsed_s,
        continued=continued + 1,
        block_s=_block_s(pairs[0][Role.BASELINE].results),
        rate_per_s=(pairs[0][Role.BASELINE].results["arrivals"] or {}).get("rate_per_s"),
    )


def _check_load(plan: ReleasePlan, run: ComparedRun) -> None:
    """As far as the plan tells; comparing tells the rest. Raises EarlierError."""
    results = run.results
    is_closed = results["arrivals"] is None and results["profile"] is None
    facts = {
        "scenario": (results["scenario"], plan.load.locustfile.stem),
        "users": (results["users"], plan.load.users if is_closed else results["users"]),
    }
    if results["arrivals"] is not None:
        facts["arrivals"] = (results["arrivals"]["process"], plan.load.settings.arrivals.value)
    if not plan.fits_block:
        facts["seconds a block"] = (round(_block_s(results), -1), round(plan.block_s, -1))
    for what, (earlier, wanted) in facts.items():
        if earlier != wanted:
            told = f"{run.name} in {plan.out} has {what}: {earlier}, not {wanted}"
            raise EarlierError(f"{told}; use the options of before")


def _block_s(results: Mapping[str, Any]) -> float:
    window = results["window"]
    return float(round(window["duration_s"] + window["excluded_s"]))


def _numbers(folder: Path, file: str = "") -> set[int]:
    """Of its blocks that have the file: `7`, or `baseline-7` of those that do not count."""
    names = [path.name.rpartition("-")[2] for path in folder.glob("*") if (path / file).exists()]
    return {int(name) for name in names if name.isdigit()}
