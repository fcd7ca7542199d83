"""People who are answered as BENCH_GAP and BENCH_FAILS say: for bench/history.py."""

import os
import random

from locust import constant, task

from astrometer.load.users import ChatUser

RANDOM = random.Random(os.environ["BENCH_SEED"])


class Chatter(ChatUser):
    scenario = "chat"
    wait_time = constant(0.1)

    @task
    def ask_one_thing(self) -> None:
        fails = " fail=500" if RANDOM.random() < float(os.environ["BENCH_FAILS"]) else ""
        ttft_s = 0.3 * RANDOM.lognormvariate(0, 0.08)
        self.ask(f"{self.prompt()} [[ttft={ttft_s:.4f} gap={os.environ['BENCH_GAP']} tokens=6{fails}]]")
