"""Everybody asks in the same instant, every six seconds: so many questions arrive at once."""

import time

import gevent
from locust import task

from astrometer.load import MessengerUser

EVERY_S = 6.0  # an answer, and the time in which nothing more of it comes


class Asker(MessengerUser):
    scenario = "crowd"

    def wait_time(self) -> float:
        return EVERY_S - time.monotonic() % EVERY_S

    def on_start(self) -> None:
        super().on_start()
        gevent.sleep(self.wait_time())

    @task
    def ask(self) -> None:
        self.write(self.prompt())
