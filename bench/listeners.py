"""A locustfile for the golden server: users who ask on as soon as an answer is complete."""

from locust import constant, task

from astrometer.load.users import ChatUser


class Listener(ChatUser):
    scenario = "golden"
    wait_time = constant(0)

    @task
    def listen(self) -> None:
        self.chat("go")
