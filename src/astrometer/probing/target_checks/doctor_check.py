"""One answer of the doctor: ok, warn or fail, with one line and a cure. Values only."""

from dataclasses import dataclass
from enum import StrEnum

from astrometer.api.outcome import Outcome
from astrometer.probing.verdict import UNREACHABLE


class CheckState(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True, kw_only=True)
class DoctorCheck:
    """One answer of the doctor. `cure` is empty when there is nothing to do."""

    name: str
    state: CheckState
    line: str
    cure: str = ""
    outcome: Outcome | None = None

    @property
    def unreachable(self) -> bool:
        return self.outcome in UNREACHABLE
