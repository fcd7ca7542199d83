"""A notifier pushes messages into messengers: nothing for a while, then many at once.

    ASTRBOT_API_KEY=... locust -f locustfiles/im_bursts.py --host http://127.0.0.1:6185

Needs a key with the scope `im`. By default the messages go to three sessions of AstrBot's own webchat, where
they are stored and disturb nobody; `--umos` names real destinations. With `--im-sink URL` they go to a
messenger that notes what arrives (`astrometer sandbox --im-sink`), and the results say what was delivered
instead of only what was accepted.
"""

import gevent
from locust import between, task

from astrometer.load import ImUser


class Notifier(ImUser):
    """Pauses, then has something to say to several people."""

    scenario = "im_bursts"
    wait_time = between(4, 10)

    @task(3)
    def tell_several_people(self) -> None:
        news = self.prompt()
        for umo in self.umos:
            self.push(umo, news)

    @task(1)
    def have_an_incident(self) -> None:
        """Ten to thirty messages to one place, as fast as a monitoring system writes them."""
        umo = self.random.choice(self.umos)
        for _ in range(self.random.randint(10, 30)):
            self.push(umo, self.prompt())
            gevent.sleep(self.random.uniform(0.0, 0.1))
