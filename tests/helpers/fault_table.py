"""The fault table as data: what goes wrong, and the one reason that a chat probe must give for it.

`docs/reference/faults.md` shows the same table, and a test compares the two.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One row. `act` is what happens to the server; without one the model does what `message` says."""

    name: str
    reason: str
    message: str = "hi"
    act: str = ""
    in_flight: bool = False  # strikes while the answer streams
    limits: Mapping[str, float] = field(default_factory=dict)
    slow_after_s: float = 0.0
    simulated: bool = True
    quick: bool = False  # also in the ordinary test run, on a real AstrBot


LONG = "[[ttft=0.1 gap=0.2 tokens=60]]"

FAULTS = (
    Fault(name="model answers 401", reason="llm_error", message="[[fail=401]]", quick=True),
    Fault(name="model answers 429", reason="llm_error", message="[[fail=429]]"),
    Fault(name="model answers 500", reason="llm_error", message="[[fail=500]]"),
    Fault(name="model refuses the connection", reason="llm_error", message="[[fail=refuse]]"),
    Fault(name="model is slow", reason="slow", message="[[ttft=2]]", slow_after_s=1.0),
    Fault(
        name="model never starts",
        reason="timeout_first_token",
        message="[[stall=0]]",
        limits={"first_token_s": 2.5},
        quick=True,
    ),
    Fault(
        name="model stalls in mid-answer",
        reason="stalled",
        message="[[stall=3]]",
        limits={"idle_s": 2.5},
    ),
    Fault(
        name="model is cut off in mid-answer",
        reason="llm_error",
        message="[[canary=last tokens=10 drop=5]]",
    ),
    Fault(name="model answers nothing", reason="llm_error", message="[[fail=empty]]"),
    Fault(name="model answers garbage", reason="llm_error", message="[[fail=garbage]]"),
    Fault(name="model answers something else", reason="canary_mismatch", message="[[canary=wrong]]"),
    Fault(name="server stopped", reason="connect", act="stop"),
    Fault(
        name="host swallows connections",
        reason="timeout_connect",
        act="black_hole",
        limits={"first_token_s": 1},
        quick=True,
    ),
    Fault(
        name="server frozen (SIGSTOP)",
        reason="timeout_first_token",
        act="freeze",
        limits={"first_token_s": 3, "total_s": 15, "cleanup_s": 3},
        simulated=False,
    ),
    Fault(
        name="server killed in mid-answer",
        reason="reset",
        act="kill",
        message=LONG,
        in_flight=True,
        quick=True,
    ),
    Fault(
        name="server restarted in mid-answer",
        reason="reset",
        act="restart",
        message=LONG,
        in_flight=True,
        simulated=False,
    ),
    Fault(name="disk full", reason="server_error", act="fill_disk", simulated=False),
    Fault(
        name="event loop blocked",
        reason="timeout_first_token",
        act="block",
        limits={"first_token_s": 2, "total_s": 15, "cleanup_s": 3},
    ),
    Fault(name="key expired", reason="unauthorized", act="expire"),
    Fault(name="key revoked", reason="unauthorized", act="revoke", quick=True),
    Fault(name="scope removed", reason="forbidden", act="remove_scope"),
)
