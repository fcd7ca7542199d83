"""Workloads of a known shape."""

from astrometer.load.workload.spread import Spread
from astrometer.load.workload.workload_file import BusiestHour, ByHour, Workload
from astrometer.measure.results.run_info import BusiestHourLoad

BUSIEST = BusiestHourLoad(
    turns_per_s=2.0, conversations_per_s=0.5, users=20.0, people=30, share=0.5, scale=2.0
)


def a_workload(turns=(1.0, 3.0), pause_s=(10.0, 30.0), answer_s=(5.0,), per_s=0.5, **more):
    spreads = {"turns": turns, "pause_s": pause_s, "answer_s": answer_s, **more}
    return Workload(
        source="provider_stats",
        days=2.0,
        people=7,
        web_share=0.25,
        busiest_hour=BusiestHour(turns_per_s=per_s, people=5),
        by_hour=ByHour(utc_offset="+0800", turns=(1.0,) * 24, conversations=(0.5,) * 24),
        spreads={name: Spread(values) for name, values in spreads.items()},
    )
