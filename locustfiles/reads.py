"""Dashboards and integrations look things up: sessions page by page, configurations, bots.

    ASTRBOT_API_KEY=... locust -f locustfiles/reads.py --host http://127.0.0.1:6185

Needs a key with the scopes `chat`, `config` and `im`. Cheap as they look, such requests cost a server that
hashes its keys as much as a chat's own authentication.
"""

from locust import between, task

from astrometer.load import ReadsUser

PAGE_SIZE = 20


class Onlooker(ReadsUser):
    """Polls, as dashboards do."""

    scenario = "reads"
    wait_time = between(1, 5)

    @task(5)
    def glance_at_the_sessions(self) -> None:
        self.sessions(page=1, page_size=PAGE_SIZE)

    @task(1)
    def page_through_the_sessions(self) -> None:
        """Until a page is not full."""
        for page in range(1, 6):
            if len(self.sessions(page=page, page_size=5)) < 5:
                return

    @task(2)
    def look_at_the_configurations(self) -> None:
        self.configs()

    @task(2)
    def look_at_the_bots(self) -> None:
        self.bots()
