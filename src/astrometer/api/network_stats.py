"""What the kernel says of an exchange's connection, as its transport hands it over at the end. Data."""

from collections.abc import Mapping
from typing import NamedTuple

# The TTFT of answers that a lost segment may have delayed: kept beside `ttft`, and told as a count.
LOSSY_TTFT = "ttft_lossy"


class NetworkStats(NamedTuple):
    """Of one exchange. None: this system does not tell. See `wire.tcp_info` for what each of it is."""

    rtt_s: float | None = None
    retransmits: int | None = None
    out_of_order: int | None = None
    full_reads: int = 0  # that found a whole block waiting, so this side's window may have been shut

    @property
    def is_lossy(self) -> bool:
        """A segment of the question had to go again, or one of the answer came after a gap."""
        return bool(self.retransmits or self.out_of_order)

    def signs(self) -> tuple[str, ...]:
        if self.retransmits is None:
            return ("full_reads",) if self.full_reads else ()
        if not (self.is_lossy or self.full_reads):
            return ("exchanges",)
        found = {
            "exchanges": True,
            "retransmitted": self.retransmits,
            "out_of_order": self.out_of_order,
            "lossy": self.is_lossy,
            "full_reads": self.full_reads,
        }
        return tuple(name for name, is_so in found.items() if is_so)

    def metrics(self) -> Mapping[str, tuple[float, ...]]:
        return {} if self.rtt_s is None else {"network_rtt": (self.rtt_s,)}

    def after(self, earlier: "NetworkStats") -> "NetworkStats":
        """Of both connections, when a request went out again on this one."""
        return NetworkStats(
            rtt_s=self.rtt_s,
            retransmits=_sum(earlier.retransmits, self.retransmits),
            out_of_order=_sum(earlier.out_of_order, self.out_of_order),
            full_reads=earlier.full_reads + self.full_reads,
        )


NO_NETWORK_STATS = NetworkStats()


def _sum(earlier: int | None, later: int | None) -> int | None:
    return later if earlier is None else earlier + (later or 0)
