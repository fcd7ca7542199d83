"""A server's process as it was sampled: 10 turns a second, 80 ms of CPU and 12 kB of memory for each."""

from astrometer.measure.server_usage import ServerSample, ServerSeries, usage_of


def usage(*, seconds=61, ended=None, **more):
    series = ServerSeries()
    for t in range(seconds):
        facts = {"database_bytes": 1_000_000 + t * 20_000, "wal_bytes": 4_100_000, **more}
        series.add(
            ServerSample(
                t_s=float(t), turns=t * 10, rss_bytes=280_000_000 + t * 120_000, cpu_s=20 + t * 0.8,
                threads=12 + t % 2, open_files=30, processes=1, log_warnings=t // 30, log_errors=1, **facts,
            )
        )  # fmt: skip
    return usage_of(series, pid=4711, listens=True, excluded_s=0, until_s=60, ended=ended, sampling_s=0.0004)
