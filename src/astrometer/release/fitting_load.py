"""The warm-up of both sides -> arrivals per second, and blocks, that fit this machine.

A fixed rate would saturate a slow machine, where two queues would be compared, and tell little on a fast one.
The rate depends on the CPU of the servers, never on their answers. A block is as long as a p95 needs.
"""

from collections.abc import Sequence
from typing import Any

WARM_UP_PER_S = 1.0
BUSY = 0.4  # of a core: AstrBot runs on one; the slower side waits for little else
FEWEST_PER_S, MOST_PER_S = 0.2, 10.0
SHORTEST_BLOCK_S = 20.0
LONGEST_BLOCK_S = 50.0  # so that a server that died in one is told within a minute
ARRIVALS = 30  # of a block: one in ten is not streamed, and a p95 needs 20


def fitting_rate(warm_ups: Sequence[dict[str, Any]]) -> float | None:
    """From results under `WARM_UP_PER_S`, with two digits; None where the CPU of no server is known."""
    shares = [run["server"]["cpu_share"] for run in warm_ups if run["server"] is not None]
    known = [share for share in shares if share]
    if not known:
        return None
    return float(f"{min(MOST_PER_S, max(FEWEST_PER_S, WARM_UP_PER_S * BUSY / max(known))):.2g}")


def fitting_block_s(per_s: float, excluded_s: float) -> float:
    """Whole seconds. `excluded_s`: of its begin, which do not count."""
    return float(round(min(LONGEST_BLOCK_S, max(SHORTEST_BLOCK_S, excluded_s + ARRIVALS / per_s))))
