"""People whose answers take BENCH_FACTOR as long as usual, give or take BENCH_JITTER: for compare.py."""

import os
import random

from locust import constant, task

from astrometer.load.users import ChatUser

FACTOR = float(os.environ["BENCH_FACTOR"])
RANDOM = random.Random(os.environ["BENCH_SEED"])


class Chatter(ChatUser):
    scenario = "chat"
    wait_time = constant(0.1)

    @task
    def ask_one_thing(self) -> None:
        ttft_s = 0.6 * FACTOR * RANDOM.lognormvariate(0, float(os.environ.get("BENCH_JITTER", "0.08")))
        self.ask(f"{self.prompt()} [[ttft={ttft_s:.4f} gap=0.02 tokens=3]]")
