"""The warm-up of both sides -> arrivals per second that leave both servers room, on this machine.

A fixed rate would saturate a slow machine, where two queues are compared, and say little on a fast one.
The rate is chosen by the CPU of the servers, never by their answers.
"""

from collections.abc import Sequence
from typing import Any

WARM_UP_PER_S = 1.0
BUSY = 0.4  # of a core: AstrBot runs on one; the slower side waits for little else
FEWEST_PER_S, MOST_PER_S = 0.2, 10.0


def fitting_rate(warm_ups: Sequence[dict[str, Any]]) -> float | None:
    """From results under `WARM_UP_PER_S`, with two digits; None where the CPU of no server is known."""
    shares = [run["server"]["cpu_share"] for run in warm_ups if run["server"] is not None]
    known = [share for share in shares if share]
    if not known:
        return None
    return float(f"{min(MOST_PER_S, max(FEWEST_PER_S, WARM_UP_PER_S * BUSY / max(known))):.2g}")
