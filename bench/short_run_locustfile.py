"""People of a short run: the model's first token after BENCH_TTFT seconds, give or take BENCH_JITTER."""

import os
import random

from locust import constant, task

from astrometer.load.users import ChatUser

TTFT_S = float(os.environ["BENCH_TTFT"])
JITTER = float(os.environ.get("BENCH_JITTER", "0.08"))
FAILS = float(os.environ.get("BENCH_FAILS", "0"))
PACE = f"gap={os.environ.get('BENCH_GAP', '0.02')} tokens={os.environ.get('BENCH_TOKENS', '3')}"
RANDOM = random.Random(os.environ["BENCH_SEED"])


class Chatter(ChatUser):
    scenario = "chat"
    wait_time = constant(0.1)

    @task
    def ask_one_thing(self) -> None:
        ttft_s = TTFT_S * RANDOM.lognormvariate(0, JITTER)
        fails = " fail=500" if RANDOM.random() < FAILS else ""
        self.ask(f"{self.prompt()} [[ttft={ttft_s:.4f} {PACE}{fails}]]")
