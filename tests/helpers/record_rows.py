"""Rows of a records file that nobody measured: chats with a known cause of slowness."""

import random


def chat_row(number, *, t_s, model_s=0.2, gate_s=0.0, **more):
    ttft_s = 0.01 + gate_s + model_s
    return {
        "run": "abcdef", "version": "4.29.3", "process": number % 2, "scenario": "chat", "operation": "chat",
        "way": "SSE", "user": f"u-{number % 20}", "turn": 1, "measured": True, "at": 1e9 + t_s,
        "t_send_s": t_s,
        "outcome": "ok", "accept_time_s": 0.01, "gate_wait_s": gate_s, "ttft_s": ttft_s,
        "server_ttft_s": model_s,
        "e2e_s": ttft_s + 0.5, "turn_time_s": ttft_s + 0.51, "streamed": True, "session_id": f"s-{number}",
        "status": 200, **more,
    }  # fmt: skip


def chats(n=2000, *, slow_turn=7, seed=1):
    """Of 100 chats one is the seventh turn of its session, and waits at the gate for seconds."""
    chance = random.Random(seed)
    slow = set(chance.sample(range(n), n // 100))
    for number in range(n):
        is_slow = number in slow
        yield chat_row(
            number,
            t_s=number * 0.1,
            model_s=chance.uniform(0.1, 0.3),
            gate_s=chance.uniform(3, 4) if is_slow else 0.0,
            turn=slow_turn if is_slow else 1 + number % 3,
        )
