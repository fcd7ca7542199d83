"""People chat with the bot: most ask one thing, some have a conversation, some quote what they read.

    ASTRBOT_API_KEY=... locust -f locustfiles/chat.py --host http://127.0.0.1:6185

Needs a key with the scope `chat`.
"""

from locust import between, task

from astrometer.load import ChatUser, Plain


class Chatter(ChatUser):
    """Reads an answer before asking on."""

    scenario = "chat"
    wait_time = between(1, 4)

    @task(6)
    def ask_one_thing(self) -> None:
        self.ask(self.prompt())

    @task(2)
    def ask_about_a_quotation(self) -> None:
        """A message of several segments instead of one text."""
        self.ask([Plain(text=f"[q] {self.random.choice(OPENINGS)}"), Plain(text=self.prompt())])

    @task(1)
    def have_a_conversation(self) -> None:
        """A few turns in one session: each sends the whole history to the model again."""
        session = self.new_session()
        for _ in range(self.random.randint(3, 5)):
            turn = self.chat(self.prompt(), session_id=session, streaming=self.wants_streaming())
            if not turn.outcome.is_ok:
                return
            self.wait()


OPENINGS = (
    "I read this and wonder what you think of it:",
    "My colleague sent me the following.",
    "这是我刚才看到的内容，请回答：",
    "Please answer what is asked at the end.",
)
