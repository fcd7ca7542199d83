"""Everybody asks again as soon as they are answered: as many questions are open as there are people."""

from locust import constant, task

from astrometer.load import MessengerUser


class Asker(MessengerUser):
    scenario = "crowd"
    wait_time = constant(0)

    @task
    def ask(self):
        self.write(self.prompt())
