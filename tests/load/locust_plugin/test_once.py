"""Work that is done once, whoever asks for it and whatever becomes of them."""

import gevent

import pytest

from astrometer.load.locust_plugin.once import Once


def test_all_who_ask_wait_for_one_end():
    done = []

    def work():
        gevent.sleep(0.05)
        done.append("work")

    once = Once(work)
    asking = [gevent.spawn(once) for _ in range(3)]
    gevent.sleep(0.01)
    asking[0].kill()  # as Locust does with whoever stopped the test first
    gevent.joinall(asking, raise_error=True)
    assert done == ["work"]


def test_whoever_asks_learns_that_it_failed():
    once = Once(lambda: int("no number"))
    for _ in range(2):
        with pytest.raises(ValueError, match="no number"):
            once()
