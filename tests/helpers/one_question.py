"""The smallest locustfile: users who ask one thing, again and again."""

ONE_QUESTION = """
from locust import constant, task
from astrometer.load.users import ChatUser

class Asker(ChatUser):
    scenario = "chat"
    wait_time = constant(0.1)

    @task
    def ask_one_thing(self):
        self.ask(self.prompt())
"""
