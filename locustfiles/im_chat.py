"""People write to the bot in a messenger, alone with it and in groups, and wait for its answer.

    ASTRBOT_API_KEY=... ASTRBOT_MESSENGER_TOKEN=... locust -f locustfiles/im_chat.py \\
        --host http://127.0.0.1:6185 --messenger ws://127.0.0.1:11229/ws

Each load process is one messenger account with all of its people. `astrometer sandbox --messenger` and
`astrometer sim --messenger` offer an adapter to try it with.
"""

from locust import between, task

from astrometer.load import MessengerUser


class Writer(MessengerUser):
    """Reads an answer before writing on."""

    scenario = "im_chat"
    wait_time = between(1, 4)

    @task(6)
    def ask_alone(self) -> None:
        self.write(self.prompt())

    @task(3)
    def ask_in_the_group(self) -> None:
        """Ten people share it, and AstrBot answers them one after the other."""
        self.write_in_group(self.prompt())

    @task(1)
    def call_the_bot_by_its_name(self) -> None:
        self.write_in_group(self.prompt(), at_bot=True)

    @task(1)
    def show_a_picture(self) -> None:
        self.write(self.prompt(), images=1)

    @task(1)
    def have_a_conversation(self) -> None:
        """A few questions in a row; AstrBot keeps the history of each person anyway."""
        for _ in range(self.random.randint(2, 4)):
            if not self.write(self.prompt()).outcome.is_ok:
                return
            self.wait()
